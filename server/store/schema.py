"""The format of the SQLite file, its version, and the way from one version to the next.

    covalues      one row a CoValue: its id, its header's canonical text, whether it is deleted
    sessions      one row a session
    chunks        consecutive transactions of a session that one signature closes, and a checksum
    dependencies  what a group's transactions name
    api_keys, api_key_secrets    who may connect; of secrets, the SHA-256
    usage, denials               what each key has used; sessions that were ended

Chunks lie in the order in which they came, so a commit writes few pages, whatever it is about;
`chunk_places` finds them. How many transactions a session has is where its last chunk ends, and
stands nowhere else: so nothing can disagree.

`PRAGMA application_id` says that the file is bandstand's, `PRAGMA user_version` which version.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from server.errors import ForeignDatabase, NewerDatabase, StoreDamaged

APPLICATION_ID: Final = 0x62646E64  # "bdnd"

_VERSION_1: Final = """
CREATE TABLE covalues (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    header BLOB NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE sessions (
    key INTEGER PRIMARY KEY,
    covalue INTEGER NOT NULL REFERENCES covalues,
    id TEXT NOT NULL,
    UNIQUE (covalue, id)
) STRICT;
CREATE TABLE chunks (
    session INTEGER NOT NULL REFERENCES sessions,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    signature TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (session, first)
) STRICT, WITHOUT ROWID;
CREATE TABLE dependencies (
    covalue INTEGER NOT NULL REFERENCES covalues,
    id TEXT NOT NULL,
    PRIMARY KEY (covalue, id)
) STRICT, WITHOUT ROWID;
"""

_VERSION_2: Final = """
CREATE TABLE api_keys (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    policy TEXT,
    origins TEXT NOT NULL,
    connections INTEGER NOT NULL,
    messages_per_second INTEGER NOT NULL,
    bytes_per_day INTEGER NOT NULL,
    bytes_stored INTEGER NOT NULL,
    created REAL NOT NULL,
    expires REAL,
    revoked REAL
) STRICT, WITHOUT ROWID;
CREATE TABLE api_key_secrets (
    digest BLOB PRIMARY KEY,
    name TEXT NOT NULL REFERENCES api_keys,
    created REAL NOT NULL,
    expires REAL
) STRICT, WITHOUT ROWID;
CREATE TABLE usage (
    name TEXT PRIMARY KEY,
    connections INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL,
    transactions INTEGER NOT NULL,
    covalues INTEGER NOT NULL,
    bytes_stored INTEGER NOT NULL,
    day INTEGER NOT NULL,
    day_bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE denials (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    since REAL NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
"""

# NULL in chunks that an older version stored: those are held against their signatures by
# `bandstand verify` alone.
_VERSION_3: Final = """
CREATE TABLE chunks_3 (
    key INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES sessions,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    signature TEXT NOT NULL,
    checksum BLOB,
    data BLOB NOT NULL
) STRICT;
INSERT INTO chunks_3 (session, first, count, signature, data)
    SELECT session, first, count, signature, data FROM chunks ORDER BY session, first;
DROP TABLE chunks;
ALTER TABLE chunks_3 RENAME TO chunks;
CREATE UNIQUE INDEX chunk_places ON chunks (session, first);
"""
"""Whoever looks for a place in a table without rowids reads whole chunks on the way."""

MIGRATIONS: Final = [_VERSION_1, _VERSION_2, _VERSION_3]
"""Each entry takes a file from the version that is its index to the next one."""


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Create or migrate the file behind `connection`, all or nothing.

    Raises `ForeignDatabase` if the file holds something else, `StoreDamaged` if SQLite cannot read
    it, and `NewerDatabase` if its version is
    one that this release does not know.
    """
    try:
        application_id = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    except sqlite3.OperationalError:
        raise  # Locked, or unreadable now: that says nothing about what it is.
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CORRUPT:
            raise StoreDamaged(
                f"{path} is damaged or cut off ({error}); restore a backup, or see what is left:"
                " bandstand verify"
            ) from None
        raise ForeignDatabase(
            f"{path} is no SQLite database ({error}); name another file"
        ) from None
    if application_id != APPLICATION_ID and (tables or application_id or version):
        raise ForeignDatabase(f"{path} is a database of another program; name another file")
    if version > len(MIGRATIONS):
        raise NewerDatabase(
            f"{path} has format {version}, this bandstand knows up to {len(MIGRATIONS)}; upgrade it"
        )
    if version == len(MIGRATIONS):
        return
    steps = "".join(MIGRATIONS[version:])
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE; {steps}"
            f"PRAGMA application_id = {APPLICATION_ID};"
            f"PRAGMA user_version = {len(MIGRATIONS)}; COMMIT;"
        )
    except sqlite3.Error:
        if connection.in_transaction:
            connection.rollback()
        raise
