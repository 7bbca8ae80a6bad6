"""The disk: what survives, checked as it is written; and the store that reaches it slowly.

Everything that is written is checked against a ledger of its own: headers hash to their ids, each
run continues its session and is signed, deletions are by admins. What a crash finds on its way to
the disk arrives whole or not at all: both are legal.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Coroutine, Sequence
from random import Random
from typing import Any, TypeVar

from protocol.content import Chunk
from server.errors import StoreUnavailable
from server.store import Change, Loaded, Range
from server.store.memory import MemoryStore
from tests.signing import canonical
from tests.simulation.knobs import Knobs
from tests.simulation.proof import author_of, hashes_to, signer_of
from tests.simulation.record import Record
from tests.simulation.replica import Replica

T = TypeVar("T")
MayDelete = Callable[[str, str, int], bool]


class Disk:
    """What is durable, and the independent ledger of it."""

    def __init__(self, record: Record, may_delete: MayDelete) -> None:
        """`may_delete(value, author, at)` says who is an admin."""
        self._record = record
        self._may_delete = may_delete
        self.rows = MemoryStore()
        self.values: dict[str, Replica] = {}

    def count(self, identifier: str, session: str) -> int:
        """How many transactions of a session are durable."""
        value = self.values.get(identifier)
        return 0 if value is None or session not in value.logs else len(value.logs[session])

    def stirred(self) -> None:
        """Something was read: the world is not at rest."""
        self._record.activity += 1

    def write(self, changes: Sequence[Change]) -> list[bool]:
        """Make changes durable."""
        results = at_once(self.rows.commit(changes))
        for change, applied in zip(changes, results, strict=True):
            if applied:
                self._enter(change)
            else:
                self._record.breach("no conflicts", f"a change of {change.covalue} was refused")
        self._record.moved("disk", f"{len(changes)} changes")
        return results

    def _enter(self, change: Change) -> None:
        breach = self._record.breach
        value = self.values.get(change.covalue)
        if value is None:
            header = json.loads(change.header or b"{}")
            if not hashes_to(change.covalue, header):
                breach("nothing unverified is stored", f"the header of {change.covalue}")
                return
            value = self.values[change.covalue] = Replica(change.covalue, header)
        if change.erase:
            value.erase()
            value.logs = {s: log for s, log in value.logs.items() if s.endswith("$")}
            if not any(chunk.session.endswith("$") for chunk in change.chunks):
                breach("only tombstones are erased", change.covalue)
        for chunk in change.chunks:
            self._enter_chunk(value, chunk)

    def _enter_chunk(self, value: Replica, chunk: Chunk) -> None:
        breach = self._record.breach
        log = value.log(chunk.session)
        texts = texts_of(chunk)
        author = author_of(chunk.session)
        account = self.values.get(author)
        signer = signer_of(author, None if account is None else account.header)
        if chunk.first != len(log) or chunk.count != len(texts):
            breach("sessions are contiguous", f"{value.id} {chunk.session} at {chunk.first}")
        elif signer is None or not log.accept(texts, chunk.signature, signer):
            breach("nothing unverified is stored", f"{value.id} {chunk.session} at {chunk.first}")
        if chunk.session.endswith("$"):
            at = json.loads(texts[0])["madeAt"]
            if not self._may_delete(value.id, author, at):
                breach("only admins delete", f"{author} deleted {value.id}")
        elif value.deleted:
            breach("tombstones stay empty", f"{value.id} {chunk.session}")


class SimulatedStore:
    """A `Store` on the disk. Slow, at times unavailable, and gone with its process."""

    def __init__(
        self, disk: Disk, loop: asyncio.AbstractEventLoop, random: Random, knobs: Knobs
    ) -> None:
        self._disk = disk
        self._loop = loop
        self._random = random
        self._knobs = knobs
        self._in_flight: Sequence[Change] | None = None
        self._dead = False
        self.broken_until = 0.0
        """Calls fail up to this time."""
        self.slowness = 1.0

    async def load(self, ids: Collection[str]) -> Loaded:
        """See `Store.load`."""
        return await self._read(lambda: at_once(self._disk.rows.load(ids)))

    async def read(self, ranges: Sequence[Range], limit: int) -> list[tuple[Range, Chunk]]:
        """See `Store.read`."""
        wanted = list(ranges)
        return await self._read(lambda: at_once(self._disk.rows.read(wanted, limit)))

    async def commit(self, changes: Sequence[Change]) -> list[bool]:
        """See `Store.commit`. Durable once the simulated sync is through."""
        if self._in_flight is not None:
            raise AssertionError("two commits at a time")
        self._in_flight = changes
        await self._wait(self._knobs.fsync_s)
        self._in_flight = None
        self._check()
        results = self._disk.write(changes)
        await self._wait(self._knobs.read_s)
        return results

    async def close(self) -> None:
        """See `Store.close`."""

    def die(self, *, losing: bool) -> None:
        """The process is gone. What was being written is lost, or was written just in time."""
        if not self._dead:
            self._dead = True
            if (
                self._in_flight is not None
                and not losing
                and self._loop.time() >= self.broken_until
            ):
                self._disk.write(self._in_flight)

    async def _read(self, call: Callable[[], T]) -> T:
        await self._wait(self._knobs.read_s)
        self._check()
        found = call()
        self._disk.stirred()
        await self._wait(self._knobs.read_s)
        return found

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self.slowness * self._random.random())
        if self._dead:
            await asyncio.Event().wait()

    def _check(self) -> None:
        if self._loop.time() < self.broken_until:
            raise StoreUnavailable("simulated: disk full")


def texts_of(chunk: Chunk) -> tuple[bytes, ...]:
    """The canonical texts of a chunk; other bytes than those are no transactions at all."""
    listed = json.loads(b"[" + chunk.data + b"]")
    texts = tuple(canonical(each) for each in listed)
    return texts if b",".join(texts) == chunk.data else ()


def at_once(call: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits."""
    try:
        call.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("it waited")
