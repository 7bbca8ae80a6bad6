"""The write-ahead log stays short, whoever reads."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from server.store import loglength
from server.store.sqlite import SqliteStore
from tests.integration.stores.conftest import Open
from tests.integration.stores.making import S1, A, B, appended, chunk, created, texts, whole

pytestmark = pytest.mark.anyio

LIMIT = 100_000
COMMIT = 20_000
"""Of text; about 33,000 in the log."""


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loglength, "LOG_BYTES", LIMIT)
    monkeypatch.setattr(loglength, "_LOOK_BYTES", 0)


def log_bytes(path: Path) -> int:
    """How long the log is."""
    return path.with_name(f"{path.name}-wal").stat().st_size


async def append(store: SqliteStore, first: int, count: int) -> None:
    """So many commits to `A`, of `COMMIT` bytes each."""
    for number in range(first, first + count):
        assert await store.commit([appended(A, chunk(S1, number, size=COMMIT))]) == [True]


def begin(path: Path) -> sqlite3.Connection:
    """Somebody elsewhere who reads."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM chunks").fetchone()
    return connection


async def test_a_log_that_grows_too_long_begins_anew(sqlite: SqliteStore, path: Path) -> None:
    await sqlite.commit([created(A)])
    longest = 0
    for number in range(20):
        await append(sqlite, number, 1)
        longest = max(longest, log_bytes(path))
    # What is longer by a commit begins anew with the next.
    assert LIMIT < longest <= LIMIT + 2 * COMMIT
    assert len((await whole(sqlite, A))[S1]) == 20


class Lock:
    """A lock that knows whether anybody had to wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.is_wanted = False

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self.is_wanted = True
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


async def test_it_does_between_the_reads_of_the_server(sqlite: SqliteStore, path: Path) -> None:
    await sqlite.commit([created(A)])
    await append(sqlite, 0, 1)

    def read(connection: sqlite3.Connection) -> int:
        """A read that lasts until somebody waits for its end, or nobody did."""
        connection.execute("BEGIN")
        found: int = connection.execute("SELECT count(*) FROM chunks").fetchone()[0]
        loop.call_soon_threadsafe(reading.set)
        while not lock.is_wanted and log_bytes(path) <= LIMIT + COMMIT:
            pass
        connection.execute("ROLLBACK")
        return found

    sqlite._log._reading = lock = Lock()  # type: ignore[assignment]
    loop, reading = asyncio.get_running_loop(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sqlite._read, read)
        await reading.wait()
        await append(sqlite, 1, 3)
    await append(sqlite, 4, 1)
    assert log_bytes(path) <= LIMIT


async def test_nobody_elsewhere_is_waited_for(sqlite: SqliteStore, path: Path) -> None:
    await sqlite.commit([created(A)])
    await append(sqlite, 0, 1)
    with closing(begin(path)) as elsewhere:
        await append(sqlite, 1, 20)
        assert log_bytes(path) > LIMIT + 10 * COMMIT
        # Nor held up: the rest of the server reads on.
        assert len((await whole(sqlite, A))[S1]) == 21
        assert elsewhere.execute("SELECT count(*) FROM chunks").fetchone() == (1,)
    # It begins anew once it has grown by as much again.
    await append(sqlite, 21, 7)
    assert log_bytes(path) <= LIMIT


async def test_a_disk_that_fails_then_costs_no_commit(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite = await opened()
    await sqlite.commit([created(A), created(B)])

    def fail(action: int, name: str | None, *_: object) -> int:
        denied = action == sqlite3.SQLITE_PRAGMA and name == "wal_checkpoint"
        return sqlite3.SQLITE_DENY if denied else sqlite3.SQLITE_OK

    await sqlite.run(lambda connection: connection.set_authorizer(fail))
    await append(sqlite, 0, 10)
    assert log_bytes(path) > LIMIT
    await sqlite.run(lambda connection: connection.set_authorizer(None))
    assert (
        await sqlite._writer.run(lambda c: c.execute("PRAGMA busy_timeout").fetchone()[0]) == 5_000
    )
    await append(sqlite, 10, 6)
    assert log_bytes(path) <= LIMIT
    assert (await whole(sqlite, A))[S1] == texts(
        *(chunk(S1, number, size=COMMIT) for number in range(16))
    )
