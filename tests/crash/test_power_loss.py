"""Power losses: whatever part of what was not synced is on the disk, nothing acknowledged is lost.

A file's life is recorded below SQLite (`shim`) while the real journal and the real store write to
it. Then crash states are made of the record (`disk`), opened by a store of their own, and held
against what the journal was told (`history`): the content must be, to the byte, that after some
commit which had begun, and nothing that the journal said is settled may be missing. Each life but
the first begins with a file that a power loss left; some begin as a file of the oldest version. On
a failing disk, what a refused sync was to write stays in doubt until it is written again.

`pytest tests/crash --power-losses 20000` looks at so many states.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from server.errors import StoreError
from server.store import schema
from server.store.sqlite import SqliteStore
from tests.crash.disk import Disk, put
from tests.crash.history import (
    Author,
    Content,
    History,
    after,
    content_of,
    fits,
    transactions,
    write,
)
from tests.crash.shim import FULL, IOERR_FSYNC, IOERR_WRITE, Fault, Kind, Operation, Shim

pytestmark = pytest.mark.anyio

STATES_PER_LIFE: Final = 60
LIVES_PER_FILE: Final = 4
CHANGES: Final = 60


class Life:
    """What happened to a file, from an opening to a power loss."""

    def __init__(self, record: list[Operation], files: dict[str, bytes], history: History) -> None:
        self.record = record
        self.files = files
        self.history = history

    def moments(self, chance: random.Random, count: int) -> list[int]:
        """Positions in the record, many of them right after an acknowledgement."""
        told = self.history.acknowledged
        anywhere = range(len(self.record) + 1)
        moments = [
            min(chance.choice(told) + chance.choice([0, 0, 1, 2]), len(self.record))
            if chance.random() < 0.4
            else chance.choice(anywhere)
            for _ in range(count)
        ]
        return sorted(moments)


async def live(
    shim: Shim,
    file: Path,
    content: Content,
    chance: random.Random,
    *,
    pragma: str = "PRAGMA synchronous = FULL",
    fault: Fault | None = None,
) -> Life:
    """Write to the file over two openings, the first of which may have to migrate it.

    `pragma` may weaken the store; `fault` is how the disk fails while it is open. Checkpoints come
    sooner than by default, so that there are some.
    """
    files = {str(each): each.read_bytes() for each in file.parent.iterdir()}
    record: list[Operation] = []
    shim.record = record
    history: History | None = None
    author = Author(chance, content)
    for _ in range(2):
        store = await SqliteStore.open(str(file))
        if history is None:
            history = History(store, lambda: len(record), content)
        history.reopened(store)
        pages = chance.choice([20, 100, 1_000])
        for each in (pragma, f"PRAGMA wal_autocheckpoint = {pages}"):
            await store.run(lambda connection: connection.execute(each).fetchall())  # noqa: B023
        shim.fault = fault
        await write(history, author, chance, CHANGES)
        await store.close()
        shim.fault = None
    shim.record = []
    assert history is not None
    return Life(record, files, history)


async def crash(
    life: Life, folder: Path, chance: random.Random, states: int
) -> AsyncIterator[list[Content]]:
    """Have so many crash states in the folder, one after the other.

    Yields what may be in each, first what must be.
    """
    disk = Disk(life.record, life.files)
    for moment in life.moments(chance, states):
        disk.advance(moment)
        put(folder, disk.crash(chance))
        yield life.history.possible(moment)


def old_file(file: Path, chance: random.Random) -> Content:
    """Make a file of the oldest version. Returns what it holds."""
    content: Content = {}
    author = Author(chance, content)
    for change in [author.change() for _ in range(CHANGES)]:
        content = after(content, change) if fits(content, change) else content
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.executescript(
            f"PRAGMA journal_mode = WAL; BEGIN; {schema.MIGRATIONS[0]}"
            f"PRAGMA application_id = {schema.APPLICATION_ID}; PRAGMA user_version = 1; COMMIT;"
        )
        connection.execute("BEGIN")
        insert = connection.execute
        for covalue, value in content.items():
            key = insert(
                "INSERT INTO covalues (id, header, deleted) VALUES (?, ?, ?)",
                (covalue, value.header, value.deleted),
            ).lastrowid
            for each in value.dependencies:
                insert("INSERT INTO dependencies VALUES (?, ?)", (key, each))
            for session, held in value.sessions.items():
                inside = insert(
                    "INSERT INTO sessions (covalue, id) VALUES (?, ?)", (key, session)
                ).lastrowid
                insert(
                    "INSERT INTO chunks VALUES (?, ?, ?, ?, ?)",
                    (inside, 0, held.count, held.signature, held.data),
                )
        connection.execute("COMMIT")
    return content


class Failing:
    """A disk that now and then refuses an operation, and then goes on as if nothing had been."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.refused: Counter[str] = Counter()

    def __call__(self, kind: Kind, name: str, where: range) -> int:
        """See `Fault`."""
        if kind in ("open", "read") or self._chance.random() > (0.2 if kind == "sync" else 0.003):
            return 0
        self.refused[kind] += 1
        return self._chance.choice([FULL, IOERR_WRITE, IOERR_FSYNC])


@pytest.mark.parametrize("disk", ["sound", "failing"])
async def test_nothing_acknowledged_is_lost_when_the_power_fails(
    tmp_path: Path,
    shim: Shim,
    power_losses: int,
    figures: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
    disk: str,
) -> None:
    monkeypatch.setattr("server.journal._RETRY_S", (0.0,))
    monkeypatch.setattr("server.store.loglength.LOG_BYTES", 100_000)
    chance = random.Random(f"{disk} {power_losses}")
    failing = Failing(random.Random(f"{power_losses}"))
    written, found = tmp_path / "written", tmp_path / "found"
    left = power_losses // 2
    for number in count():
        if number % LIVES_PER_FILE == 0:
            put(written, {})
            old = number % (2 * LIVES_PER_FILE) == 0
            content: Content = old_file(written / "band.db", chance) if old else {}
        life = await live(
            shim,
            written / "band.db",
            content,
            chance,
            fault=failing if disk == "failing" else None,
        )
        async for possible in crash(life, found, chance, min(left, STATES_PER_LIFE)):
            content = await content_of(found / "band.db")
            assert any(content == each for each in possible), (
                f"life {number}: {transactions(content)} transactions in {found},"
                f" of which {transactions(possible[0])} are acknowledged: not the same, or not all"
            )
            figures[f"power losses on a {disk} disk"] += 1
            figures["transactions acknowledged before them"] += transactions(possible[0])
        left -= STATES_PER_LIFE
        if left <= 0:
            break
        # What the last one left is how the next life begins.
        put(written, {each.name: each.read_bytes() for each in found.iterdir()})
    assert figures[f"power losses on a {disk} disk"] >= power_losses // 2
    figures["operations refused"] += failing.refused.total()
    assert failing.refused.keys() >= ({"write", "sync"} if disk == "failing" else set())


@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL"])
async def test_the_method_finds_what_a_weaker_store_loses(
    tmp_path: Path, shim: Shim, synchronous: str
) -> None:
    chance = random.Random(synchronous)
    put(tmp_path / "written", {})
    file, pragma = tmp_path / "written" / "band.db", f"PRAGMA synchronous = {synchronous}"
    life = await live(shim, file, {}, chance, pragma=pragma)
    lost = 0
    async for possible in crash(life, tmp_path / "found", chance, 60):
        try:
            lost += await content_of(tmp_path / "found" / "band.db") not in possible
        except (sqlite3.DatabaseError, StoreError, AssertionError):
            lost += 1
    assert lost > 0
