"""Two honest peers in a process of their own: one edits a map, one reads it, both are timed.

`python -m tests.hostile.honest URL` edits every 20 ms. Each line on standard input begins a phase
of that name; at the end of the input it prints, as JSON, per phase the times in ms from an edit to
its acknowledgement and to its arrival at the reader. It fails if one of them does not come.
"""

from __future__ import annotations

import json
import sys
from time import perf_counter
from typing import Final

import anyio

from tests.integration.operations.talk import Talk, talking
from tests.integration.sync.stage import Band

_PACE_S: Final = 0.02
_PATIENCE_S: Final = 60.0


class Honest:
    """The two peers and what was measured."""

    def __init__(self) -> None:
        self.band = Band("honest")
        self.phase = ""
        self.done = False
        self.times: dict[str, list[tuple[float, float]]] = {}

    async def work(self, url: str) -> None:
        """Edit and read until it is `done`."""
        async with talking(url) as writer, talking(url) as reader:
            await writer.upload(*self.band.first())
            await reader.load(self.band.map.id)
            _say("ready")
            count = 1
            while not self.done:
                count += 1
                message = self.band.edit(count)
                start = perf_counter()
                found: list[float] = []
                with anyio.fail_after(_PATIENCE_S):
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(self._acknowledged, writer, message, count, start, found)
                        while not self._is_edit(await reader.next(), count):
                            pass
                        relayed = perf_counter() - start
                # What began before and ended during an attack was hit by it.
                self.times.setdefault(self.phase, []).append((found[0] * 1000, relayed * 1000))
                await anyio.sleep(_PACE_S)

    async def _acknowledged(
        self, writer: Talk, message: bytes, count: int, start: float, found: list[float]
    ) -> None:
        await writer.send(message)
        while (await writer.next()).get("sessions", {}).get(self.band.session.id) != count:
            pass
        found.append(perf_counter() - start)

    def _is_edit(self, message: dict[str, object], count: int) -> bool:
        new = message.get("new")
        if message["id"] != self.band.map.id or not isinstance(new, dict):
            return False
        part = new[self.band.session.id]
        return bool(part["after"] + len(part["newTransactions"]) == count)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def main(url: str) -> None:
    """Run until the input ends."""
    honest = Honest()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(honest.work, url)
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            honest.phase = line.strip()
        honest.done = True
    _say(json.dumps(honest.times))


if __name__ == "__main__":
    anyio.run(main, sys.argv[1])
