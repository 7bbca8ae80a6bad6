"""What a store was told, commit by commit, and what it must therefore hold after a crash."""

from __future__ import annotations

import random
import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import anyio

from protocol.content import Chunk
from protocol.ids import parse_session_id
from server.journal import Journal
from server.store import Change, Loaded, Range, Store, StoredCoValue
from server.store.sqlite import SqliteStore
from tests.integration.stores.making import (
    DELETES,
    EVERYTHING,
    S1,
    S2,
    S3,
    A,
    B,
    C,
    appended,
    chunk,
    created,
    erased,
)
from tests.signing import owned_map


@dataclass(frozen=True)
class Held:
    """A session: how many transactions, their bytes joined, the signature after the last."""

    count: int
    data: bytes
    signature: str


@dataclass(frozen=True)
class Value:
    """All that a store holds of a CoValue."""

    header: bytes
    deleted: bool
    dependencies: frozenset[str]
    sessions: dict[str, Held]


Content = dict[str, Value]
"""All that a store holds, by id."""


def after(content: Content, change: Change) -> Content:
    """The content after a change whose conditions hold."""
    value = content.get(change.covalue) or Value(change.header or b"", False, frozenset(), {})
    sessions = dict(value.sessions)
    if change.erase:
        sessions = {s: held for s, held in sessions.items() if parse_session_id(s).deletes}
    for each in change.chunks:
        held = sessions.get(each.session)
        data = each.data if held is None else held.data + b"," + each.data
        sessions[each.session] = Held(each.first + each.count, data, each.signature)
    changed = Value(
        value.header,
        value.deleted or change.erase,
        value.dependencies.union(change.dependencies),
        sessions,
    )
    return content | {change.covalue: changed}


async def content_of(file: Path) -> Content:
    """All that a file holds: through a store of its own, which first of all has to open it.

    Asserts that SQLite finds nothing wrong with it, and that no session has a gap.
    """
    store = await SqliteStore.open(str(file))
    try:
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            ids = [row[0] for row in connection.execute("SELECT id FROM covalues")]
        stored, rest = Loaded(), list(ids)
        while rest:
            stored |= (loaded := await store.load(rest))
            rest = list(loaded.rest)
        assert stored.keys() == set(ids)
        return {covalue: await _value(store, covalue, each) for covalue, each in stored.items()}
    finally:
        await store.close()


async def _value(store: Store, covalue: str, stored: StoredCoValue) -> Value:
    ranges = [Range(covalue, session, 0, count) for session, count in stored.sessions.items()]
    sessions: dict[str, Held] = {}
    for wanted, each in await store.read(ranges, EVERYTHING):
        held = sessions.get(wanted.session)
        assert each.first == (0 if held is None else held.count), "not contiguous"
        data = each.data if held is None else held.data + b"," + each.data
        sessions[wanted.session] = Held(each.first + each.count, data, each.signature)
    assert {session: held.count for session, held in sessions.items()} == stored.sessions
    return Value(stored.header, stored.deleted, frozenset(stored.dependencies), sessions)


class Commit(NamedTuple):
    """One attempt to commit."""

    begun: int
    """The position in the record at which it began."""
    total: int
    """How many changes it and those before it hold."""
    content: Content
    """What the store then holds."""


class History:
    """What the journal was told, and the store that it is given: the real one, with notes taken."""

    def __init__(self, store: Store, position: Callable[[], int], content: Content) -> None:
        """`position` says how long the record is now; `content` is what the store holds."""
        self._store = store
        self._position = position
        self.content = content
        """What the store holds, as it said itself."""
        self._total = 0
        self.commits = [Commit(0, 0, content)]
        self.acknowledged: list[int] = []
        """The position at which each change was acknowledged."""

    async def load(self, ids: Collection[str]) -> Loaded:
        """See `Store.load`."""
        return await self._store.load(ids)

    async def read(self, ranges: Sequence[Range], limit: int) -> list[tuple[Range, Chunk]]:
        """See `Store.read`."""
        return await self._store.read(ranges, limit)

    async def commit(self, changes: Sequence[Change]) -> list[bool]:
        """See `Store.commit`."""
        content, applied = self.content, []
        for change in changes:
            applied.append(fits(content, change))
            if applied[-1]:
                content = after(content, change)
        total = self._total + len(changes)
        self.commits.append(Commit(self._position(), total, content))
        results = await self._store.commit(changes)
        assert results == applied
        self.content, self._total = content, total
        return results

    async def close(self) -> None:
        """See `Store.close`."""
        await self._store.close()

    def reopened(self, store: Store) -> None:
        """From now on this is the store."""
        self._store = store

    def acknowledge(self) -> None:
        """The journal says that the next change is settled."""
        self.acknowledged.append(self._position())

    def possible(self, position: int) -> list[Content]:
        """What may be there after a crash at a position; first, what was acknowledged."""
        settled = bisect_right(self.acknowledged, position)
        return [c.content for c in self.commits if c.begun <= position and c.total >= settled]


def fits(content: Content, change: Change) -> bool:
    """Whether the conditions of a change hold."""
    value = content.get(change.covalue)
    if (value is None) != (change.header is not None):
        return False
    sessions = {} if value is None else value.sessions
    counts = {
        session: held.count
        for session, held in sessions.items()
        if not change.erase or parse_session_id(session).deletes
    }
    for each in change.chunks:
        if counts.get(each.session, 0) != each.first:
            return False
        counts[each.session] = each.first + each.count
    return True


def transactions(content: Content) -> int:
    """How many transactions there are."""
    return sum(held.count for value in content.values() for held in value.sessions.values())


class Author:
    """Makes changes of all kinds, one after the other, each for the content after the last."""

    def __init__(self, chance: random.Random, content: Content) -> None:
        self._chance = chance
        self._content = content

    def change(self) -> Change:
        """The next change. Few of them cannot be applied."""
        chance = self._chance
        living = [i for i, value in self._content.items() if not value.deleted]
        kind = chance.random()
        if not living or kind < 0.15:
            covalue = owned_map(_OWNER, unique=str(chance.getrandbits(64))).id
            made = created(covalue, *self._chunks(covalue), dependencies=chance.choice(_NAMED))
        else:
            covalue = chance.choice(living)
            if kind < 0.2:
                made = erased(covalue, chunk(DELETES, 0))
            elif kind < 0.25:
                made = appended(covalue, chunk(S1, 10_000))
            else:
                made = appended(covalue, *self._chunks(covalue), dependencies=chance.choice(_NAMED))
        if fits(self._content, made):
            self._content = after(self._content, made)
        return made

    def _chunks(self, covalue: str) -> list[Chunk]:
        chance = self._chance
        value = self._content.get(covalue)
        made: list[Chunk] = []
        for session in chance.sample(_SESSIONS, chance.choice([1, 1, 1, 2, 3])):
            held = value.sessions.get(session) if value is not None else None
            first = 0 if held is None else held.count
            size = chance.choice([0, 50, 500, 500, 5_000, 20_000])
            made.append(
                chunk(session, first, chance.randint(1, 4), size, mark=str(chance.random()))
            )
        return made


_OWNER: Final = A
_NAMED: Final[Sequence[Sequence[str]]] = [(), (), (), (A,), (B, C)]
_SESSIONS: Final = [S1, S2, S3]


async def write(history: History, author: Author, chance: random.Random, changes: int) -> None:
    """Have so many changes committed through a journal, in batches as they come."""
    journal = Journal(history, lambda: None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(journal.run)
        for number in range(changes):
            ticket = journal.append(author.change(), lambda applied: history.acknowledge())
            if chance.random() < 0.3:
                await journal.settled(ticket)
                if number % 4 == 0 and history.content:
                    await history.load([chance.choice(list(history.content))])
            elif chance.random() < 0.3:
                await anyio.lowlevel.checkpoint()
        journal.close()
