"""What the command refuses: one line on standard error, and the exit code of `server.errors`."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from server import errors
from tests.integration.operations.command import Ended, names, run, serving

pytestmark = pytest.mark.anyio


def assert_refused(ended: Ended, code: int, *parts: str) -> None:
    """Ended with the code, and said why in one line."""
    assert ended.code == code, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr.startswith("bandstand")
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    for part in parts:
        assert part in ended.stderr


def test_the_codes_are_those_that_are_documented() -> None:
    documented = dict[str, int]()
    for line in (errors.__doc__ or "").splitlines():
        name, *rest = line.lstrip(" │├└─").split()[:2] or [""]
        if rest and rest[0].isdigit():
            documented[name] = int(rest[0])
    assert documented == {name: getattr(errors, name).exit_code for name in documented}
    assert documented.keys() == {
        "BadSettings",
        "PortUnavailable",
        "StoreError",
        "ForeignDatabase",
        "NewerDatabase",
        "StoreDamaged",
        "StoreUnavailable",
    }


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["COMMAND"]),
        (["conduct"], ["conduct"]),
        (["serve", "--bogus"], ["--bogus"]),
        (["serve", "--port"], ["--port"]),
        (["serve", "--port", "http"], ["--port", "http"]),
        (["serve", "--port", "65536"], ["--port", "65536", "65535"]),
        (["serve", "--port", "-1"], ["--port", "-1"]),
        (["serve", "--log-level", "loud"], ["--log-level", "loud", "debug"]),
        (["serve", "--log-format", "xml"], ["--log-format", "xml", "json"]),
        (["serve", "--config", "none.toml"], ["none.toml", "No such file"]),
        (["serve", "--db", "a.db", "--in-memory"], ["--db", "--in-memory"]),
        (["serve", "--in-memory", "--db", "a.db"], ["--db", "--in-memory"]),
    ],
    ids=lambda each: " ".join(each) or "nothing" if isinstance(each, list) else None,
)
async def test_bad_arguments(tmp_path: Path, arguments: list[str], parts: list[str]) -> None:
    assert_refused(await run(tmp_path, *arguments), 64, *parts)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROT", "4200"),
        ("PORT", "http"),
        ("PING_SECONDS", "10"),
        ("CONFIG", "none.toml"),
        ("OPEN", "maybe"),
    ],
)
async def test_bad_variables(tmp_path: Path, name: str, value: str) -> None:
    variable = f"BANDSTAND_{name}"
    said = {"PING_SECONDS": "ping_seconds", "CONFIG": "none.toml"}.get(name, variable)
    assert_refused(await run(tmp_path, "serve", env={variable: value}), 64, said)


async def test_a_bad_file(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    write(config, "port = 'many'")
    ended = await run(tmp_path, "serve", "--config", "settings.toml")
    assert_refused(ended, 64, "settings.toml", "port", "'many'")


async def test_a_port_that_is_taken(tmp_path: Path) -> None:
    async with serving(tmp_path, "--in-memory") as server:
        port = str(server.port)
        ended = await run(tmp_path, "serve", "--port", port, "--db", "other.db")
        assert_refused(ended, 69, port, "--port")


async def test_an_address_that_is_not_ours(tmp_path: Path) -> None:
    ended = await run(tmp_path, "serve", "--host", "203.0.113.1", "--open", "--in-memory")
    assert_refused(ended, 69, "203.0.113.1", "--host")


async def test_a_database_that_is_in_use(tmp_path: Path) -> None:
    async with serving(tmp_path, "--db", "band.db"):
        ended = await run(tmp_path, "serve", "--port", "0", "--db", "band.db")
        assert_refused(ended, 74, "band.db", "in use by another bandstand")


@pytest.mark.parametrize("place", [".", "none/band.db", "file/band.db"])
async def test_a_database_that_cannot_be_written(tmp_path: Path, place: str) -> None:
    write(tmp_path / "file", "")
    ended = await run(tmp_path, "serve", "--port", "0", "--db", place)
    assert_refused(ended, 74, place, "--db")


async def test_no_database(tmp_path: Path) -> None:
    write(tmp_path / "diary.db", "Dear diary, " * 1000)
    ended = await run(tmp_path, "serve", "--port", "0", "--db", "diary.db")
    assert_refused(ended, 65, "diary.db")
    assert (tmp_path / "diary.db").stat().st_size == 12_000


async def test_another_programs_database(tmp_path: Path) -> None:
    execute(tmp_path / "invoices.db", "CREATE TABLE invoices (id)")
    ended = await run(tmp_path, "serve", "--port", "0", "--db", "invoices.db")
    assert_refused(ended, 65, "invoices.db", "another program")


async def test_a_newer_bandstands_database(tmp_path: Path) -> None:
    async with serving(tmp_path, "--db", "band.db") as server:
        await server.stop()
    execute(tmp_path / "band.db", "PRAGMA user_version = 99")
    ended = await run(tmp_path, "serve", "--port", "0", "--db", "band.db")
    assert_refused(ended, 65, "band.db", "99", "upgrade")


def write(path: Path, text: str) -> None:
    """Make a file."""
    path.write_text(text)


def execute(path: Path, statement: str) -> None:
    """Run a statement as another program would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)
