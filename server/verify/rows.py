"""What SQLite says of a file, rows that belong to nothing, and which CoValues there are."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from typing import Final

from server.store.damage import is_damage
from server.verify.findings import Finding

_LINES: Final = 100
_TREE: Final = re.compile(r"(?:Tree|tree page|On tree page) (\d+)")
_DANGLING: Final = (
    ("sessions", "covalue", "covalues", "CoValue"),
    ("chunks", "session", "sessions", "session"),
    ("dependencies", "covalue", "covalues", "CoValue"),
)


def structure(connection: sqlite3.Connection) -> Iterator[Finding]:
    """What SQLite's own check finds: pages, indexes, the free list, types; 100 lines at most."""
    try:
        tables = {
            str(page): name
            for name, page in connection.execute("SELECT name, rootpage FROM sqlite_schema")
        }
        for (text,) in connection.execute(f"PRAGMA integrity_check({_LINES})"):
            for line in str(text).splitlines():
                if line == "ok" or line.startswith("***"):
                    continue
                tree = _TREE.search(line)
                table = tables.get(tree[1]) if tree else None
                where = "the file" if table is None else f"table or index {table}"
                yield Finding(f"SQLite says: {line}", where)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        yield Finding(f"SQLite says: {error}", "the file")


def dangling(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Rows whose CoValue or session is not there."""
    for table, column, parent, what in _DANGLING:
        try:
            rows = connection.execute(
                f"SELECT {column}, count(*) FROM {table}"
                f" WHERE {column} NOT IN (SELECT key FROM {parent}) GROUP BY {column}"
            )
            for key, count in rows:
                text = f"{count} rows of a {what} that is not there"
                yield Finding(text, f"table {table}, {column} {key}")
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            yield Finding(f"it cannot be read through: {error}", f"table {table}")


def covalue_keys(connection: sqlite3.Connection) -> list[int]:
    """The keys of all CoValues, those included that only the table or only the index still has."""
    keys: set[int] = set()
    for source in ("NOT INDEXED", "INDEXED BY sqlite_autoindex_covalues_1"):
        try:
            for (key,) in connection.execute(f"SELECT key FROM covalues {source}"):
                keys.add(key)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
    return sorted(keys)
