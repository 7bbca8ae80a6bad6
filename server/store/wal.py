"""Commits in a write-ahead log that SQLite passes over in silence.

SQLite reads a log up to the first frame whose checksum does not hold, and takes the rest for the
remains of a transaction that a power loss tore (https://www.sqlite.org/walformat.html). A torn
transaction ends in one commit at most, since the next one is written only after a sync. Two or more
behind a bad frame were durable and acknowledged: then it is damage.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from contextlib import closing
from typing import BinaryIO, Final

_HEADER: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">4I")
_FRAME_BYTES: Final = 24
_MAGIC: Final = 0x377F0682
_MX_FRAME: Final = slice(16, 20)
"""Where a -shm file says, in the machine's byte order, how many frames of the log are valid."""


def lost_commits(path: str) -> int:
    """How many durable commits in the log of a database cannot be read; 0 if it has none.

    Nobody in this process may have the database open: closing its -shm file would end their locks.
    Raises `sqlite3.Error` and `OSError`.
    """
    try:
        log = open(f"{path}-wal", "rb")  # noqa: SIM115
    except FileNotFoundError:
        return 0
    with log:
        raw = log.read(_HEADER.size)
        if len(raw) < _HEADER.size:
            return 0
        header = _HEADER.unpack(raw)
        size = _FRAME_BYTES + (header[2] or 65_536)
        if _is_whole(raw):
            commits = _commits(log, size, _valid_frames(path), header[4:6])
        else:
            commits = _commits(log, _FRAME_BYTES + _page_bytes(path), 0, None)
    return commits if commits > 1 else 0


def _is_whole(raw: bytes) -> bool:
    """Whether the log's header is what was written: its checksum holds."""
    magic, *_ = header = _HEADER.unpack(raw)
    if magic & ~1 != _MAGIC:
        return False
    words = struct.unpack(">6I" if magic & 1 else "<6I", raw[:24])
    first = second = 0
    for one, two in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return (first, second) == header[6:]


def _valid_frames(path: str) -> int:
    """How many frames SQLite accepts."""
    with closing(sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    with open(f"{path}-shm", "rb") as shared:
        found: int = struct.unpack("=I", shared.read(32)[_MX_FRAME])[0]
    return found


def _page_bytes(path: str) -> int:
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(18)[16:18], "big")
    return 65_536 if size < 512 else size


def _commits(log: BinaryIO, size: int, start: int, salts: tuple[int, ...] | None) -> int:
    """Frames from `start` on that end a transaction; of the log's own time, which salts tell."""
    frames = (os.fstat(log.fileno()).st_size - _HEADER.size) // size
    commits = 0
    for index in range(start, frames):
        log.seek(_HEADER.size + index * size)
        page, pages, *own = _FRAME.unpack(log.read(_FRAME.size))
        salts = salts or tuple(own)
        if tuple(own) == salts and page and pages:
            commits += 1
    return commits


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
