"""The embedded default: one SQLite file, WAL, `synchronous=FULL`, one writer, one reader.

Each call costs one hop to a connection's thread, so a whole commit (and a whole batch of reads) is
one call. A commit that is under way cannot be taken back: it is shielded from cancellation, and
what was cancelled around it is simply known less well.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, closing
from functools import partial
from typing import Final, TypeVar

import aiosqlite
import anyio
import msgspec

from protocol.content import Chunk
from server.errors import StoreDamaged, StoreError, StoreUnavailable
from server.store.append import Appender
from server.store.damage import is_cut_off, is_damage, sound_count, why_not_sound, why_not_whole
from server.store.interface import LOADED, Change, Loaded, Range, StoredCoValue
from server.store.loglength import LogLength, limit
from server.store.schema import prepare
from server.store.wal import connect_readonly, lost_to

T = TypeVar("T")

_IDS: Final = msgspec.json.Encoder().encode
_BUSY_S: Final = 5.0
_READ_CACHE_KIB: Final = 16 * 1024
"""Pages that the reader keeps: what was written is mostly read soon, by several."""


class _Thread(aiosqlite.Connection):
    """A connection whose thread runs whole functions, not statements."""

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run `function` in the thread, to its end even if the caller is cancelled."""
        result: T
        with anyio.CancelScope(shield=True):
            result = await self._execute(function, self._conn)  # type: ignore[no-untyped-call]
        return result


class SqliteStore:
    """A `Store` in one SQLite file. Make one with `open`."""

    def __init__(self, path: str, files: ExitStack, writer: _Thread, reader: _Thread) -> None:
        self._path = path
        self._files = files
        self._writer = writer
        self._reader = reader
        self._appender = Appender()
        self._log = LogLength(path)

    @classmethod
    async def open(cls, path: str) -> SqliteStore:
        """Open the file, creating or migrating it.

        Raises `StoreError`: it cannot be opened or written, is another program's, or is newer.
        """
        reader = _Thread(partial(_connect, path, readonly=True), 64)
        writer = _Thread(partial(_connect, path), 64)
        with ExitStack() as files:
            files.callback(os.close, _lock(path))
            _check_size(path)
            # To its end even if cancelled: neither threads nor the lock may outlive the attempt.
            with anyio.CancelScope(shield=True):
                async with AsyncExitStack() as threads:
                    try:
                        # First the one that reads: it leaves a damaged log as it is, and while it
                        # is open the log need not be recovered again.
                        await threads.enter_async_context(reader)
                        await reader.run(partial(_check_log, path=path, files=files))
                        await threads.enter_async_context(writer)
                        await writer.run(partial(_prepare, path=path))
                        await reader.run(_keep_pages)
                    except sqlite3.Error as error:
                        raise StoreError(f"cannot use {path}: {error}") from None
                    threads.pop_all()
            return cls(path, files.pop_all(), writer, reader)

    async def load(self, ids: Collection[str]) -> Loaded:
        """See `Store.load`."""
        return await self._read(partial(_load, ids=list(ids)))

    async def read(self, ranges: Sequence[Range], limit: int) -> list[tuple[Range, Chunk]]:
        """See `Store.read`."""
        return await self._read(partial(_read, ranges=ranges, limit=limit))

    async def commit(self, changes: Sequence[Change]) -> list[bool]:
        """See `Store.commit`."""
        return await self._run(self._writer, partial(self._commit, changes=changes))

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run a transaction of somebody else's between commits. Raises `StoreUnavailable`."""
        return await self._run(self._writer, function)

    async def close(self) -> None:
        """See `Store.close`. Empties the write-ahead log if nobody else has the file open."""
        with anyio.CancelScope(shield=True):
            await self._reader.close()
            await self._writer.close()
        self._files.close()

    def _commit(self, connection: sqlite3.Connection, changes: Sequence[Change]) -> list[bool]:
        applied = self._appender.commit(connection, changes)
        self._log.shorten(connection, sum([change.size for change in changes]))
        return applied

    async def _read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return await self._run(self._reader, partial(self._log.read, function=function))

    async def _run(self, thread: _Thread, function: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await thread.run(function)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{self._path}: {error}") from error


def _lock(path: str) -> int:
    """Keep other bandstands off the file, and everybody off who is not its owner's.

    Held on the file itself: a lock of its own kind, which SQLite's do not meet. The descriptor must
    outlive the connections, as closing it would end their locks, too (POSIX `fcntl`).
    """
    try:
        lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"cannot open or create {path}: {error.strerror}; see --db") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise StoreError(f"{path} is in use by another bandstand") from None
    return lock


def _check_size(path: str) -> None:
    try:
        cut_off = is_cut_off(path)
    except OSError:
        return  # Opening it to write says why.
    if cut_off:
        raise StoreDamaged(
            f"{path} is cut off: it is shorter than it says; restore a backup, or see what is left:"
            " bandstand verify"
        )


def _check_log(connection: sqlite3.Connection, path: str, files: ExitStack) -> None:
    try:
        lost = lost_to(connection, path, files)
    except (sqlite3.Error, OSError):
        return  # Opening it to write says why.
    if lost:
        raise StoreDamaged(
            f"{path}-wal is damaged: {lost} commits behind the damage cannot be read. Copy both"
            " files; then restore a backup, or go on with what can be read:"
            f" sqlite3 {path} 'PRAGMA wal_checkpoint(TRUNCATE)'"
        )


def _connect(path: str, *, readonly: bool = False) -> sqlite3.Connection:
    connect = connect_readonly if readonly else sqlite3.connect
    connection = connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=64
    )
    # Not mapped into memory: there, an I/O error kills the process (https://sqlite.org/mmap.html).
    connection.execute("PRAGMA mmap_size = 0")
    return connection


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    prepare(connection, path)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(f"{path}: the file system does not allow a write-ahead log ({mode})")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    limit(connection)
    # Fail now, not at the first edit, where the file cannot be written.
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")


def _keep_pages(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA cache_size = -{_READ_CACHE_KIB}")


def _load(connection: sqlite3.Connection, ids: list[str]) -> Loaded:
    try:
        if (loaded := _load_together(connection, ids, LOADED)) is not None:
            return loaded
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
    # One by one: so a damaged page costs nobody but those that stand on it.
    found, size = Loaded(), 0
    for index, covalue in enumerate(ids):
        try:
            found |= _load_together(connection, [covalue]) or {}
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            found[covalue] = StoredCoValue(b"", False, {}, set(), {"": str(error)})
        size += found[covalue].size if covalue in found else 0
        if size >= LOADED:
            found.rest = ids[index + 1 :]
            break
    return found


def _load_together(
    connection: sqlite3.Connection, ids: list[str], most: int | None = None
) -> Loaded | None:
    """All of these, or `None` if their size is more than `most`."""
    # In one transaction: a commit between the statements must not show in some of them only.
    connection.execute("BEGIN")
    try:
        return _load_all(connection, ids, most)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _load_all(connection: sqlite3.Connection, ids: list[str], most: int | None) -> Loaded | None:
    rows = connection.execute(
        "SELECT key, id, header, deleted FROM covalues"
        " WHERE id IN (SELECT value FROM json_each(?))",
        (_IDS(ids).decode(),),
    ).fetchall()
    by_key = {
        key: (covalue_id, StoredCoValue(header, bool(deleted), {}, set()))
        for key, covalue_id, header, deleted in rows
    }
    keys = (_IDS(list(by_key)).decode(),)
    if most is not None:
        (size,) = connection.execute(
            "SELECT count(*) FROM ("
            "SELECT 1 FROM sessions WHERE covalue IN (SELECT value FROM json_each(?1))"
            " UNION ALL"
            " SELECT 1 FROM dependencies WHERE covalue IN (SELECT value FROM json_each(?1))"
            " LIMIT ?2)",
            (*keys, most + 1),
        ).fetchone()
        if size > most:
            return None
    for key, session, own_key, *last in connection.execute(
        "SELECT s.covalue, s.id, s.key, c.first, c.count, c.signature, substr(c.checksum, 1, 8)"
        " FROM sessions s LEFT JOIN chunks c ON c.session = s.key"
        " AND c.first = (SELECT max(first) FROM chunks WHERE session = s.key)"
        " WHERE s.covalue IN (SELECT value FROM json_each(?)) ORDER BY s.key",
        keys,
    ):
        covalue_id, stored = by_key[key]
        why = why_not_sound(covalue_id, session, *last)
        count = last[0] + last[1] if why is None else 0
        if why is not None:
            stored.damaged[session] = why
            count = sound_count(connection, covalue_id, session, own_key)
        if count:
            stored.sessions[session] = count
    for key, dependency in connection.execute(
        "SELECT covalue, id FROM dependencies WHERE covalue IN (SELECT value FROM json_each(?))",
        keys,
    ):
        by_key[key][1].dependencies.add(dependency)
    return Loaded(by_key.values())


def _read(
    connection: sqlite3.Connection, ranges: Sequence[Range], limit: int
) -> list[tuple[Range, Chunk]]:
    found: list[tuple[Range, Chunk]] = []
    size = 0
    for wanted in ranges:
        held = wanted.start
        try:
            for chunk in _read_range(connection, wanted):
                found.append((wanted, chunk))
                held = chunk.first + chunk.count
                size += len(chunk.data)
                if size >= limit:
                    return found
        except sqlite3.DatabaseError as error:
            if found and is_damage(error):
                return found
            if is_damage(error):
                raise StoreDamaged(str(error), wanted.covalue, wanted.session, held) from None
            raise
        except StoreDamaged:
            if found:
                return found
            raise
    return found


def _read_range(connection: sqlite3.Connection, wanted: Range) -> Iterator[Chunk]:
    covalue, session, start, stop = wanted
    cursor = connection.execute(
        "SELECT c.first, c.count, c.signature, c.data, c.checksum"
        " FROM sessions s JOIN chunks c ON c.session = s.key"
        " WHERE s.covalue = (SELECT key FROM covalues WHERE id = ?) AND s.id = ?"
        " AND c.first >= coalesce("
        "  (SELECT max(first) FROM chunks WHERE session = s.key AND first <= ?), 0)"
        " AND c.first < ? ORDER BY c.first",
        (covalue, session, start, stop),
    )
    end: int | None = None
    # Damage leaves the loop early. A cursor left open, which the error's traceback holds on to,
    # would keep the reader in the past: what is committed later would seem to be missing.
    with closing(cursor) as rows:
        for first, count, signature, data, stored in rows:
            chunk = Chunk(session, first, count, signature, data)
            why = why_not_whole(covalue, chunk, stored)
            if why is None and (first > start if end is None else first != end):
                why, end = "transactions are missing", end or 0
            if why is not None:
                known = end is None and isinstance(first, int) and 0 <= first <= start
                raise StoreDamaged(why, covalue, session, first if known else (end or 0))
            end = first + count
            if end > start:
                yield chunk
