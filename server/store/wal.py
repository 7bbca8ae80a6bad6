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
_FRAME: Final = struct.Struct(">6I")
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
    return tuple(_checksum(raw[:24], (0, 0), little=magic & 1 == 0)) == header[6:]


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
    """The most commits, from the frame `start` on, in one run of frames that follow each other.

    Only frames of the log's own time count, which salts tell. Each frame's checksum goes on from
    that of the frame before it. What commits that failed have left behind, one over the other, has
    the same salts and does not go on from another: such a run ends in one commit at most.
    """
    log.seek(0)
    little = int.from_bytes(log.read(4), "big") & 1 == 0
    frames = (os.fstat(log.fileno()).st_size - _HEADER.size) // size
    most = commits = 0
    before: tuple[int, int] | None = None
    for index in range(start, frames):
        log.seek(_HEADER.size + index * size)
        frame = log.read(size)
        page, pages, first_salt, second_salt, *sums = _FRAME.unpack(frame[:_FRAME_BYTES])
        salts = salts or (first_salt, second_salt)
        if (first_salt, second_salt) != salts or not page:
            before = None
            continue
        if before is None or _checksum(frame[:8] + frame[_FRAME_BYTES:], before, little) != sums:
            commits = 0
        commits += pages > 0
        most = max(most, commits)
        before = (sums[0], sums[1])
    return most


def _checksum(data: bytes, before: tuple[int, int], little: bool) -> list[int]:
    """SQLite's, of whole pairs of 32-bit words, going on from another."""
    words = struct.unpack(f"{'<' if little else '>'}{len(data) // 4}I", data)
    first, second = before
    for one, two in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return [first, second]


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
