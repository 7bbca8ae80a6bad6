"""A store whose reads wait at gates, for tests that need something to happen meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import anyio

from protocol.content import Chunk
from server.store import Loaded, Range
from server.store.memory import MemoryStore
from tests.integration.sync.stage import GatedStore


class SlowReads(GatedStore):
    """Loads and reads see what is stored when they begin, and return when their gate is open."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.load_gate = anyio.Event()
        self.read_gate = anyio.Event()
        self.load_gate.set()
        self.read_gate.set()
        self.waiting_calls = 0
        """How many loads and reads wait."""

    def shut_loads(self) -> anyio.Event:
        """Let loads wait from now on. Returns the gate of those that wait already."""
        before, self.load_gate = self.load_gate, anyio.Event()
        return before

    def shut_reads(self) -> None:
        """Let reads wait from now on."""
        self.read_gate = anyio.Event()

    async def load(self, ids: Collection[str]) -> Loaded:
        """See `Store.load`."""
        found = await super().load(ids)
        await self._pass(self.load_gate)
        return found

    async def read(self, ranges: Sequence[Range], limit: int) -> list[tuple[Range, Chunk]]:
        """See `Store.read`."""
        found = await super().read(list(ranges), limit)
        await self._pass(self.read_gate)
        return found

    async def someone_waits(self) -> None:
        """Wait until a load or read waits at its gate."""
        with anyio.fail_after(20):
            while not self.waiting_calls:
                await anyio.lowlevel.checkpoint()

    async def _pass(self, gate: anyio.Event) -> None:
        self.waiting_calls += 1
        await gate.wait()
        self.waiting_calls -= 1


async def a_while() -> None:
    """Let everything that can go on go on."""
    for _ in range(40):
        await anyio.lowlevel.checkpoint()
