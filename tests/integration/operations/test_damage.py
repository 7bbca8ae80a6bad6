"""A damaged file under a real server: what is damaged reaches nobody, all the rest everybody."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from tests.integration.operations.command import Server, run, serving
from tests.integration.operations.talk import Message, Talk, health, talking
from tests.integration.sync.stage import Band
from tests.signing import content

pytestmark = pytest.mark.anyio

DB = "band.db"
EDITS = 40
BYTES = 6_000
"""Of one edit: several fit no page, so each has pages of its own."""


class Stored:
    """Two bands whose maps were uploaded edit by edit, each edit a chunk."""

    def __init__(self) -> None:
        self.bands = [Band("alice"), Band("bob")]

    async def upload(self, folder: Path) -> None:
        """Store everything and stop."""
        async with serving(folder, "--db", DB) as server:
            async with talking(server.url) as talk:
                for band in self.bands:
                    await talk.upload(*band.first())
                    for number in range(EDITS):
                        await talk.upload(band.edit(f"{number:04}" + "x" * BYTES))
            await server.stop()


@pytest.fixture
async def stored(tmp_path: Path, anyio_backend: str) -> Stored:
    """A file with two bands."""
    made = Stored()
    await made.upload(tmp_path)
    return made


def change(folder: Path, statement: str, *values: Any) -> None:
    """Change the rows behind the server's back."""
    with closing(sqlite3.connect(folder / DB, isolation_level=None)) as connection:
        assert connection.execute(statement, values).rowcount == 1


async def everything(server: Server, value: str) -> tuple[dict[str, int], list[Message]]:
    """Load a CoValue until there is no more to be had: the counts, and what was said of it.

    Each time with a connection of its own, from which the first message is taken.
    """
    counts: dict[str, int] = {}
    header = False
    told: list[Message] = []
    while True:
        async with talking(server.url) as talk:
            load = {"action": "load", "id": value, "header": header, "sessions": counts}
            await talk.send(load)
            while (message := await talk.next())["id"] != value:
                pass
        told.append(message)
        if message["action"] == "known":
            return counts, told
        header = header or "header" in message
        for session, part in message["new"].items():
            held = counts.get(session, 0)
            assert part["after"] <= held
            counts[session] = max(held, part["after"] + len(part["newTransactions"]))


SESSION_ROW = (
    "(SELECT s.key FROM sessions s JOIN covalues v ON v.key = s.covalue"
    " WHERE v.id = ? AND s.id = ?)"
)


@asynccontextmanager
async def damaged(folder: Path) -> AsyncIterator[tuple[Server, Talk]]:
    """A server on the damaged file, and somebody who talks to it."""
    async with serving(folder, "--db", DB) as server:
        async with talking(server.url) as talk:
            yield server, talk
        assert "Traceback" not in server.stderr
        await server.stop()


async def test_a_flipped_byte_in_a_transaction_ends_its_session_there(
    tmp_path: Path, stored: Stored
) -> None:
    alice, bob = stored.bands
    first = b'\\"value\\": \\"0020xxxx'
    raw = (tmp_path / DB).read_bytes()
    at = raw.index(first)
    (tmp_path / DB).write_bytes(raw[:at] + first.replace(b"0020", b"0021") + raw[at + len(first) :])
    async with damaged(tmp_path) as (server, _):
        counts, _ = await everything(server, alice.map.id)
        # `first` and 20 edits before the damaged one.
        assert counts == {alice.session.id: 21}
        assert (await everything(server, bob.map.id))[0] == {bob.session.id: EDITS + 1}
        said = await health(server.port)
        assert (said["status"], said["store"], said["damaged"]) == ("degraded", "damaged", 1)
        assert server.stderr.count("store.damaged") == 1
        assert alice.session.id in server.stderr


async def test_a_damaged_session_is_neither_promised_nor_extended(
    tmp_path: Path, stored: Stored
) -> None:
    alice = stored.bands[0]
    # After the damaged session comes one that fills several messages.
    long = alice.account.session("long")
    text = {"privacy": "trusting", "madeAt": 9, "changes": "x" * 50_000}
    async with serving(tmp_path, "--db", DB) as server:
        async with talking(server.url) as talk:
            for _ in range(5):
                await talk.add(content(alice.map, {long.id: long.append(text)}))
        await server.stop()
    change(
        tmp_path,
        "UPDATE chunks SET data = CAST(replace(data, 'xxx', 'xyx') AS BLOB)"
        f" WHERE first = 3 AND session = {SESSION_ROW}",
        alice.map.id,
        alice.session.id,
    )
    async with damaged(tmp_path) as (server, talk):
        counts, told = await everything(server, alice.map.id)
        assert counts == {alice.session.id: 3, long.id: 5}
        assert told[0]["expectContentUntil"] == counts
        # Its author knows more, and goes on.
        edit = alice.edit("more")
        await talk.send(edit)
        while (answer := await talk.next())["id"] != alice.map.id:
            pass
        assert answer["action"] == "known"
        assert answer["sessions"] == counts
        assert "isCorrection" not in answer
        # Another session of the same CoValue is nobody's concern.
        other = alice.account.session("other")
        transaction = {"privacy": "trusting", "madeAt": 9, "changes": "[]"}
        await talk.add(content(alice.map, {other.id: other.append(transaction)}))
        assert (await everything(server, alice.map.id))[0] == counts | {other.id: 1}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE chunks SET count = 100 WHERE first = {last} AND session = {row}",
        "UPDATE chunks SET first = first + 1 WHERE first = {last} AND session = {row}",
        "UPDATE chunks SET signature = replace(signature, 'signature_z', 'signature_Z')"
        " WHERE first = {last} AND session = {row}",
        "DELETE FROM chunks WHERE first = {last} - 1 AND session = {row}",
    ],
    ids=["count", "first", "signature", "hole"],
)
async def test_a_count_is_acknowledged_only_as_far_as_it_was_written(
    tmp_path: Path, stored: Stored, statement: str
) -> None:
    alice = stored.bands[0]
    change(
        tmp_path,
        statement.format(last=EDITS, row=SESSION_ROW),
        alice.map.id,
        alice.session.id,
    )
    async with damaged(tmp_path) as (server, talk):
        held = EDITS - 1 if statement.startswith("DELETE") else EDITS
        if held == EDITS:
            # Whoever has more is told so at once.
            claim = {alice.session.id: EDITS + 1}
            await talk.send(
                {"action": "load", "id": alice.map.id, "header": True, "sessions": claim}
            )
            while (answer := await talk.next())["id"] != alice.map.id:
                pass
            assert answer["sessions"] == {alice.session.id: EDITS}
            assert answer["isCorrection"] is True
        assert (await everything(server, alice.map.id))[0] == {alice.session.id: held}
        await server.logged("store.damaged")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE covalues SET header = CAST(replace(header, 'map', 'mop') AS BLOB) WHERE id = ?",
        "UPDATE covalues SET header = x'00' WHERE id = ?",
        "UPDATE covalues SET deleted = 1 WHERE id = ?",
        "UPDATE sessions SET id = replace(id, '_session_', '_sesSion_')"
        " WHERE covalue = (SELECT key FROM covalues WHERE id = ?)",
        "UPDATE sessions SET id = CAST(x'ff41' AS TEXT)"
        " WHERE covalue = (SELECT key FROM covalues WHERE id = ?)",
    ],
    ids=["other header", "no header", "deleted", "session id", "no text"],
)
async def test_a_covalue_that_is_damaged_as_a_whole_is_not_here_and_not_taken(
    tmp_path: Path, stored: Stored, statement: str
) -> None:
    alice, bob = stored.bands
    change(tmp_path, statement, alice.map.id)
    async with damaged(tmp_path) as (server, talk):
        counts, told = await everything(server, alice.map.id)
        nothing = {"action": "known", "id": alice.map.id, "header": False, "sessions": {}}
        assert (counts, told) == ({}, [nothing])
        # Who still has it sends it, and learns that it is not synced.
        await talk.send(content(alice.map, {}, with_header=True))
        assert (await everything(server, alice.map.id))[1] == [nothing]
        assert (await everything(server, bob.map.id))[0] == {bob.session.id: EDITS + 1}
        assert (await health(server.port))["store"] == "damaged"


def pages_of(folder: Path, name: str, kind: str) -> list[int]:
    """The pages of a table or index, from 1 on; `kind` is `leaf`, `internal` or `overflow`."""
    with closing(sqlite3.connect(folder / DB)) as connection:
        root = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)
        ).fetchone()[0]
    raw = (folder / DB).read_bytes()
    size = int.from_bytes(raw[16:18], "big")
    found: list[int] = []
    stack = [root]
    while stack:
        page = stack.pop()
        begin = (page - 1) * size
        inner = raw[begin] in (2, 5)
        if inner == (kind == "internal"):
            found.append(page)
        if inner:
            cells = int.from_bytes(raw[begin + 3 : begin + 5], "big")
            stack.append(int.from_bytes(raw[begin + 8 : begin + 12], "big"))
            for n in range(cells):
                at = int.from_bytes(raw[begin + 12 + 2 * n : begin + 14 + 2 * n], "big")
                stack.append(int.from_bytes(raw[begin + at : begin + at + 4], "big"))
    return found


def wipe(folder: Path, page: int) -> None:
    """Overwrite a page with what is no page."""
    raw = bytearray((folder / DB).read_bytes())
    size = int.from_bytes(raw[16:18], "big")
    raw[(page - 1) * size : page * size] = b"\xa5" * size
    (folder / DB).write_bytes(raw)


@pytest.mark.parametrize(
    ("table", "kind", "health_says"),
    [
        ("chunks", "leaf", "damaged"),
        ("chunks", "internal", "damaged"),
        ("covalues", "leaf", "damaged"),
        ("sqlite_autoindex_sessions_1", "leaf", "damaged"),
        ("sqlite_autoindex_covalues_1", "leaf", "damaged"),
        # Of this table only the index is read.
        ("sessions", "leaf", "ok"),
    ],
)
async def test_a_page_that_is_none_stops_nobody(
    tmp_path: Path, stored: Stored, table: str, kind: str, health_says: str
) -> None:
    wipe(tmp_path, pages_of(tmp_path, table, kind)[-1])
    async with damaged(tmp_path) as (server, _):
        for band in stored.bands:
            _, told = await everything(server, band.map.id)
            for message in told:
                for part in message.get("new", {}).values():
                    for n, made in enumerate(part["newTransactions"], part["after"]):
                        value = json.loads(made["changes"])[0]["value"]
                        assert value == ("first" if n == 0 else f"{n - 1:04}" + "x" * BYTES)
        assert (await health(server.port))["store"] == health_says
    assert ("store.damaged" in server.stderr) == (health_says == "damaged")


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
async def test_a_file_that_was_cut_off_is_refused(
    tmp_path: Path, stored: Stored, share: float
) -> None:
    raw = (tmp_path / DB).read_bytes()
    (tmp_path / DB).write_bytes(raw[: int(len(raw) * share)])
    ended = await run(tmp_path, "serve", "--db", DB, "--port", "0")
    assert ended.code == 65
    assert "is cut off" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def flip_in_frame(log: Path, share: float) -> None:
    """Flip a byte of a log's frames."""
    raw = bytearray(log.read_bytes())
    raw[int(len(raw) * share)] ^= 0x10
    log.write_bytes(raw)


def flip_in_header(log: Path, share: float) -> None:
    """Flip a byte of a log's header."""
    raw = bytearray(log.read_bytes())
    raw[int(24 * share)] ^= 0x10
    log.write_bytes(raw)


@pytest.mark.parametrize("damage", [flip_in_frame, flip_in_header])
async def test_a_damaged_log_is_refused_and_kept(
    tmp_path: Path, damage: Callable[[Path, float], None]
) -> None:
    band = Band()
    async with serving(tmp_path, "--db", DB) as server:
        async with talking(server.url) as talk:
            await talk.upload(*band.first())
            for number in range(20):
                await talk.upload(band.edit(number))
        await server.end()
    log = tmp_path / f"{DB}-wal"
    damage(log, 0.5)
    before = log.read_bytes()
    ended = await run(tmp_path, "serve", "--db", DB, "--port", "0")
    assert ended.code == 65
    assert "-wal is damaged" in ended.stderr
    assert log.read_bytes() == before
    # The way out that the message names.
    with closing(sqlite3.connect(tmp_path / DB)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    async with damaged(tmp_path) as (server, talk):
        counts, _ = await everything(server, band.map.id)
        assert counts.get(band.session.id, 0) < 21


async def test_a_log_that_a_power_loss_tore_is_no_damage(tmp_path: Path) -> None:
    band = Band()
    async with serving(tmp_path, "--db", DB) as server:
        async with talking(server.url) as talk:
            await talk.upload(*band.first())
            for number in range(5):
                await talk.upload(band.edit(number))
        await server.end()
    log = tmp_path / f"{DB}-wal"
    raw = bytearray(log.read_bytes())
    raw[-100] ^= 1
    log.write_bytes(raw)
    async with damaged(tmp_path) as (server, talk):
        assert (await everything(server, band.map.id))[0] == {band.session.id: 5}
        assert (await health(server.port))["store"] == "ok"


async def test_a_file_that_is_cut_off_under_the_server_does_not_end_it(
    tmp_path: Path, stored: Stored
) -> None:
    alice, bob = stored.bands
    async with damaged(tmp_path) as (server, talk):
        assert (await everything(server, bob.map.id))[0] == {bob.session.id: EDITS + 1}
        os.truncate(tmp_path / DB, 40_000)
        counts, _ = await everything(server, alice.map.id)
        assert counts.get(alice.session.id, 0) < EDITS
        await talk.send(
            {"action": "load", "id": "co_z" + "1" * 19, "header": False, "sessions": {}}
        )
        assert (await talk.next())["header"] is False
        assert (await health(server.port))["store"] == "damaged"
