"""Fan-out: one client writes, many read the same CoValue.

First as fast as the server acknowledges (eight in flight): deliveries a second and what each costs.
Then paced, far below what any server can do: how long a delivery takes, and what one edit costs
that nothing can be joined with. A delivery is one transaction that arrived at one reader.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Final

from bench.client import Client
from bench.crew import Crew
from bench.meter import Measurement, Meter
from bench.patience import until
from bench.scenarios.scenario import Site
from bench.work import Run, open_run
from bench.writer import Writer

_WINDOW: Final = 8
_PACED_S: Final = 4.0


class Fanout:
    """`readers` of one CoValue; at most `edits`, then `paced_hz` a second for some seconds."""

    local = False

    def __init__(self, readers: int, *, edits: int, paced_hz: float) -> None:
        self.name = f"fanout-{readers}"
        self._readers = readers
        self._edits = edits
        self._paced_hz = paced_hz
        self._fast: Run | None = None
        self._paced: Run | None = None

    def prepare(self, tag: str) -> None:
        """Sign both parts. They are two CoValues, so that one can end early."""
        self._fast = open_run(f"{tag} {self.name} fast", self._edits)
        self._paced = open_run(f"{tag} {self.name} paced", 2 + int(_PACED_S * self._paced_hz))

    async def measure(self, site: Site) -> list[Measurement]:
        """Measure the fast part, then the paced one."""
        return [await self._measure_fast(site), await self._measure_paced(site)]

    async def _measure_fast(self, site: Site) -> Measurement:
        assert self._fast is not None
        first, rest = _parts(self._fast)
        (await _write(site, first)).leave()
        processes = min(site.processes, self._readers)
        with Crew(site.server.url, rest.header.id, self._readers, processes) as crew:
            await crew.ready()
            writer = Writer(rest, _WINDOW)
            writer.timed = True
            writing = await writer.connect(site.server.url)
            meter = Meter(site.server, crew.pids)
            warm = crew.received() + rest.total * self._readers // 20
            whole = rest.total * self._readers
            writer.start()
            await until(lambda: crew.received() >= warm, crew.received, [writing])
            crew.time_from_now_on(everybody=False)
            meter.start()
            before, messages = crew.received(), crew.messages()
            finished = await until(
                lambda: crew.received() >= whole,
                crew.received,
                [writing],
                deadline=perf_counter() + site.seconds,
                tell=site.tell,
            )
            meter.stop(crew.received_at() if finished else None)
            deliveries = crew.received() - before
            messages = crew.messages() - messages
            arrivals = await crew.arrivals()
            # Everything that was sent must arrive.
            writer.stopped = True
            await until(
                lambda: writer.done and crew.received() >= writer.acked * self._readers,
                crew.received,
                [writing],
            )
            writing.leave()
        # A message that brings several edits is as old as the last of them.
        latencies = [at - writer.sent[length] for length, at in arrivals if length in writer.sent]
        measured = meter.rate(self.name, "deliveries/s", deliveries, latencies)
        measured.notes["transactions_per_message"] = deliveries / max(messages, 1)
        return measured

    async def _measure_paced(self, site: Site) -> Measurement:
        assert self._paced is not None
        first, rest = _parts(self._paced)
        client = await _write(site, first)
        processes = min(site.processes, self._readers)
        with Crew(site.server.url, rest.header.id, self._readers, processes) as crew:
            await crew.ready()
            before = crew.received()
            crew.time_from_now_on()
            meter = Meter(site.server, crew.pids)
            sent: dict[int, float] = {}
            meter.start()
            for index, (frame, count) in enumerate(zip(rest.frames, rest.counts, strict=True)):
                due = meter.started_at + index / self._paced_hz
                await asyncio.sleep(max(0.0, due - perf_counter()))
                sent[count] = perf_counter()
                client.send(frame)
            expected = before + len(rest.frames) * self._readers
            await until(lambda: crew.received() >= expected, crew.received, [client])
            meter.stop()
            arrivals = await crew.arrivals()
        client.leave()
        latencies = [at - sent[length] for length, at in arrivals]
        measured = meter.time(f"{self.name} paced", len(arrivals), latencies)
        # The rate is the generator's own; what counts is how long a delivery takes at worst.
        measured.unit, measured.value = "ms (p99)", measured.p99_ms or 0.0
        return measured


def _parts(run: Run) -> tuple[Run, Run]:
    """The first message, which creates the CoValue, and the others."""
    first = Run(run.header, run.session, run.needle, run.frames[:1], counts=run.counts[:1])
    return first, Run(run.header, run.session, run.needle, run.frames[1:], 1, run.counts[1:])


async def _write(site: Site, run: Run) -> Client:
    """Write a run and stay connected."""
    writer = Writer(run, _WINDOW)
    client = await writer.connect(site.server.url)
    writer.start()
    await until(lambda: writer.done, lambda: writer.acked, [client])
    return client
