"""Keeping the write-ahead log short: whoever starts after a crash has to read all of it.

SQLite copies the log into the database with every commit that makes it longer than 4 MB. But it
begins the log anew only with a commit during which nobody reads, and under load there is always
somebody: then the log grows, and each commit pays for a copy.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

_COMMIT_BYTES: Final = 16 * 1024
"""What the smallest commit writes, about."""
_LOOK_BYTES: Final = 1024 * 1024
"""After so many it is looked at: after each, small commits would take a tenth longer."""
LOG_BYTES: Final = 8 * 1024 * 1024
"""Beyond this the log begins anew. A few commits fit between SQLite's mark and this one."""


def limit(connection: sqlite3.Connection) -> None:
    """Cut the log, when it begins anew, to what it should be; that much is written over.

    A log that is written over is synced quicker than one that grows.
    """
    connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")


class LogLength:
    """What the threads of the connections that write and read agree on."""

    def __init__(self, path: str) -> None:
        """`path` is the database's."""
        self._log = f"{path}-wal"
        self._beyond = LOG_BYTES
        self._written = 0
        """About how many bytes were written since the log was last looked at."""
        self._reading = threading.Lock()

    def read(
        self, connection: sqlite3.Connection, function: Callable[[sqlite3.Connection], T]
    ) -> T:
        """Run something that reads."""
        with self._reading:
            return function(connection)

    def shorten(self, connection: sqlite3.Connection, size: int) -> None:
        """After a commit of `size` bytes: if the log is too long, have the next begin it anew.

        While nobody reads here, which is short: with the commit SQLite has copied all but what
        somebody was reading. Somebody elsewhere (`bandstand verify`, a backup) is not waited
        for; until they have ended the log grows. Raises nothing: what was committed is durable
        wherever it stands.
        """
        self._written += size + _COMMIT_BYTES
        if self._written < _LOOK_BYTES:
            return
        self._written = 0
        size = _size(self._log)
        if size <= self._beyond:
            if size <= LOG_BYTES:
                self._beyond = LOG_BYTES
            return
        with self._reading:
            busy_ms = connection.execute("PRAGMA busy_timeout").fetchone()[0]
            connection.execute("PRAGMA busy_timeout = 0")
            try:
                connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            except sqlite3.Error:
                pass  # The next commit says what is wrong with the disk.
            finally:
                connection.execute(f"PRAGMA busy_timeout = {busy_ms}")
        self._beyond = _size(self._log) + LOG_BYTES


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
