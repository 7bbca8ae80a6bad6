"""Real clients write all along while the server restarts, again and again.

`RESTARTS=20 pytest tests/interop/test_restarts_under_load.py` restarts 20 times.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

import pytest

from tests.interop.cast import enter
from tests.interop.releases import NEWEST, not_applicable
from tests.interop.server_process import serving_reference

if TYPE_CHECKING:
    from tests.interop.client import Client
    from tests.interop.driver_process import Driver
    from tests.interop.server_process import ServerProcess

pytestmark = pytest.mark.anyio

RESTARTS: Final = int(os.environ.get("RESTARTS") or 5)


@pytest.fixture
def newest(release: str) -> None:
    """Leave the test with other releases, before anything is started for it."""
    if release != NEWEST:
        not_applicable("about the server alone, so once is enough")


@pytest.mark.scenario("restarts in a row while clients write")
async def test_restarts_under_load(newest: None, driver: Driver, own_server: ServerProcess) -> None:
    alice, bob = await enter(driver, own_server, "alice", "bob")
    group = await alice.group(everyone="writer")
    songs = await alice.create("list", group)
    tunes = await bob.create("list", group)
    writers = {songs: alice, tunes: bob}
    readers = {songs: bob, tunes: alice}
    for written, writer in writers.items():
        await writer.write_on(written)
    told = 0
    for _ in range(RESTARTS):
        for written, reader in readers.items():
            await reader.wait(written, longer=len(await writers[written].read(written)))
        await own_server.stop()
        for written, writer in writers.items():
            await writer.disconnected()
            acknowledged = await acknowledgements(writer, written)
            told = max(told, sum(acknowledged.values()))
            if not serving_reference():
                # Before the client brings back what the server may have lost.
                stored = transactions(own_server, written)
                assert all(stored[session] >= n for session, n in acknowledged.items())
        await own_server.start()
        for writer in writers.values():
            await writer.connected()
    assert told > 0
    counts = {written: await writer.stop_writing() for written, writer in writers.items()}
    for writer in writers.values():
        await writer.synced()
    (fresh,) = await enter(driver, own_server, "fresh")
    for written, count in counts.items():
        whole = list(range(count))
        for client in (readers[written], fresh):
            await client.wait(written, equals=whole)


async def acknowledgements(client: Client, value: str) -> dict[str, int]:
    """How many transactions of each session the client was last told to be stored."""
    said = [
        json.loads(frame[2:])
        for frame in await client.frames('"action":"known"')
        if frame.startswith("< ") and value in frame
    ]
    sessions: dict[str, int] = said[-1]["sessions"] if said else {}
    return sessions


def transactions(server: ServerProcess, value: str) -> dict[str, int]:
    """How many transactions of each session of a value the file holds."""
    with closing(sqlite3.connect(server.database)) as connection:
        return dict(
            connection.execute(
                "SELECT s.id, sum(c.count) FROM covalues v JOIN sessions s ON s.covalue = v.key"
                " JOIN chunks c ON c.session = s.key WHERE v.id = ? GROUP BY s.key",
                (value,),
            ).fetchall()
        )
