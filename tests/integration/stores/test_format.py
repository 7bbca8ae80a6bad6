"""The format of the SQLite file: its version, the way to the next one, and foreign files."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from server.errors import ForeignDatabase, NewerDatabase, StoreError
from server.store import schema
from server.store.sqlite import SqliteStore
from tests.integration.stores.conftest import Open, open_and_close
from tests.integration.stores.making import HEADER, S1, A, appended, chunk, created, texts, whole

pytestmark = pytest.mark.anyio

TODAY = len(schema.MIGRATIONS)
NOTES = "SELECT count(*) FROM pragma_table_info('covalues') WHERE name = 'note'"
NEXT_STEP = """
ALTER TABLE covalues ADD COLUMN note TEXT NOT NULL DEFAULT 'new';
CREATE INDEX notes ON covalues (note);
"""


@contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, opened by somebody else."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def value(path: Path, statement: str) -> object:
    """The first value that a statement gives."""
    with raw(path) as connection:
        return connection.execute(statement).fetchone()[0]


async def make(path: Path) -> None:
    """A file of today's version with something in it, closed."""
    store = await SqliteStore.open(str(path))
    assert await store.commit([created(A, chunk(S1, 0, 3))]) == [True]
    await store.close()


async def test_a_new_file_says_whose_it_is_and_which_version(path: Path) -> None:
    await make(path)
    assert value(path, "PRAGMA application_id") == int.from_bytes(b"bdnd", "big")
    assert value(path, "PRAGMA user_version") == len(schema.MIGRATIONS)
    assert value(path, "PRAGMA integrity_check") == "ok"
    assert value(path, "PRAGMA journal_mode") == "wal"


async def test_all_tables_are_strict(path: Path) -> None:
    await make(path)
    with raw(path) as connection:
        tables = connection.execute(
            "SELECT name, strict FROM pragma_table_list"
            " WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        assert dict(tables) == dict.fromkeys(
            (
                *("covalues", "sessions", "chunks", "dependencies"),
                *("api_keys", "api_key_secrets", "usage", "denials"),
            ),
            1,
        )
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("UPDATE chunks SET count = 'many'")


async def test_a_file_of_an_older_version_is_migrated(
    path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(path)
    monkeypatch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, NEXT_STEP])
    store = await opened()
    assert await whole(store, A) == {S1: texts(chunk(S1, 0, 3))}
    assert await store.commit([appended(A, chunk(S1, 3))]) == [True]
    # And from then on it is opened without a step.
    again = await opened()
    assert value(path, "PRAGMA user_version") == len(schema.MIGRATIONS)
    assert value(path, "SELECT note FROM covalues") == "new"
    assert (await again.load([A]))[A].sessions == {S1: 4}


async def test_a_new_file_goes_all_the_steps(
    path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, NEXT_STEP])
    await opened()
    assert value(path, "PRAGMA user_version") == len(schema.MIGRATIONS)
    assert value(path, NOTES) == 1


async def test_a_step_that_fails_leaves_the_file_as_it_was(
    path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(path)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, NEXT_STEP + "DROP TABLE none;"])
        with pytest.raises(StoreError, match="no such table"):
            await open_and_close(str(path))
    assert value(path, "PRAGMA user_version") == len(schema.MIGRATIONS)
    assert value(path, NOTES) == 0
    assert await whole(await opened(), A) == {S1: texts(chunk(S1, 0, 3))}


async def test_a_file_of_a_newer_version_is_refused_and_kept(path: Path) -> None:
    await make(path)
    with raw(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = files(path)
    with pytest.raises(NewerDatabase) as refusal:
        await open_and_close(str(path))
    assert str(path) in str(refusal.value)
    assert "99" in str(refusal.value)
    assert files(path) == before


def files(path: Path) -> dict[str, bytes]:
    """The file and whatever lies beside it."""
    return {each.name: each.read_bytes() for each in path.parent.iterdir()}


def foreign_tables(path: Path) -> None:
    """Somebody's database."""
    with raw(path) as connection:
        connection.execute("CREATE TABLE invoices (id)")


def foreign_application(path: Path) -> None:
    """Somebody's database without tables, which says whose it is."""
    with raw(path) as connection:
        connection.execute("PRAGMA application_id = 1234")


def foreign_version(path: Path) -> None:
    """Somebody's database without tables, which has a version."""
    with raw(path) as connection:
        connection.execute("PRAGMA user_version = 1")


def text(path: Path, written: str = "Dear diary, " * 1000) -> None:
    """No database, longer than a page."""
    path.write_text(written)


def short_text(path: Path) -> None:
    """No database, shorter than the header of one."""
    text(path, "hello")


def damaged_header(path: Path) -> None:
    """Begins like a database and is none."""
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)


@pytest.mark.parametrize(
    "make_file",
    [foreign_tables, foreign_application, foreign_version, text, short_text, damaged_header],
)
async def test_what_is_not_ours_is_refused_and_kept(
    path: Path, make_file: Callable[[Path], None]
) -> None:
    make_file(path)
    before = files(path)
    with pytest.raises(ForeignDatabase) as refusal:
        await open_and_close(str(path))
    assert str(path) in str(refusal.value)
    assert files(path) == before


async def test_an_empty_file_becomes_a_database(path: Path, opened: Open) -> None:
    text(path, "")
    store = await opened()
    assert await store.commit([created(A)]) == [True]


async def test_a_file_that_somebody_else_has_locked_is_not_called_foreign(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.store.sqlite._BUSY_S", 0.01)
    with raw(path) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("CREATE TABLE invoices (id)")
        with pytest.raises(StoreError, match="locked") as refusal:
            await open_and_close(str(path))
    assert not isinstance(refusal.value, ForeignDatabase)
    assert refusal.value.exit_code == 74


@pytest.mark.parametrize("version", range(1, TODAY))
async def test_every_version_that_there_was_is_migrated(
    path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:version])
        await open_and_close(str(path))
    old = chunk(S1, 0, 3)
    with raw(path) as connection:
        connection.execute("INSERT INTO covalues VALUES (1, ?, ?, 0)", (A, HEADER))
        connection.execute("INSERT INTO sessions VALUES (1, 1, ?)", (S1,))
        row = (1, old.first, old.count, old.signature, old.data)
        connection.execute("INSERT INTO chunks VALUES (?, ?, ?, ?, ?)", row)
    assert value(path, "PRAGMA user_version") == version
    store = await opened()
    assert value(path, "PRAGMA user_version") == TODAY
    # What an older version stored has no checksum, and is read all the same.
    assert await store.commit([appended(A, chunk(S1, 3))]) == [True]
    assert await whole(store, A) == {S1: texts(old, chunk(S1, 3))}
