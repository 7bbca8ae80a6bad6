"""The SQLite file on disk: who may use it, how safely it is written, and when it is full."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.errors import StoreError, StoreUnavailable
from server.store.sqlite import SqliteStore
from tests.integration.stores.conftest import Open, open_and_close
from tests.integration.stores.making import (
    DELETES,
    S1,
    S2,
    A,
    B,
    appended,
    chunk,
    created,
    erased,
    texts,
    whole,
)

pytestmark = pytest.mark.anyio


async def pragma(store: SqliteStore, name: str) -> object:
    """What the connection that writes says."""
    return await store._writer.run(lambda c: c.execute(f"PRAGMA {name}").fetchone()[0])


async def test_a_commit_is_synced_to_disk(sqlite: SqliteStore) -> None:
    # No kill can show this, only a power cut: so hold on to the settings themselves.
    full = 2
    assert await pragma(sqlite, "synchronous") == full
    assert await pragma(sqlite, "journal_mode") == "wal"
    assert await pragma(sqlite, "secure_delete") == 1


async def test_the_reader_cannot_write(sqlite: SqliteStore) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await sqlite._reader.run(lambda c: c.execute("UPDATE covalues SET deleted = 1"))


@pytest.fixture
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_open_umask")
async def test_nobody_else_may_read_the_files(sqlite: SqliteStore, path: Path) -> None:
    await sqlite.commit([created(A)])
    modes = {each.name: oct(each.stat().st_mode & 0o777) for each in path.parent.iterdir()}
    assert modes == dict.fromkeys((path.name, f"{path.name}-wal", f"{path.name}-shm"), "0o600")


async def test_in_use_by_another_bandstand(sqlite: SqliteStore, path: Path) -> None:
    with pytest.raises(StoreError, match="in use by another bandstand") as refusal:
        await open_and_close(str(path))
    assert refusal.value.exit_code == 74
    # The one that has it is not disturbed.
    assert await sqlite.commit([created(A, chunk(S1, 0))]) == [True]
    assert await whole(sqlite, A) == {S1: texts(chunk(S1, 0))}


async def test_a_link_to_the_file_is_the_same_file(sqlite: SqliteStore, path: Path) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    with pytest.raises(StoreError, match="in use"):
        await open_and_close(str(link))


async def test_free_again_after_closing(path: Path) -> None:
    for _ in range(3):
        store = await SqliteStore.open(str(path))
        await store.close()


async def test_free_again_after_a_refusal(path: Path, opened: Open) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE invoices (id)")
    with pytest.raises(StoreError):
        await open_and_close(str(path))
    other.execute("DROP TABLE invoices")
    other.close()
    await opened()


async def test_closing_leaves_one_file(path: Path) -> None:
    store = await SqliteStore.open(str(path))
    await store.commit([created(A, chunk(S1, 0))])
    threads = [store._writer._thread, store._reader._thread]
    assert all(thread.is_alive() for thread in threads)
    await store.close()
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    for thread in threads:
        # Its last act is to say that the file is closed; then it ends.
        await anyio.to_thread.run_sync(thread.join, 10)
        assert not thread.is_alive()


@pytest.mark.parametrize("connection", [1, 2])
async def test_a_cancelled_open_holds_on_to_nothing(
    path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch, connection: int
) -> None:
    loop = asyncio.get_running_loop()
    connections = 0

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        nonlocal connections
        connections += 1
        if connections == connection:
            # The loop is to have cancelled, and the task to have seen it, before this goes on.
            asyncio.run_coroutine_threadsafe(cancel(), loop).result(10)
        made: sqlite3.Connection = sqlite3_connect(*arguments, **options)
        return made

    async def cancel() -> None:
        scope.cancel()
        for _ in range(10):
            await anyio.lowlevel.checkpoint()

    sqlite3_connect = sqlite3.connect
    with monkeypatch.context() as patch, anyio.CancelScope() as scope:
        patch.setattr(sqlite3, "connect", connect)
        store = await SqliteStore.open(str(path))
        await store.close()
    assert scope.cancel_called
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await anyio.to_thread.run_sync(thread.join, 10)
            assert not thread.is_alive()
    await (await opened()).commit([created(A)])


@pytest.mark.parametrize("name", ["", "a/b.db", "file/band.db"])
async def test_a_place_where_no_file_can_be(tmp_path: Path, name: str) -> None:
    """A folder, a folder that is not there, and a folder that is a file."""
    (tmp_path / "file").touch()
    place = str(tmp_path / name)
    with pytest.raises(StoreError, match="cannot open or create") as refusal:
        await open_and_close(place)
    assert place in str(refusal.value)
    assert refusal.value.exit_code == 74


async def test_a_file_that_may_not_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system that is mounted read-only; root may write to everything else."""

    def refuse(*_: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("server.store.sqlite.os.open", refuse)
    with pytest.raises(StoreError, match="Read-only file system"):
        await open_and_close(str(path))


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writes past `size` fail, in this process, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_takes_nothing_and_later_everything(path: Path, opened: Open) -> None:
    store = await opened()
    assert await store.commit([created(A, chunk(S1, 0))]) == [True]
    batch = [created(B), appended(A, chunk(S1, 1, 100, size=10_000)), appended(A, chunk(S2, 0))]
    with files_of_at_most(path.with_name(f"{path.name}-wal").stat().st_size + 4096):
        for _ in range(2):
            with pytest.raises(StoreUnavailable) as failure:
                await store.commit(batch)
            assert str(path) in str(failure.value)
            assert await whole(store, A) == {S1: texts(chunk(S1, 0))}
            assert await store.load([B]) == {}
    assert await store.commit(batch) == [True, True, True]
    again = await opened()
    assert await whole(again, A) == {
        S1: texts(chunk(S1, 0, 1), batch[1].chunks[0]),
        S2: texts(chunk(S2, 0)),
    }
    assert await pragma(again, "integrity_check") == "ok"


@pytest.mark.parametrize("size", [10, 1_000, 60_000])
async def test_erased_content_is_gone_from_the_file(
    sqlite: SqliteStore, path: Path, size: int
) -> None:
    def checkpointed() -> bytes:
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        return path.read_bytes()

    secret = chunk(S1, 0, 3, size=size, mark="burn after reading")
    await sqlite.commit([created(A, secret, chunk(S2, 0, 2, mark="burn after reading"))])
    await sqlite.commit([created(B, chunk(S1, 0, mark="keep"))])
    assert b"burn after reading" in checkpointed()
    await sqlite.commit([erased(A, chunk(DELETES, 0, mark="delete"))])
    left = checkpointed()
    assert b"burn after reading" not in left
    assert b"x" * 10 not in left
    assert b"keep" in left
