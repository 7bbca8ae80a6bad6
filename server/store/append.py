"""Appending to the SQLite file: what a commit does in the writer's thread.

Where each CoValue and session stands is remembered, so that an append to one that was written
lately reads nothing. What is remembered holds as long as nobody else writes to the file, which
`PRAGMA data_version` tells; a commit that fails forgets everything.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

from server.store.checksum import checksum
from server.store.interface import Change

COUNT: Final = (
    "(SELECT first + count FROM chunks WHERE session = s.key ORDER BY first DESC LIMIT 1)"
)
"""How many transactions the session `s` has."""

_REMEMBERED: Final = 20_000

_Row = tuple[int, int, int, str, bytes, bytes]


_INSERT: Final = (
    "INSERT INTO chunks (session, first, count, signature, checksum, data)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)


class _Conflict(Exception):
    """A change found its CoValue or a session elsewhere than it stated."""


class _Place(NamedTuple):
    """A session's row, and where its next transaction goes."""

    session: int
    end: int


class Appender:
    """Applies changes through one connection, whose thread alone may call it."""

    def __init__(self) -> None:
        self._version = -1
        self._covalues: dict[str, int] = {}
        self._places: dict[tuple[int, str], _Place] = {}
        self._rows: list[_Row] = []

    def commit(self, connection: sqlite3.Connection, changes: Sequence[Change]) -> list[bool]:
        """Apply the changes in one transaction; see `Store.commit`.

        Raises `sqlite3.Error` if the file does not take them; then none was applied.
        """
        applied = [True] * len(changes)
        together = True
        while True:
            connection.execute("BEGIN IMMEDIATE")
            index = 0
            try:
                self._check_version(connection)
                for index, change in enumerate(changes):
                    if applied[index]:
                        self._apply(connection, change)
                        if not together:
                            self._write_rows(connection)
                self._write_rows(connection)
                connection.execute("COMMIT")
                return applied
            except BaseException as error:
                self._forget()
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.IntegrityError | sqlite3.DataError) and together:
                    # Whose rows they are shows when each change writes its own.
                    together = False
                elif isinstance(error, _Conflict | sqlite3.IntegrityError | sqlite3.DataError):
                    applied[index] = False
                else:
                    raise

    def _check_version(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version or len(self._places) > _REMEMBERED:
            self._forget()
            self._version = version

    def _forget(self) -> None:
        self._covalues.clear()
        self._places.clear()
        self._rows.clear()

    def _apply(self, connection: sqlite3.Connection, change: Change) -> None:
        covalue = self._covalue(connection, change)
        if change.erase:
            self._erase(connection, covalue)
        if change.dependencies:
            connection.executemany(
                "INSERT OR IGNORE INTO dependencies VALUES (?, ?)",
                [(covalue, dependency) for dependency in change.dependencies],
            )
        for chunk in change.chunks:
            place = self._places.get((covalue, chunk.session))
            if place is None:
                place = _find(connection, covalue, chunk.session)
            if chunk.first != place.end:
                raise _Conflict
            self._places[covalue, chunk.session] = _Place(place.session, chunk.first + chunk.count)
            digest = checksum(change.covalue, chunk)
            self._rows.append(
                (place.session, chunk.first, chunk.count, chunk.signature, digest, chunk.data)
            )

    def _covalue(self, connection: sqlite3.Connection, change: Change) -> int:
        """The CoValue's row, made if the change brings its header."""
        covalue = self._covalues.get(change.covalue)
        if covalue is None and change.header is None:
            row = connection.execute(
                "SELECT key FROM covalues WHERE id = ?", (change.covalue,)
            ).fetchone()
            covalue = None if row is None else row[0]
        if (covalue is None) != (change.header is not None):
            raise _Conflict
        if covalue is None:
            covalue = connection.execute(
                "INSERT INTO covalues (id, header) VALUES (?, ?)", (change.covalue, change.header)
            ).lastrowid
            assert covalue is not None
        self._covalues[change.covalue] = covalue
        return covalue

    def _write_rows(self, connection: sqlite3.Connection) -> None:
        # One row a statement: of longer ones SQLite copies the values, which costs more than it
        # saves.
        if self._rows:
            connection.executemany(_INSERT, self._rows)
            self._rows.clear()

    def _erase(self, connection: sqlite3.Connection, covalue: int) -> None:
        self._write_rows(connection)
        live = "SELECT key FROM sessions WHERE covalue = ? AND id NOT LIKE '%$'"
        connection.execute(f"DELETE FROM chunks WHERE session IN ({live})", (covalue,))
        connection.execute(f"DELETE FROM sessions WHERE key IN ({live})", (covalue,))
        connection.execute("UPDATE covalues SET deleted = 1 WHERE key = ?", (covalue,))
        self._places.clear()


def _find(connection: sqlite3.Connection, covalue: int, session: str) -> _Place:
    """Where the session stands; its row is made if there is none."""
    row = connection.execute(
        f"SELECT key, {COUNT} FROM sessions s WHERE covalue = ? AND id = ?", (covalue, session)
    ).fetchone()
    if row is not None:
        return _Place(*row)
    made = connection.execute(
        "INSERT INTO sessions (covalue, id) VALUES (?, ?)", (covalue, session)
    ).lastrowid
    assert made is not None
    return _Place(made, 0)
