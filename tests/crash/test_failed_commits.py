"""What commits that failed have left in the log is not taken for damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from server.errors import StoreDamaged, StoreUnavailable
from server.store.sqlite import SqliteStore
from tests.crash.shim import IOERR_FSYNC, Kind, Shim
from tests.integration.stores.making import S1, A, B, C, appended, chunk, created, whole

pytestmark = pytest.mark.anyio

PAGE = 4096
LOG_HEADER = 32
FRAME_HEADER = 24


def no_sync(kind: Kind, name: str, where: range) -> int:
    """A disk that writes and does not sync."""
    return IOERR_FSYNC if kind == "sync" else 0


async def leftovers(folder: Path, shim: Shim) -> Path:
    """A file and its log as a crash finds them: two failed commits under one that held."""
    path = folder / "sick" / "band.db"
    path.parent.mkdir()
    store = await SqliteStore.open(str(path))
    assert await store.commit([created(A, chunk(S1, 0))]) == [True]
    shim.fault = no_sync
    for covalue, pages in ((B, 12), (C, 6)):
        with pytest.raises(StoreUnavailable):
            await store.commit([created(covalue, chunk(S1, 0, size=pages * PAGE))])
    shim.fault = None
    assert await store.commit([appended(A, chunk(S1, 1))]) == [True]
    found = folder / "found"
    found.mkdir()
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{path}{suffix}", found / f"{path.name}{suffix}")
    await store.close()
    return found / path.name


async def test_what_failed_commits_left_is_no_damage(tmp_path: Path, shim: Shim) -> None:
    found = await leftovers(tmp_path, shim)
    store = await SqliteStore.open(str(found))
    try:
        assert len((await whole(store, A))[S1]) == 2
        assert (await store.load([B, C])) == {}
    finally:
        await store.close()


async def test_a_header_that_a_full_disk_tore_is_no_damage(tmp_path: Path) -> None:
    # Found by power losses: the log begins anew, and half of its header is written.
    path = tmp_path / "band.db"
    store = await SqliteStore.open(str(path))
    assert await store.commit([created(A, chunk(S1, 0))]) == [True]
    for index in range(1, 5):
        assert await store.commit([appended(A, chunk(S1, index))]) == [True]
    await store.run(lambda connection: connection.execute("PRAGMA wal_checkpoint").fetchall())
    found = tmp_path / "found.db"
    shutil.copyfile(path, found)
    log = bytearray(path.with_name("band.db-wal").read_bytes())
    await store.close()
    log[12:16] = (int.from_bytes(log[12:16], "big") + 1).to_bytes(4, "big")
    (tmp_path / "found.db-wal").write_bytes(log)
    store = await SqliteStore.open(str(found))
    try:
        assert len((await whole(store, A))[S1]) == 5
    finally:
        await store.close()


async def test_commits_behind_a_flipped_bit_are(tmp_path: Path) -> None:
    path = tmp_path / "band.db"
    store = await SqliteStore.open(str(path))
    assert await store.commit([created(A, chunk(S1, 0))]) == [True]
    for index in range(1, 5):
        assert await store.commit([appended(A, chunk(S1, index))]) == [True]
    found = tmp_path / "found.db"
    shutil.copyfile(path, found)
    log = bytearray(path.with_name("band.db-wal").read_bytes())
    await store.close()
    frames = (len(log) - LOG_HEADER) // (FRAME_HEADER + PAGE)
    log[LOG_HEADER + (frames - 5) * (FRAME_HEADER + PAGE) + 500] ^= 1
    (tmp_path / "found.db-wal").write_bytes(log)
    with pytest.raises(StoreDamaged, match="commits behind the damage"):
        await SqliteStore.open(str(found))
