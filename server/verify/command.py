"""The command: opens the file to read, shares the work out over the cores, prints what it finds."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import sqlite3
import sys
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing
from time import perf_counter
from types import FrameType
from typing import Final, TextIO

from server.errors import ForeignDatabase, NewerDatabase, StoreDamaged, StoreError
from server.store.damage import is_cut_off, is_damage
from server.store.schema import APPLICATION_ID, MIGRATIONS
from server.store.wal import connect_readonly, lost_commits
from server.verify.covalues import Checker
from server.verify.facts import Facts, facts_path, load_facts, save_facts
from server.verify.findings import RESTORE, Counts, Finding, Found
from server.verify.pace import Pace
from server.verify.progress import Progress
from server.verify.rows import covalue_keys, dangling, structure

_BATCH: Final = 50
_SAVE_S: Final = 10.0
_SHOW_S: Final = 0.1
_ALONE_BYTES: Final = 32 * 1024 * 1024
"""Up to this size of a file one process is quicker than several."""
INTERRUPTED: Final = 130
_CONTEXT: Final = multiprocessing.get_context("spawn")


def verify(path: str, *, fresh: bool, out: TextIO, err: TextIO) -> int:
    """Check the database at `path`; the exit code: 0 if it is sound, 65 if anything is damaged.

    Writes findings and a summary to `out`, progress to `err` if that is a terminal. `fresh`
    forgets what earlier runs proved. Raises `StoreError` if the file cannot be read or is no
    bandstand database.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _Run(path, fresh, out, Progress(err)).run()
    except KeyboardInterrupt:
        return INTERRUPTED  # Before there was anything to remember, or after it was.


class _Run:
    """One run over one database."""

    def __init__(self, path: str, fresh: bool, out: TextIO, progress: Progress) -> None:
        self._path = path
        self._out = out
        self._progress = progress
        self._known: Facts = {} if fresh else load_facts(path)
        self._proved: Facts = {}
        self._findings = 0
        self._counts = Counts()
        self._saved = self._started = perf_counter()
        self._pace = Pace(_CONTEXT)

    def run(self) -> int:
        served = _is_served(self._path)
        if served:
            self._say(f"a server has {self._path} open: it is read beside it, commit by commit")
        elif self._check_file():
            # What is not all there cannot be opened, or not without losing what is left.
            return self._end()
        try:
            with closing(_open(self._path)) as connection:
                self._check_rows(connection)
                keys = covalue_keys(connection)
            self._check_all(keys)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise StoreError(f"cannot read {self._path}: {error}") from None
            self._report(Finding(f"SQLite says: {error}", self._path))
        except KeyboardInterrupt:
            self._save({**self._known, **self._proved})
            self._progress.clear()
            self._say("interrupted; the next run goes on from here")
            return INTERRUPTED
        self._save(self._proved)
        return self._end()

    def _check_file(self) -> bool:
        """Look at the file and its log from outside. Returns whether they are damaged."""
        try:
            if is_cut_off(self._path):
                self._report(Finding("it is shorter than it says: cut off", self._path))
                return True
            lost = lost_commits(self._path)
        except OSError as error:
            raise StoreError(f"cannot read {self._path}: {error.strerror}") from None
        except sqlite3.DatabaseError:
            return False  # Whatever it is, opening it says so.
        if lost:
            what = f"{lost} commits behind a damage cannot be read"
            advice = f"copy both files before anything else; {RESTORE}"
            self._report(Finding(what, f"{self._path}-wal", advice))
        return lost > 0

    def _check_rows(self, connection: sqlite3.Connection) -> None:
        self._progress.show("SQLite's own check")
        for finding in structure(connection):
            self._report(finding)
        self._progress.show("rows that belong to nothing")
        for finding in dangling(connection):
            self._report(finding)

    def _check_all(self, keys: list[int]) -> None:
        batches = (keys[at : at + _BATCH] for at in range(0, len(keys), _BATCH))
        if os.path.getsize(self._path) <= _ALONE_BYTES:
            with closing(_open(self._path)) as connection:
                checker = Checker(connection, self._known, self._pace)
                for batch in batches:
                    self._take(_together(checker, batch))
            return
        processes = len(os.sched_getaffinity(0))
        begun = (self._path, self._known, self._pace)
        with ProcessPoolExecutor(processes, _CONTEXT, _begin, begun) as pool:
            waiting: list[Future[Found]] = []
            try:
                for batch in batches:
                    waiting.append(pool.submit(_check, batch))
                    if len(waiting) > 2 * processes:
                        self._take(self._result(waiting[0]))
                        del waiting[0]
                while waiting:
                    self._take(self._result(waiting[0]))
                    del waiting[0]
            except BaseException:
                self._pace.stop()
                pool.shutdown(wait=False, cancel_futures=True)
                for future in waiting:
                    # Those that were under way say how far they are.
                    if not future.cancelled() and future.exception() is None:
                        self._proved.update(future.result().facts)
                raise

    def _result(self, future: Future[Found]) -> Found:
        while True:
            try:
                return future.result(_SHOW_S)
            except TimeoutError:
                self._show()

    def _take(self, found: Found) -> None:
        for finding in found.findings:
            self._report(finding)
        self._counts.add(found.counts)
        self._proved.update(found.facts)
        self._show()
        if perf_counter() - self._saved > _SAVE_S:
            self._save({**self._known, **self._proved})

    def _show(self) -> None:
        done = self._pace.read
        total = max(os.path.getsize(self._path), 1)
        seconds = max(perf_counter() - self._started, 0.001)
        self._progress.bar(
            done / total,
            f"{self._counts.covalues:,} CoValues, {done / 1e6 / seconds:,.0f} MB/s,"
            f" {self._findings} damaged",
        )

    def _save(self, facts: Facts) -> None:
        if not save_facts(self._path, facts):
            self._say(f"cannot write {facts_path(self._path)}: the next run starts over")
        self._saved = perf_counter()

    def _report(self, finding: Finding) -> None:
        self._findings += 1
        self._say(str(finding))

    def _say(self, line: str) -> None:
        self._progress.clear()
        self._out.write(line.encode("utf-8", "backslashreplace").decode() + "\n")
        self._out.flush()

    def _end(self) -> int:
        self._progress.clear()
        counts, seconds = self._counts, max(perf_counter() - self._started, 0.001)
        size = counts.bytes / 1e6
        self._say(
            f"{counts.covalues:,} CoValues, {counts.sessions:,} sessions, {counts.chunks:,} chunks,"
            f" {counts.transactions:,} transactions, {size:,.1f} MB in {seconds:.1f} s"
            f" ({size / seconds:,.1f} MB/s)"
        )
        self._say(
            f"{counts.signatures:,} signatures checked ({counts.signatures / seconds:,.0f}/s),"
            f" {counts.known:,} proved by an earlier run over the same bytes"
        )
        if self._findings:
            self._say(f"{self._path} is damaged: {self._findings} findings")
            return StoreDamaged.exit_code
        self._say(f"{self._path} is sound")
        return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _is_served(path: str) -> bool:
    """Whether a server has the file open; it holds a lock on it then."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}; name a database file") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _open(path: str) -> sqlite3.Connection:
    """The file, to read only. Raises `ForeignDatabase`, `NewerDatabase`, `sqlite3.Error`."""
    connection = connect_readonly(path, isolation_level=None)
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION_ID:
            raise ForeignDatabase(f"{path} is no bandstand database; name another file")
        if version > len(MIGRATIONS):
            raise NewerDatabase(
                f"{path} has format {version}, this bandstand knows up to {len(MIGRATIONS)};"
                " upgrade it"
            )
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.DatabaseError) and (
            getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_NOTADB
        ):
            raise ForeignDatabase(f"{path} is no SQLite database; name another file") from None
        raise
    return connection


_checkers: Final[list[Checker]] = []
"""This process's, once it has begun."""


def _begin(path: str, facts: Facts, pace: Pace) -> None:
    """Make a process ready to check. An interrupt is for the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _checkers.append(Checker(_open(path), facts, pace))


def _check(keys: list[int]) -> Found:
    return _together(_checkers[0], keys)


def _together(checker: Checker, keys: list[int]) -> Found:
    """What comes of several CoValues."""
    found = Found()
    for key in keys:
        part = checker.check(key)
        found.findings += part.findings
        found.counts.add(part.counts)
        found.facts.update(part.facts)
    return found


def main(path: str, *, fresh: bool) -> int:
    """`verify` on the standard streams."""
    return verify(path, fresh=fresh, out=sys.stdout, err=sys.stderr)
