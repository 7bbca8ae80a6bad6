"""What a start after a crash reads of the log, whose length decides how long it takes."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from server.store import wal
from server.store.sqlite import SqliteStore
from tests.crash.shim import Kind, Shim
from tests.integration.stores.making import S1, A, appended, chunk, created, whole

pytestmark = pytest.mark.anyio

COMMITS = 50
COMMIT_BYTES = 50_000


def crashed(path: Path, folder: Path, log: str = "-wal") -> Path:
    """A copy of a file and its log, as a crash leaves them now."""
    folder.mkdir()
    for suffix in ("", log):
        shutil.copyfile(f"{path}{suffix}", folder / f"{path.name}{suffix}")
    return folder / path.name


async def test_a_log_is_read_once(tmp_path: Path, shim: Shim) -> None:
    path = tmp_path / "band.db"
    store = await SqliteStore.open(str(path))
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        await store.commit([created(A)])
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM chunks").fetchone()
        for number in range(COMMITS):
            await store.commit([appended(A, chunk(S1, number, size=COMMIT_BYTES))])
        found = crashed(path, tmp_path / "found")
    await store.close()
    read: Counter[str] = Counter()

    def count(kind: Kind, name: str, where: range) -> int:
        if kind == "read":
            read[name] += len(where)
        return 0

    size = found.with_name(f"{found.name}-wal").stat().st_size
    assert size > COMMITS * COMMIT_BYTES
    shim.fault = count
    store = await SqliteStore.open(str(found))
    shim.fault = None
    try:
        # And a page here and there.
        assert size - 4_096 < read[f"{found}-wal"] < 1.2 * size
        assert len((await whole(store, A))[S1]) == COMMITS
    finally:
        await store.close()


async def test_a_crash_while_the_file_is_made_does_not_make_it_damaged(
    tmp_path: Path, shim: Shim
) -> None:
    path = tmp_path / "band.db"
    written = 0

    def crash(kind: Kind, name: str, where: range) -> int:
        nonlocal written
        written += kind == "write" and name == str(path)
        if written == 3 and not (tmp_path / "found").exists():
            # The first page says how many there are, and few of them are there.
            crashed(path, tmp_path / "found", "-journal")
        return 0

    shim.fault = crash
    store = await SqliteStore.open(str(path))
    shim.fault = None
    await store.close()
    store = await SqliteStore.open(str(tmp_path / "found" / path.name))
    try:
        assert await store.commit([created(A)]) == [True]
    finally:
        await store.close()


async def test_of_a_large_transaction_that_was_cut_short_no_page_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "band.db"
    store = await SqliteStore.open(str(path))
    await store.commit([created(A, chunk(S1, 0))])

    def spill(connection: sqlite3.Connection) -> Path:
        """What an erasure of much does: it writes to the log long before it commits."""
        connection.execute("PRAGMA cache_size = 10")
        connection.execute("BEGIN IMMEDIATE")
        for number in range(COMMITS):
            values = (f"co_z{number}", bytes(COMMIT_BYTES))
            connection.execute("INSERT INTO covalues (id, header) VALUES (?, ?)", values)
        found = crashed(path, tmp_path / "found")
        connection.execute("ROLLBACK")
        return found

    found = await store.run(spill)
    await store.close()
    assert found.with_name(f"{found.name}-wal").stat().st_size > COMMITS * COMMIT_BYTES // 2
    summed = 0
    checksum = wal._checksum

    def counted(data: bytes, before: tuple[int, int], little: bool) -> list[int]:
        nonlocal summed
        summed += len(data)
        return checksum(data, before, little)

    monkeypatch.setattr(wal, "_checksum", counted)
    store = await SqliteStore.open(str(found))
    try:
        assert 0 < summed < 4_096
        assert len((await whole(store, A))[S1]) == 1
        assert (await store.load(["co_z1"])) == {}
    finally:
        await store.close()
