"""What of a bandstand file is damaged: errors that say so, rows that cannot be what was written."""

from __future__ import annotations

import os
import sqlite3
from typing import Any, Final

from protocol.content import Chunk
from server.store.checksum import checksum, place_sum

_CODES: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error of SQLite says that the file is damaged, and not that it is out of reach."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # Python's own, for a text that is no UTF-8.
        return isinstance(error, sqlite3.OperationalError) and "decode" in str(error)
    return code & 0xFF in _CODES


def is_cut_off(path: str) -> bool:
    """Whether a database file is shorter than it says (https://www.sqlite.org/fileformat.html).

    While it has a write-ahead log, that may hold the rest; while it has a rollback journal, as when
    it is made, SQLite takes back what says so. Raises `OSError`.
    """
    for log in (f"{path}-wal", f"{path}-journal"):
        if os.path.exists(log) and os.path.getsize(log):
            return False
    with open(path, "rb") as file:
        header = file.read(100)
    if header[24:28] != header[92:96]:
        return False  # Written by an SQLite that does not say.
    size = int.from_bytes(header[16:18], "big")
    if size != 1 and (size < 512 or size & (size - 1)):
        return False  # No database.
    pages = int.from_bytes(header[28:32], "big")
    return os.path.getsize(path) < pages * (65_536 if size == 1 else size)


def why_not_sound(
    covalue: str, session: str, first: Any, count: Any, signature: Any, place: Any
) -> str | None:
    """Why a chunk's row cannot stand where it stands; `None` if it can.

    Everything but the data is looked at. `place` is the first half of the stored checksum, or
    `None` in chunks of older versions, which have none.
    """
    if first is None:
        return "the session has no transactions"
    typed = isinstance(first, int) and isinstance(count, int) and isinstance(signature, str)
    if not typed or first < 0 or count < 1:
        return "a row of chunks holds values of other kinds"
    if place is not None and place != place_sum(covalue, session, first, count, signature):
        return "a row of chunks is not what was written"
    return None


def why_not_whole(covalue: str, chunk: Chunk, stored: Any) -> str | None:
    """Why a chunk is not what was written; `None` if it is. `stored` is its checksum's column."""
    if type(stored) is bytes and type(chunk.data) is bytes:
        # Nearly always, and nothing else is looked at then.
        if checksum(covalue, chunk) == stored:
            return None
        return "the transactions are not what was written"
    fits = stored is None and isinstance(chunk.data, bytes)
    first, count, signature = chunk.first, chunk.count, chunk.signature
    return why_not_sound(covalue, chunk.session, first, count, signature, None if fits else b"")


def sound_count(connection: sqlite3.Connection, covalue: str, session: str, key: int) -> int:
    """How many transactions of a session stand before the first damage, their data aside."""
    held = 0
    rows = connection.execute(
        "SELECT first, count, signature, substr(checksum, 1, 8) FROM chunks"
        " WHERE session = ? ORDER BY first",
        (key,),
    )
    for first, count, signature, place in rows:
        if first != held or why_not_sound(covalue, session, first, count, signature, place):
            break
        held += count
    return held
