"""A ramp: more and more edits a second, until the server is late or fails.

The load follows the clock, not the acknowledgements: a server that is slow gets no rest. Latency is
from sending an edit to its acknowledgement. The knee is between the last step that a server keeps
up with and the first that it does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from bench.client import leave_all
from bench.faults import Fault
from bench.meter import Meter
from bench.patience import until
from bench.servers import Server
from bench.signing import in_parallel
from bench.work import open_run
from bench.writer import Writer

_WARM: Final = 0.2
"""The share of a step that is not counted."""
_KEPT_UP: Final = 0.9
_OVERTIME: Final = 1.5
_DRAIN_S: Final = 10.0
_BLOCK: Final = 100
_HASTE_S: Final = 0.0005


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """What to offer. Each connection writes into a CoValue of its own, a new one each step."""

    connections: int = 50
    start: float = 200.0
    """Edits a second of the first step, over all connections."""
    factor: float = 1.5
    bound_ms: float = 100.0
    """The ramp ends when the p99 is above."""
    seconds: float = 5.0
    """How long a step takes."""
    steps: int = 40
    """The most steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What became of one load."""

    offered: float
    """Edits a second that were due."""
    achieved: float = 0.0
    """Acknowledged ones, while they were being sent."""
    p50_ms: float | None = None
    p99_ms: float | None = None
    cpu_us: float | None = None
    """The server's CPU time per edit."""
    generator: float = 0.0
    """The generator, as a share of one core."""
    fault: str = ""
    """What went wrong: errors, or edits that were never acknowledged."""

    def kept_up(self, bound_ms: float) -> bool:
        """Whether the server can live with this load."""
        return (
            not self.fault
            and self.achieved >= _KEPT_UP * self.offered
            and self.p99_ms is not None
            and self.p99_ms <= bound_ms
        )


async def climb(
    server: Server,
    ramp: Ramp,
    tag: str,
    on_step: Callable[[Step], None],
    tell: Callable[[int], None],
) -> list[Step]:
    """Step by step up to the first that the server does not keep up with twice, that one included.

    `on_step` is told each step when it is over, `tell` the progress within one.
    """
    found: list[Step] = []
    offered = ramp.start
    for number in range(ramp.steps):
        step = await _step(server, ramp, offered, f"{tag} {number}", tell)
        if not step.kept_up(ramp.bound_ms):
            # A hiccup of a shared machine is no knee.
            step = await _step(server, ramp, offered, f"{tag} {number} again", tell)
        found.append(step)
        on_step(step)
        if not step.kept_up(ramp.bound_ms):
            break
        offered *= ramp.factor
    return found


def knee(steps: Sequence[Step], bound_ms: float) -> str:
    """Where the server stops to keep up, in words."""
    good = [step for step in steps if step.kept_up(bound_ms)]
    bad = [step for step in steps if not step.kept_up(bound_ms)]
    if not good:
        return "The server does not keep up with the first step."
    best = good[-1]
    kept = f"{best.offered:,.0f} edits/s with p99 {best.p99_ms or 0:.1f} ms"
    if not bad:
        return f"No knee found: it keeps up with {kept}."
    worst = bad[0]
    why = worst.fault or f"p99 {worst.p99_ms or 0:.0f} ms at {worst.achieved:,.0f}/s"
    busy = " The generator was busy: the knee may be its own." if worst.generator > 0.9 else ""
    return f"The knee: it keeps up with {kept}, not with {worst.offered:,.0f} ({why}).{busy}"


async def _step(
    server: Server, ramp: Ramp, offered: float, tag: str, tell: Callable[[int], None]
) -> Step:
    whole = max(ramp.connections, int(offered * ramp.seconds))
    each = -(-whole // ramp.connections)
    names = [(f"{tag} {index}", each) for index in range(ramp.connections)]
    runs = await asyncio.to_thread(in_parallel, open_run, names)
    writers = [Writer(run, 0) for run in runs]
    try:
        return await _offer(server, writers, offered, whole, tell)
    except Fault as error:
        return Step(offered=offered, fault=f"{type(error).__name__}: {error}")


async def _offer(
    server: Server, writers: list[Writer], offered: float, whole: int, tell: Callable[[int], None]
) -> Step:
    clients = []
    for at in range(0, len(writers), _BLOCK):
        block = writers[at : at + _BLOCK]
        clients += await asyncio.gather(*(writer.connect(server.url) for writer in block))

    def acked() -> int:
        return sum(writer.acked for writer in writers)

    try:
        meter = Meter(server)
        start = perf_counter()
        warm_at, give_up_at = (start + share * whole / offered for share in (_WARM, _OVERTIME))
        meter.start()
        sent, before, warm, told = 0, 0, False, start
        while sent < whole:
            now = perf_counter()
            if not warm and now >= warm_at:
                warm = True
                for writer in writers:
                    writer.latencies.clear()
                before = acked()
                meter.start()
            if now >= give_up_at:
                break
            due = min(whole, 1 + int((now - start) * offered))
            _send(writers, sent, due)
            sent = due
            if now - told > 0.25:
                tell(acked())
                told = now
            await asyncio.sleep(max(start + sent / offered - perf_counter(), _HASTE_S))
        meter.stop()
        operations = acked() - before
        finished = await until(
            lambda: acked() >= sent,
            acked,
            clients,
            deadline=perf_counter() + _DRAIN_S,
            tell=tell,
        )
    finally:
        leave_all(clients)
    latencies = [value for writer in writers for value in writer.latencies]
    measured = meter.rate("ramp", "tx/s", operations, latencies)
    corrections = sum(writer.corrections for writer in writers)
    faults = [
        f"{sent - acked():,} edits not acknowledged in time" if not finished else "",
        f"{corrections} corrections of faultless content" if corrections else "",
    ]
    return Step(
        offered=offered,
        achieved=measured.value,
        p50_ms=measured.p50_ms,
        p99_ms=measured.p99_ms,
        cpu_us=measured.cpu_us if operations else None,
        generator=measured.generator,
        fault="; ".join(filter(None, faults)),
    )


def _send(writers: Sequence[Writer], first: int, end: int) -> None:
    """The edits from `first` to `end` of all, dealt out to the writers in turn."""
    rounds, extra = divmod(end - first, len(writers))
    for at in range(min(end - first, len(writers))):
        writers[(first + at) % len(writers)].send(rounds + (at < extra))
