"""`bandstand verify`: what is sound passes, each kind of damage is named, a second run is short."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.integration.operations.command import Ended, run, serving
from tests.integration.operations.talk import talking
from tests.integration.sync.stage import Band
from tests.signing import Account, Agent, Session, content, deletion, session_id

pytestmark = pytest.mark.anyio

DB = "band.db"
EDITS = 30
BYTES = 3_000


@pytest.fixture
async def band(tmp_path: Path, anyio_backend: str) -> Band:
    """A band whose map was uploaded edit by edit, and one more map, deleted."""
    made = Band()
    async with serving(tmp_path, "--db", DB) as server:
        async with talking(server.url) as talk:
            await talk.upload(*made.first())
            for number in range(EDITS):
                await talk.upload(made.edit(f"{number:04}" + "x" * BYTES))
            other = Band("bob")
            await talk.upload(*other.first())
            gone = other.account.delete_session()
            marker = gone.append(deletion(other.map.id, made_at=9))
            await talk.upload(content(other.map, {gone.id: marker}))
        await server.stop()
    return made


def change(folder: Path, *statements: str) -> None:
    """Change rows behind everybody's back."""
    with closing(sqlite3.connect(folder / DB, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement


async def verified(folder: Path, *more: str) -> Ended:
    """What `verify` says."""
    return await run(folder, "verify", DB, *more)


def checked(ended: Ended) -> int:
    """How many signatures were checked."""
    found = re.search(r"([\d,]+) signatures checked", ended.stdout)
    assert found
    return int(found[1].replace(",", ""))


def findings(ended: Ended) -> list[str]:
    """The lines that name damage."""
    return [line for line in ended.stdout.splitlines() if line.startswith("damaged: ")]


async def test_a_sound_file_is_called_sound(tmp_path: Path, band: Band) -> None:
    before = (tmp_path / DB).read_bytes()
    ended = await verified(tmp_path)
    assert (ended.code, ended.stderr) == (0, "")
    assert findings(ended) == []
    # Two accounts, two groups, two maps; the deleted one keeps its delete session alone.
    assert "6 CoValues, 6 sessions, 36 chunks, 36 transactions" in ended.stdout
    assert checked(ended) == 36
    assert (tmp_path / DB).read_bytes() == before


MAP = f"(SELECT covalue FROM sessions s JOIN chunks c ON c.session = s.key WHERE c.first = {EDITS})"
LOG = f"(SELECT session FROM chunks WHERE first = {EDITS})"
UNSUMMED = "UPDATE chunks SET checksum = NULL"
"""As a file of an older version has it: the signatures must do."""
TOMBSTONE = "(SELECT key FROM covalues WHERE deleted)"


def _data(change: str) -> str:
    return f"UPDATE chunks SET data = CAST({change} AS BLOB) WHERE first = 7 AND session = {LOG}"


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([_data("replace(data, 'xxx', 'xyx')")], "from transaction 7 on: the transactions are not"),
        ([UNSUMMED, _data("replace(data, 'xxx', 'xyx')")], "from transaction 7 on: 24 signatures"),
        ([UNSUMMED, _data("substr(data, 1, 900)")], "from transaction 7 on: it is no JSON"),
        ([UNSUMMED, _data("data || ' '")], "from transaction 7 on: it holds 1 transactions"),
        ([UNSUMMED, _data("replace(data, ':3,', ': 3,')")], "transaction 7 is not canonical"),
        (
            [UNSUMMED, _data("replace(data, 'trusting', 'trusted')")],
            "from transaction 7 on: a transaction is none",
        ),
        (
            [
                UNSUMMED,
                "UPDATE chunks SET signature = (SELECT signature FROM chunks WHERE first = 8)"
                f" WHERE first = 7 AND session = {LOG}",
            ],
            "from transaction 7 on: 1 signatures do not hold",
        ),
        (
            [UNSUMMED, f"UPDATE chunks SET count = 2 WHERE first = 7 AND session = {LOG}"],
            "from transaction 7 on: it holds 1 transactions, and says 2",
        ),
        ([f"DELETE FROM chunks WHERE first = 7 AND session = {LOG}"], "7 to 8 are missing"),
        (
            [f"UPDATE covalues SET header = x'7b7d' WHERE key = {MAP}"],
            "has the members []",
        ),
        (
            [
                "UPDATE covalues SET header = CAST(replace(header, 'comap', 'colist') AS BLOB)"
                f" WHERE key = {MAP}"
            ],
            "is that of co_z",
        ),
        (
            [
                "UPDATE covalues SET header = CAST(replace(header, '{', '{ ') AS BLOB)"
                f" WHERE key = {MAP}"
            ],
            "canonical",
        ),
        (
            [f"UPDATE sessions SET id = replace(id, '_z', '_!') WHERE key = {LOG}"],
            "not a session id",
        ),
        (
            ["UPDATE sessions SET id = id || '1' WHERE id LIKE 'co_z%' AND key = " + LOG],
            "not what was written",
        ),
        ([f"UPDATE covalues SET deleted = 1 WHERE key = {MAP}"], "deleted and yet has live"),
        (["UPDATE covalues SET deleted = 0 WHERE deleted"], "is not deleted"),
        (
            [f"DELETE FROM chunks WHERE session = {LOG}"],
            "it has no transactions",
        ),
        (
            [f"DELETE FROM sessions WHERE key = {LOG}"],
            "31 rows of a session that is not there",
        ),
        (
            [f"DELETE FROM covalues WHERE key = {MAP}"],
            "1 rows of a CoValue that is not there",
        ),
        (
            ["DELETE FROM covalues WHERE key = 1"],
            "which is not there",
        ),
        (["DELETE FROM dependencies"], "its dependencies do not"),
    ],
)
async def test_damage_is_named_and_where_it_is(
    tmp_path: Path, band: Band, statements: list[str], expected: str
) -> None:
    # What was proved once excuses nothing.
    assert (await verified(tmp_path)).code == 0
    change(tmp_path, *statements)
    for _ in range(2):
        ended = await verified(tmp_path)
        assert (ended.code, ended.stderr) == (65, "")
        assert any(expected in line for line in findings(ended)), ended.stdout
        assert "findings" in ended.stdout.splitlines()[-1]


async def test_a_bad_delete_session_is_named(tmp_path: Path, band: Band) -> None:
    with closing(sqlite3.connect(tmp_path / DB, isolation_level=None)) as connection:
        row = connection.execute(
            "SELECT c.session, s.id FROM chunks c JOIN sessions s ON s.key = c.session"
            f" WHERE s.covalue = {TOMBSTONE}"
        ).fetchone()
        # Signed by the right key, and no delete marker.
        forged = Session(row[1], Account.named("bob").agent)
        run_ = forged.append({"privacy": "trusting", "madeAt": 1, "changes": "[]"})
        connection.execute(
            "UPDATE chunks SET data = ?, signature = ?, checksum = NULL WHERE session = ?",
            (run_.texts[0], run_.signature, row[0]),
        )
    ended = await verified(tmp_path)
    assert ended.code == 65
    assert [line for line in findings(ended) if "without its delete marker" in line]


async def test_an_author_who_is_not_there_is_named(tmp_path: Path, band: Band) -> None:
    stranger = session_id(Account.named("nobody").id)
    change(tmp_path, UNSUMMED, f"UPDATE sessions SET id = '{stranger}' WHERE key = {LOG}")
    ended = await verified(tmp_path)
    assert ended.code == 65
    assert [line for line in findings(ended) if "is not there as a sound account" in line]
    assert Agent.named("nobody").id not in ended.stdout


async def test_what_was_proved_is_not_proved_again_until_it_changes(
    tmp_path: Path, band: Band
) -> None:
    assert checked(await verified(tmp_path)) == 36
    again = await verified(tmp_path)
    assert (again.code, checked(again)) == (0, 0)
    assert "36 proved by an earlier run" in again.stdout
    async with serving(tmp_path, "--db", DB) as server:
        async with talking(server.url) as talk:
            await talk.add(band.edit("one more"))
        await server.stop()
    assert checked(await verified(tmp_path)) == 1
    assert checked(await verified(tmp_path)) == 0
    assert checked(await verified(tmp_path, "--all")) == 37
    # A file of facts that is damaged itself proves nothing.
    facts = tmp_path / f"{DB}-verified"
    facts.write_bytes(facts.read_bytes()[:-1])
    ended = await verified(tmp_path)
    assert (ended.code, checked(ended)) == (0, 37)


async def test_it_reads_beside_a_running_server(tmp_path: Path, band: Band) -> None:
    async with serving(tmp_path, "--db", DB) as server:
        async with talking(server.url) as talk:
            await talk.add(band.edit("only in the log yet"))
            ended = await verified(tmp_path)
            assert ended.code == 0
            assert "a server has band.db open" in ended.stdout
            assert "37 transactions" in ended.stdout
            await talk.add(band.edit("and on"))
        await server.stop()


def flip(folder: Path, at: int, length: int = 1) -> None:
    """Change bytes of the file."""
    raw = bytearray((folder / DB).read_bytes())
    for n in range(at, at + length):
        raw[n] ^= 0x5A
    (folder / DB).write_bytes(raw)


def pages(folder: Path) -> list[tuple[str, int]]:
    """The root page of each table and index."""
    with closing(sqlite3.connect(folder / DB)) as connection:
        found: list[tuple[str, int]] = connection.execute(
            "SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0"
        ).fetchall()
    return found


async def test_every_page_that_is_none_is_named(tmp_path: Path, band: Band) -> None:
    whole = (tmp_path / DB).read_bytes()
    for name, root in pages(tmp_path):
        (tmp_path / DB).write_bytes(whole)
        flip(tmp_path, (root - 1) * 4096, 4096)
        ended = await verified(tmp_path)
        assert (ended.code, ended.stderr) == (65, ""), name
        assert findings(ended), name


async def test_a_flipped_byte_of_a_transaction_is_found_wherever_it_is(
    tmp_path: Path, band: Band
) -> None:
    assert (await verified(tmp_path)).code == 0
    whole = (tmp_path / DB).read_bytes()
    for number in (0, 13, EDITS - 1):
        (tmp_path / DB).write_bytes(whole)
        flip(tmp_path, whole.index(f"{number:04}xxxx".encode()) + 4)
        ended = await verified(tmp_path)
        assert ended.code == 65
        assert [f"from transaction {number + 1} on" in line for line in findings(ended)] == [True]


async def test_a_file_that_was_cut_off_is_named(tmp_path: Path, band: Band) -> None:
    whole = (tmp_path / DB).read_bytes()
    for length in (len(whole) // 3, len(whole) - 100):
        (tmp_path / DB).write_bytes(whole[:length])
        ended = await verified(tmp_path)
        assert (ended.code, ended.stderr) == (65, "")
        assert "cut off" in findings(ended)[0]


async def test_a_damaged_log_is_named_and_left_alone(tmp_path: Path, band: Band) -> None:
    async with serving(tmp_path, "--db", DB) as server:
        async with talking(server.url) as talk:
            for number in range(10):
                await talk.add(band.edit(number))
        await server.end()
    log = tmp_path / f"{DB}-wal"
    raw = bytearray(log.read_bytes())
    raw[200] ^= 1
    log.write_bytes(raw)
    ended = await verified(tmp_path)
    assert ended.code == 65
    assert "commits behind a damage cannot be read" in findings(ended)[0]
    assert log.read_bytes() == bytes(raw)


@pytest.mark.parametrize(
    ("made", "code"),
    [(b"", 65), (b"Dear diary, " * 1000, 65), (None, 74)],
    ids=["empty", "text", "none"],
)
async def test_what_is_no_database_is_refused(tmp_path: Path, made: Any, code: int) -> None:
    if made is not None:
        (tmp_path / DB).write_bytes(made)
    ended = await verified(tmp_path)
    assert (ended.code, ended.stdout) == (code, "")
    assert len(ended.stderr.splitlines()) == 1
    assert DB in ended.stderr
