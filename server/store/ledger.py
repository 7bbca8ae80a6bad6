"""Keys, usage and revocations in the SQLite file, beside what they are about."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from server.auth.keys import ApiKey, KeyLimits, Secret
from server.auth.ledger import Kept
from server.auth.revocation import Denial
from server.auth.usage import Usage

T = TypeVar("T")

Run = Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]]

_KEY_COLUMNS: Final = (
    "name, role, policy, origins, connections, messages_per_second, bytes_per_day, bytes_stored,"
    " created, expires, revoked"
)
_USAGE_COLUMNS: Final = (
    "name, connections, bytes_in, bytes_out, transactions, covalues, bytes_stored, day, day_bytes"
)


class SqliteLedger:
    """A `Ledger` in the tables of a bandstand file."""

    def __init__(self, run: Run) -> None:
        """`run` runs a function with the connection that writes; see `SqliteStore.run`."""
        self._run = run

    async def load(self) -> Kept:
        """See `Ledger.load`."""
        kept: Kept = await self._run(_load)
        return kept

    async def put_key(self, key: ApiKey) -> None:
        """See `Ledger.put_key`."""
        await self._run(lambda connection: _put_key(connection, key))

    async def put_usage(self, usages: Sequence[Usage]) -> None:
        """See `Ledger.put_usage`."""
        # Read here: the numbers go on changing while the thread writes.
        rows = [
            (
                u.name,
                u.connections,
                u.bytes_in,
                u.bytes_out,
                u.transactions,
                u.values,
                u.bytes_stored,
                u.day,
                u.day_bytes,
            )
            for u in usages
        ]
        await self._run(lambda connection: _put_usage(connection, rows))

    async def put_denials(self, denials: Iterable[Denial], now: float) -> None:
        """See `Ledger.put_denials`."""
        rows = [(d.kind, d.name, d.since, d.until) for d in denials]
        await self._run(lambda connection: _put_denials(connection, rows, now))


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _load(connection: sqlite3.Connection) -> Kept:
    secrets: dict[str, list[Secret]] = {}
    for name, digest, created, expires in connection.execute(
        "SELECT name, digest, created, expires FROM api_key_secrets ORDER BY created"
    ):
        secrets.setdefault(name, []).append(Secret(digest, created, expires))
    keys = [
        ApiKey(
            name,
            role,
            policy,
            tuple(origins.split()),
            KeyLimits(*limits),
            created,
            expires,
            revoked,
            tuple(secrets.get(name, ())),
        )
        for name, role, policy, origins, *limits, created, expires, revoked in connection.execute(
            f"SELECT {_KEY_COLUMNS} FROM api_keys"
        )
    ]
    usage = [Usage(*row) for row in connection.execute(f"SELECT {_USAGE_COLUMNS} FROM usage")]
    denials = [
        Denial(*row) for row in connection.execute("SELECT kind, name, since, until FROM denials")
    ]
    return Kept(keys, usage, denials)


def _put_key(connection: sqlite3.Connection, key: ApiKey) -> None:
    limits = key.limits
    row = (
        key.name,
        key.role,
        key.policy,
        " ".join(key.origins),
        limits.connections,
        limits.messages_per_second,
        limits.bytes_per_day,
        limits.bytes_stored,
        key.created,
        key.expires,
        key.revoked,
    )
    with _transaction(connection):
        connection.execute(f"REPLACE INTO api_keys ({_KEY_COLUMNS}) VALUES ({_marks(row)})", row)
        connection.execute("DELETE FROM api_key_secrets WHERE name = ?", (key.name,))
        connection.executemany(
            "INSERT INTO api_key_secrets (digest, name, created, expires) VALUES (?, ?, ?, ?)",
            [(s.digest, key.name, s.created, s.expires) for s in key.secrets],
        )


def _put_usage(connection: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> None:
    with _transaction(connection):
        connection.executemany(
            f"REPLACE INTO usage ({_USAGE_COLUMNS}) VALUES ({_marks(rows[0])})", rows
        )


def _put_denials(connection: sqlite3.Connection, rows: list[tuple[Any, ...]], now: float) -> None:
    with _transaction(connection):
        connection.execute("DELETE FROM denials WHERE until <= ?", (now,))
        connection.executemany(
            "REPLACE INTO denials (kind, name, since, until) VALUES (?, ?, ?, ?)", rows
        )


def _marks(row: tuple[Any, ...]) -> str:
    return ", ".join("?" * len(row))
