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
from contextlib import ExitStack, closing
from itertools import pairwise
from typing import Any, Final

_HEADER: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">6I")
_MAGIC: Final = 0x377F0682
_MX_FRAME: Final = slice(16, 20)
"""Where a -shm file says, in the machine's byte order, how many frames of the log are valid."""


def lost_commits(path: str) -> int:
    """How many durable commits in the log of a database cannot be read; 0 if it has none.

    Nobody in this process may have the database open, see `lost_to`. Raises `sqlite3.Error` and
    `OSError`.
    """
    # The connection is closed before the files.
    with ExitStack() as files, closing(connect_readonly(path)) as connection:
        return lost_to(connection, path, files)


def lost_to(connection: sqlite3.Connection, path: str, files: ExitStack) -> int:
    """The same of a connection that reads; the first of this process, and without a transaction.

    Where there is a log, the connection has SQLite recover it, which reads all of it. So whoever
    opens the database while it is open need not. `files` must be closed after the last of this
    process's connections: closing a -shm file ends their locks (POSIX `fcntl`).
    """
    try:
        log = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        raw = os.pread(log, _HEADER.size, 0)
        if len(raw) < _HEADER.size:
            return 0
        valid = _valid_frames(connection, path, files)
        magic, _, page_bytes, *_ = header = _HEADER.unpack(raw)
        if _is_whole(raw):
            frames = _Frames(log, magic & 1 == 0, page_bytes or 65_536)
            commits = frames.commits(valid, header[4:6])
        elif _is_torn(raw, os.pread(log, _FRAME.size, _HEADER.size)):
            return 0
        else:
            page_bytes = connection.execute("PRAGMA page_size").fetchone()[0]
            commits = _Frames(log, magic & 1 == 0, page_bytes).commits(0, None)
    finally:
        os.close(log)
    return commits if commits > 1 else 0


def connect_readonly(path: str, **more: Any) -> sqlite3.Connection:
    """A connection that cannot write, and leaves the log as it is when it is the last to close."""
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    connection: sqlite3.Connection = sqlite3.connect(f"file:{quoted}?mode=ro", uri=True, **more)
    return connection


def _is_whole(raw: bytes) -> bool:
    """Whether the log's header is what was written: its checksum holds."""
    magic, *_ = header = _HEADER.unpack(raw)
    if magic & ~1 != _MAGIC:
        return False
    return tuple(_checksum(raw[:24], (0, 0), little=magic & 1 == 0)) == header[6:]


def _is_torn(raw: bytes, frame: bytes) -> bool:
    """Whether a header was being written over the one before, when the log began anew.

    It does so once all of it is in the database. A full disk may take a part of the new header,
    which counts one more and has one more as its first salt; the first frame has the old salts.
    """
    if len(frame) < _FRAME.size:
        return False
    *start, number, salt, _, first, second = _HEADER.unpack(raw)
    salts = _FRAME.unpack(frame)[2:4]
    before = struct.pack(">6I", *start, (number - 1) & 0xFFFFFFFF, *salts)
    little = start[0] & 1 == 0
    return _checksum(before, (0, 0), little) == [first, second] or bool(salt == salts[0] + 1)


def _valid_frames(connection: sqlite3.Connection, path: str, files: ExitStack) -> int:
    """How many frames SQLite accepts."""
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    shared = os.open(f"{path}-shm", os.O_RDONLY | os.O_CLOEXEC)
    files.callback(os.close, shared)
    found: int = struct.unpack("=I", os.pread(shared, 32, 0)[_MX_FRAME])[0]
    return found


class _Frames:
    """The frames of a log, by their place in it."""

    def __init__(self, log: int, little: bool, page_bytes: int) -> None:
        """`little` is the byte order that checksums were made in."""
        self._log = log
        self._little = little
        self._bytes = _FRAME.size + page_bytes

    def commits(self, start: int, salts: tuple[int, ...] | None) -> int:
        """The most commits, from the frame `start` on, in one run of frames that follow each other.

        Only frames of the log's own time count, which salts tell. Each frame's checksum goes on
        from that of the frame before it. What commits that failed have left behind, one over the
        other, has the same salts and does not go on from another: such a run ends in one commit at
        most. Pages are read only where there are two: a large transaction that was cut short may
        have left any number of them.
        """
        ends: list[int] = []
        for index in range(start, (os.fstat(self._log).st_size - _HEADER.size) // self._bytes):
            page, pages, first_salt, second_salt, *_ = self._header(index)
            salts = salts or (first_salt, second_salt)
            if page and pages and (first_salt, second_salt) == salts:
                ends.append(index)
        most = count = min(len(ends), 1)
        for before, end in pairwise(ends):
            follows = all(self._follows(index) for index in range(before + 1, end + 1))
            count = count + 1 if follows else 1
            most = max(most, count)
        return most

    def _follows(self, index: int) -> bool:
        """Whether a frame goes on from the one before it, of the same time."""
        *_, salt_before, other_before, first, second = self._header(index - 1)
        frame = os.pread(self._log, self._bytes, self._place(index))
        page, _, salt, other, *sums = _FRAME.unpack(frame[: _FRAME.size])
        if not page or (salt, other) != (salt_before, other_before):
            return False
        data = frame[:8] + frame[_FRAME.size :]
        return _checksum(data, (first, second), self._little) == sums

    def _header(self, index: int) -> tuple[int, ...]:
        return _FRAME.unpack(os.pread(self._log, _FRAME.size, self._place(index)))

    def _place(self, index: int) -> int:
        return _HEADER.size + index * self._bytes


def _checksum(data: bytes, before: tuple[int, int], little: bool) -> list[int]:
    """SQLite's, of whole pairs of 32-bit words, going on from another."""
    words = struct.unpack(f"{'<' if little else '>'}{len(data) // 4}I", data)
    first, second = before
    for one, two in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return [first, second]
