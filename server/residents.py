"""Which CoValues are in memory: loaded in batches, let go least recently used first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from typing import Final

import anyio
import structlog

from server.covalue import CoValue
from server.errors import StoreDamaged, StoreUnavailable
from server.peer import Peer
from server.store.patient import PatientReads
from server.subscription import Subscription

log: Final = structlog.get_logger(__name__)

_BATCH: Final = 500
_RETRY_S: Final = 1.0
_FAILURES: Final = 8
_BUSY: Final = 1_000
_WOKEN: Final = 16
_LOOKED_AT: Final = 250
"""CoValues that are looked at in one go."""


class Residents:
    """The table of CoValues. A record exists while it is resident or something is going on."""

    def __init__(
        self, reads: PatientReads, limit: int, on_resident: Callable[[CoValue], None]
    ) -> None:
        """`limit` is in bytes; `on_resident` is called for each CoValue that became resident."""
        self._reads = reads
        self._limit = limit
        self._on_resident = on_resident
        self._records: dict[str, CoValue] = {}
        self._recent: OrderedDict[str, CoValue] = OrderedDict()
        self._resting: dict[str, dict[Peer, Subscription]] = {}
        """The subscribers of CoValues that have no record."""
        self._wanted: dict[str, CoValue] = {}
        self._work = anyio.Event()
        self._unread: list[list[str]] = []
        """What could not be read, in the parts in which it is tried again."""
        self._failed = anyio.Event()
        self.unreadable: set[str] = set()
        """Ids of CoValues that could not be read yet."""
        self._awaited: dict[str, anyio.Event] = {}
        self.size = 0
        """Bytes that the resident CoValues take, roughly."""

    def __len__(self) -> int:
        return len(self._recent)

    def get(self, covalue_id: str) -> CoValue:
        """The record, made if there is none. It may not be resident: see `want`."""
        covalue = self._records.get(covalue_id)
        if covalue is None:
            covalue = self._records[covalue_id] = CoValue(covalue_id)
            if (subscribers := self._resting.pop(covalue_id, None)) is not None:
                covalue.subscribers = subscribers
        return covalue

    def peek(self, covalue_id: str) -> CoValue | None:
        """The record if there is one."""
        return self._records.get(covalue_id)

    def want(self, covalue: CoValue) -> None:
        """Load what the store knows of it, soon."""
        if not covalue.resident:
            self._wanted[covalue.id] = covalue
            self._work.set()

    def prefetch(self, ids: Iterable[str]) -> None:
        """Load these soon, and together: they will be looked at one by one, and are not kept."""
        for covalue_id in ids:
            self.want(self.get(covalue_id))

    async def look_through(
        self, ids: Collection[str], look_at: Callable[[CoValue], None], *, patient: bool = True
    ) -> str | None:
        """Call `look_at` with each of the CoValues, resident, and keep none of them.

        All together may be more than may be kept. Without patience it ends at one that cannot be
        read now, and returns its id.
        """
        self.prefetch(ids)
        for index, covalue_id in enumerate(ids, 1):
            covalue = self.get(covalue_id)
            if covalue.resident:
                look_at(covalue)
            else:
                covalue.pins += 1
                try:
                    await self._arrival(covalue, patient=patient)
                    if not covalue.resident:
                        return covalue_id
                    look_at(covalue)
                finally:
                    covalue.pins -= 1
            if index % _LOOKED_AT == 0:
                await anyio.lowlevel.checkpoint()
        return None

    @asynccontextmanager
    async def held(self, ids: Iterable[str]) -> AsyncIterator[list[CoValue]]:
        """The CoValues, resident, and kept so inside the context."""
        covalues = [self.get(covalue_id) for covalue_id in ids]
        for covalue in covalues:
            covalue.pins += 1
        try:
            for covalue in covalues:
                self.want(covalue)
            for covalue in covalues:
                await self._arrival(covalue)
            yield covalues
        finally:
            for covalue in covalues:
                covalue.pins -= 1

    async def _arrival(self, covalue: CoValue, *, patient: bool = True) -> None:
        """Wait until it is resident or, without patience, known to be unreadable now."""
        self.want(covalue)
        while not covalue.resident and (patient or covalue.id not in self.unreadable):
            # Each has an event of its own, or all that wait would wake up for any.
            await self._awaited.setdefault(covalue.id, anyio.Event()).wait()

    def touch(self, covalue: CoValue) -> None:
        """Note that a resident CoValue was used, and what it weighs now."""
        self._recent[covalue.id] = covalue
        self._recent.move_to_end(covalue.id)
        size = covalue.size
        self.size += size - covalue.weight
        covalue.weight = size

    def forget_subscriber(self, covalue_id: str, peer: Peer) -> None:
        """End the peer's subscription; drop the record if nothing else needs it."""
        subscription = peer.subscriptions.pop(covalue_id, None)
        if subscription is not None:
            subscription.end()
        covalue = self._records.get(covalue_id)
        if covalue is not None:
            covalue.subscribers.pop(peer, None)
            if peer.closed:
                # Else it is still to learn what became of what it sent.
                covalue.acks.pop(peer, None)
            if not covalue.resident:
                self._drop_record(covalue)
        elif (subscribers := self._resting.get(covalue_id)) is not None:
            subscribers.pop(peer, None)
            if not subscribers:
                del self._resting[covalue_id]

    def trim(self) -> None:
        """Let go of idle CoValues, the least recently used first, until the limit holds."""
        attempts = min(len(self._recent), _BUSY)
        while self.size > self._limit and attempts and self._recent:
            covalue_id, covalue = next(iter(self._recent.items()))
            if not covalue.is_idle:
                # Not all of them each time, or many busy ones would take all of the loop's time.
                attempts -= 1
                if covalue.spare_writers():
                    self.touch(covalue)
                self._recent.move_to_end(covalue_id)
                continue
            del self._recent[covalue_id]
            self.size -= covalue.weight
            covalue.weight = 0
            covalue.release()
            self._drop_record(covalue)

    async def run(self) -> None:
        """Load what is wanted, batch after batch, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._retry)
            while True:
                await self._work.wait()
                self._work = anyio.Event()
                while self._wanted:
                    batch = [self._wanted.pop(i).id for i in list(self._wanted)[:_BATCH]]
                    batch = [i for i in batch if i not in self.unreadable]
                    if (error := await self._load(batch)) is not None:
                        if not self.unreadable:
                            log.error("store.unreadable", error=str(error))
                        self.unreadable.update(batch)
                        self._wake(batch)
                        self._unread.append(batch)
                        self._failed.set()

    async def _load(self, ids: list[str]) -> StoreUnavailable | None:
        """Make these resident, or say why that cannot be done now."""
        # Wanted again while it was being loaded: what it is by now must stay.
        batch = [c for i in ids if (c := self._records.get(i)) is not None and not c.resident]
        if not batch:
            return None
        for covalue in batch:
            # Else what arrives meanwhile might be put into another record of the same CoValue.
            covalue.pins += 1
        try:
            stored = await self._reads.load([covalue.id for covalue in batch])
        except StoreUnavailable as error:
            return error
        finally:
            for covalue in batch:
                covalue.pins -= 1
        woken, rest = 0, set(stored.rest)
        for covalue in batch:
            if covalue.resident or covalue.id in rest:
                continue
            try:
                for _ in covalue.filling(stored.get(covalue.id)):
                    await anyio.lowlevel.checkpoint()
            except StoreDamaged as damage:
                self._reads.note(damage)
            for session in covalue.cut:
                index = covalue.counts.get(session, 0)
                why = stored[covalue.id].damaged[session]
                self._reads.note(StoreDamaged(why, covalue.id, session, index))
            self.touch(covalue)
            self._on_resident(covalue)
            woken += self._wake([covalue.id])
            if woken >= _WOKEN:
                # Whoever waited has work to do: not all of them in one turn.
                woken = 0
                await anyio.lowlevel.checkpoint()
        for covalue_id in rest:
            self.want(self.get(covalue_id))
        self.trim()
        return None

    def _wake(self, ids: Iterable[str]) -> int:
        """Let go on who waits for these. Returns for how many of them somebody did."""
        events = [event for i in ids if (event := self._awaited.pop(i, None)) is not None]
        for event in events:
            event.set()
        return len(events)

    async def _retry(self) -> None:
        """Try every second what could not be read, in ever smaller parts.

        So one bad sector withholds what is in it and nothing else, and a disk that is gone
        altogether is not asked about everything.
        """
        while True:
            await self._failed.wait()
            self._failed = anyio.Event()
            while self._unread:
                await anyio.sleep(_RETRY_S)
                parts, self._unread = self._unread, []
                failures = 0
                while parts and failures < _FAILURES:
                    part = parts.pop(0)
                    if (error := await self._load(part)) is None:
                        self.unreadable.difference_update(part)
                        continue
                    if not failures:
                        log.error("store.unreadable", error=str(error), values=len(self.unreadable))
                    failures += 1
                    middle = len(part) // 2
                    self._unread += [half for half in (part[:middle], part[middle:]) if half]
                self._unread = parts + self._unread

    def _drop_record(self, covalue: CoValue) -> None:
        """Drop the record; of what somebody is subscribed to, the subscribers alone are kept."""
        if covalue.is_idle and covalue.id not in self._wanted:
            self._records.pop(covalue.id, None)
            if covalue.subscribers:
                self._resting[covalue.id] = covalue.subscribers
