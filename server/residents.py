"""Which CoValues are in memory: loaded in batches, let go least recently used first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final

import anyio

from server.covalue import CoValue
from server.errors import StoreDamaged
from server.store.patient import PatientReads

_BATCH: Final = 500


class Residents:
    """The table of CoValues. A record exists while it is resident or somebody is subscribed."""

    def __init__(
        self, reads: PatientReads, limit: int, on_resident: Callable[[CoValue], None]
    ) -> None:
        """`limit` is in bytes; `on_resident` is called for each CoValue that became resident."""
        self._reads = reads
        self._limit = limit
        self._on_resident = on_resident
        self._records: dict[str, CoValue] = {}
        self._recent: OrderedDict[str, CoValue] = OrderedDict()
        self._wanted: dict[str, CoValue] = {}
        self._work = anyio.Event()
        self._loaded = anyio.Event()
        self.size = 0
        """Bytes that the resident CoValues take, roughly."""

    def __len__(self) -> int:
        return len(self._recent)

    def get(self, covalue_id: str) -> CoValue:
        """The record, made if there is none. It may not be resident: see `want`."""
        covalue = self._records.get(covalue_id)
        if covalue is None:
            covalue = self._records[covalue_id] = CoValue(covalue_id)
        return covalue

    def peek(self, covalue_id: str) -> CoValue | None:
        """The record if there is one."""
        return self._records.get(covalue_id)

    def want(self, covalue: CoValue) -> None:
        """Load what the store knows of it, soon."""
        if not covalue.resident:
            self._wanted[covalue.id] = covalue
            self._work.set()

    @asynccontextmanager
    async def held(self, ids: Iterable[str]) -> AsyncIterator[list[CoValue]]:
        """The CoValues, resident, and kept so inside the context."""
        covalues = [self.get(covalue_id) for covalue_id in ids]
        for covalue in covalues:
            covalue.pins += 1
        try:
            for covalue in covalues:
                self.want(covalue)
            while not all(covalue.resident for covalue in covalues):
                await self._loaded.wait()
            yield covalues
        finally:
            for covalue in covalues:
                covalue.pins -= 1

    def touch(self, covalue: CoValue) -> None:
        """Note that a resident CoValue was used, and what it weighs now."""
        self._recent[covalue.id] = covalue
        self._recent.move_to_end(covalue.id)
        size = covalue.size
        self.size += size - covalue.weight
        covalue.weight = size

    def forget_subscriber(self, covalue_id: str) -> None:
        """A subscription ended; drop the record if nothing else needs it."""
        covalue = self._records.get(covalue_id)
        if covalue is not None and not covalue.resident:
            self._drop_record(covalue)

    def trim(self) -> None:
        """Let go of idle CoValues, the least recently used first, until the limit holds."""
        attempts = len(self._recent)
        while self.size > self._limit and attempts:
            attempts -= 1
            covalue_id, covalue = next(iter(self._recent.items()))
            if not covalue.is_idle:
                self._recent.move_to_end(covalue_id)
                continue
            del self._recent[covalue_id]
            self.size -= covalue.weight
            covalue.weight = 0
            covalue.release()
            self._drop_record(covalue)

    async def run(self) -> None:
        """Load what is wanted, batch after batch, until cancelled."""
        while True:
            await self._work.wait()
            self._work = anyio.Event()
            while self._wanted:
                batch = [self._wanted.pop(i) for i in list(self._wanted)[:_BATCH]]
                # Wanted again while it was being loaded: what it is by now must stay.
                batch = [covalue for covalue in batch if not covalue.resident]
                stored = await self._reads.load([covalue.id for covalue in batch])
                for covalue in batch:
                    try:
                        covalue.fill(stored.get(covalue.id))
                    except StoreDamaged as damage:
                        self._reads.note(damage)
                    for session in covalue.cut:
                        index = covalue.counts.get(session, 0)
                        why = stored[covalue.id].damaged[session]
                        self._reads.note(StoreDamaged(why, covalue.id, session, index))
                    self.touch(covalue)
                    self._on_resident(covalue)
                self._loaded.set()
                self._loaded = anyio.Event()
                self.trim()

    def _drop_record(self, covalue: CoValue) -> None:
        if not covalue.subscribers and covalue.is_idle and covalue.id not in self._wanted:
            self._records.pop(covalue.id, None)
