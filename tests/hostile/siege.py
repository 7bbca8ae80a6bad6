"""A server under attack, and honest peers beside it: what must hold is checked at the end."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from bench.procfs import memory, peak_memory
from tests.integration.operations.command import Server, environment, serving
from tests.integration.operations.talk import Message, health, talking
from tests.integration.sync.stage import Band

ROOT: Final = Path(__file__).parents[2]
MB: Final = 1024 * 1024
_BASELINE_S: Final = 0.3
_LEAST_S: Final = 0.3


@dataclass
class Figures:
    """What one attack cost, as the end of the run shows it."""

    name: str
    grown: int = 0
    bound: int = 0
    peak: int = 0
    before: list[float] = field(default_factory=list)
    during: list[float] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)

    def row(self) -> str:
        """One line of the table."""
        moved = ", ".join(f"{name} {count}" for name, count in sorted(self.counters.items()))
        return (
            f"{self.name:<44} {self.grown / MB:6.0f} of {self.bound / MB:4.0f} MB"
            f" (peak {self.peak / MB:4.0f}) | {_spread(self.before)} | {_spread(self.during)}"
            f" | {moved}"
        )


def _spread(times: list[float]) -> str:
    cuts = statistics.quantiles([*times, *times], n=100, method="inclusive")
    return f"{cuts[49]:5.1f} {cuts[98]:6.1f} {max(times):7.1f}"


class Siege:
    """The server, as an attack sees it."""

    def __init__(self, server: Server, figures: Figures, kept: Band) -> None:
        self.server = server
        self.figures = figures
        self.kept = kept
        """What is stored and must stay as it is."""

    @property
    def port(self) -> int:
        """Where to attack."""
        return self.server.port

    async def counters(self) -> dict[str, int]:
        """The counters, as `/health` shows them."""
        said: dict[str, int] = (await health(self.port))["counters"]
        return said

    async def moved(self, name: str, by: int = 1) -> None:
        """Wait until a counter stands at `by` or more."""
        with anyio.fail_after(60):
            # Counters are asked for, they do not report.
            while (await self.counters()).get(name, 0) < by:  # noqa: ASYNC110
                await anyio.sleep(0.05)

    async def stored(self) -> list[Message]:
        """All that a fresh peer is sent of what is stored."""
        async with talking(self.server.url) as peer:
            messages: list[Message] = []
            await peer.send(
                {"action": "load", "id": self.kept.map.id, "header": False, "sessions": {}}
            )
            while not messages or messages[-1]["id"] != self.kept.map.id:
                messages.append(await peer.next())
            return messages


@asynccontextmanager
async def siege(
    folder: Path,
    figures: list[Figures],
    name: str,
    *settings: str,
    bound: int,
    env: dict[str, str] | None = None,
) -> AsyncIterator[Siege]:
    """Attack inside the context.

    Afterwards: the server is up, it grew by at most `bound` bytes, what was stored is as it was, no
    fault was met, and the honest peers had every edit acknowledged and relayed.
    """
    shown = Figures(name, bound=bound)
    async with serving(folder, *settings, env=env) as server:
        under = Siege(server, shown, Band("kept"))
        async with talking(server.url) as peer:
            await peer.upload(*under.kept.first())
        stored = await under.stored()
        async with _honest(server.url) as (honest, times):
            await honest.send(b"before\n")
            await anyio.sleep(_BASELINE_S)
            _reset_peak(server.pid)
            rss = memory(server.pid)
            counters = await under.counters()
            await honest.send(b"during\n")
            start = anyio.current_time()
            yield under
            # Long enough for the honest peers to be asked how it was.
            await anyio.sleep(max(start + _LEAST_S - anyio.current_time(), 0))
            shown.peak = peak_memory(server.pid)
            shown.grown = shown.peak - rss
            after = await under.counters()
        figures.append(shown)
        shown.counters = {
            each: moved
            for each, count in after.items()
            if (moved := count - counters.get(each, 0)) and each != "transactions"
        }
        assert times.get("during"), "the honest peers did not get on"
        shown.before = [relayed for _, relayed in times["before"]]
        shown.during = [relayed for _, relayed in times["during"]]
        assert "faults" not in shown.counters, server.stderr[-5000:]
        assert shown.grown <= bound, f"grew by {shown.grown / MB:.0f} MB"
        assert await under.stored() == stored
        await server.stop()


def _reset_peak(pid: int) -> None:
    # proc(5): 5 resets the peak resident set size to what is resident now.
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@asynccontextmanager
async def _honest(
    url: str,
) -> AsyncIterator[tuple[anyio.abc.ByteSendStream, dict[str, Any]]]:
    """The honest peers; their times are there after the context."""
    times: dict[str, Any] = {}
    command = [sys.executable, "-m", "tests.hostile.honest", url]
    async with await anyio.open_process(command, cwd=ROOT, env=environment()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with anyio.fail_after(30):
                out = BufferedByteReceiveStream(process.stdout)
                assert await out.receive_until(b"\n", 100) == b"ready"
            yield process.stdin, times
            await process.stdin.aclose()
            output = b"".join([part async for part in out])
            assert await process.wait() == 0, "the honest peers did not get on"
            times.update(json.loads(output))
        finally:
            if process.returncode is None:
                process.kill()
