"""kill -9 at a random moment, again and again: what was acknowledged is there afterwards."""

from __future__ import annotations

import random
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.clients import load
from tests.crash.reading import read_back
from tests.crash.world import World
from tests.integration.operations.command import Server, serving

pytestmark = pytest.mark.anyio

ROUNDS_PER_FILE = 10


async def test_nothing_acknowledged_is_lost_when_killed(
    tmp_path: Path, kills: int, figures: Counter[str]
) -> None:
    moments = random.Random(kills)
    for first in range(0, kills, ROUNDS_PER_FILE):
        world = World(f"world {first}")
        file = f"{first}.db"
        for _ in range(min(ROUNDS_PER_FILE, kills - first)):
            async with serving(tmp_path, "--db", file) as server:
                await check(server, world, figures)
                await kill_under_load(server, world, moments, figures)
            figures["kills"] += 1
        async with serving(tmp_path, "--db", file) as server:
            await check(server, world, figures)
            await server.stop()
        assert_sound(tmp_path / file, world)
        (tmp_path / file).unlink()
    assert figures["kills"] >= kills


async def check(server: Server, world: World, figures: Counter[str]) -> None:
    """Everything acknowledged is there, and everything that is there is right."""
    acknowledged = world.acknowledged
    lost, more = await read_back(server.url, world)
    figures["acknowledged transactions lost"] += lost
    figures["kept without acknowledgement"] += more
    assert lost == 0, f"{lost} of {acknowledged} acknowledged transactions are lost"


async def kill_under_load(
    server: Server, world: World, moments: random.Random, figures: Counter[str]
) -> None:
    """Kill in the tick in which a client gets some acknowledgement, or sends some message."""
    cause = moments.choice(["acknowledgements", "messages"])
    moment = moments.randint(1, moments.choice([30, 300]))

    def happened(what: str) -> None:
        world.seen[what] += 1
        if what == cause and world.seen[what] == moment:
            server.send(signal.SIGKILL)

    before = world.acknowledged
    await load(server.url, world, happened)
    assert await server.ended() == -signal.SIGKILL
    assert world.seen["corrections"] == 0
    assert "Traceback" not in server.stderr
    figures["transactions acknowledged"] += world.acknowledged - before


def assert_sound(file: Path, world: World) -> None:
    """SQLite finds nothing wrong, and the chunks of a session are contiguous."""
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        rows = connection.execute(
            "SELECT v.id, s.id, min(c.first), sum(c.count), max(c.first + c.count)"
            " FROM covalues v JOIN sessions s ON s.covalue = v.key"
            " LEFT JOIN chunks c ON c.session = s.key GROUP BY s.key"
        ).fetchall()
    for value, session, first, total, end in rows:
        assert (first, total) == (0, end)
        assert end >= world.logs[value, session].acknowledged
