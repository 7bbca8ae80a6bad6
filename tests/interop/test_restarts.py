"""The server goes away and comes back: cleanly, killed, and without its database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.interop.cast import enter

if TYPE_CHECKING:
    from tests.interop.driver_process import Driver
    from tests.interop.server_process import ServerProcess

pytestmark = pytest.mark.anyio

ROUNDS = 3


@pytest.mark.scenario("clean restart of the server")
async def test_clean_restart(driver: Driver, own_server: ServerProcess) -> None:
    alice, bob = await enter(driver, own_server, "alice", "bob")
    group = await alice.group(everyone="writer")
    note = await alice.create("map", group, {"before": 1})
    file = await alice.create("file", group)
    digest = await alice.edit(file, "write_file", size=300_000)
    await bob.wait(note, equals={"before": 1})
    await alice.synced()
    await own_server.stop()
    await alice.disconnected()
    await alice.set(note, meanwhile=2)
    await own_server.start()
    # Both come back by themselves, and what Alice did meanwhile reaches Bob.
    await bob.wait(note, equals={"before": 1, "meanwhile": 2})
    await bob.set(note, after=3)
    await alice.wait(note, equals={"before": 1, "meanwhile": 2, "after": 3})
    await alice.offline()
    await bob.offline()
    (fresh,) = await enter(driver, own_server, "fresh")
    await fresh.wait(note, equals={"before": 1, "meanwhile": 2, "after": 3})
    assert (await fresh.wait(file, finished=True))["sha256"] == digest


@pytest.mark.scenario("kill -9 at the moment of the acknowledgement")
async def test_kill(driver: Driver, own_server: ServerProcess) -> None:
    (alice,) = await enter(driver, own_server, "alice")
    group = await alice.group(everyone="writer")
    note = await alice.create("map", group, {"round": -1})
    for number in range(ROUNDS):
        await alice.set(note, round=number)
        songs = await alice.create("list", group, [number])
        await alice.append(songs, *range(50))
        await alice.synced_then_kill(own_server.pid)
        await own_server.gone()
        await own_server.start()
        # Alice is offline: what a fresh client reads now is what the server kept.
        (fresh,) = await enter(driver, own_server, "fresh")
        await fresh.wait(note, timeout_ms=5_000, equals={"round": number})
        await fresh.wait(songs, timeout_ms=5_000, equals=[number, *range(50)])
        await alice.online()
        await fresh.close()


@pytest.mark.scenario("database lost, healed by a client that stayed alive")
async def test_database_lost(driver: Driver, own_server: ServerProcess) -> None:
    (alice,) = await enter(driver, own_server, "alice")
    group = await alice.group(everyone="reader")
    note = await alice.create("map", group, {"kept": "by alice"})
    songs = await alice.create("list", group, list(range(30)))
    await alice.synced()
    await own_server.kill()
    own_server.lose_database()
    await alice.disconnected()
    await own_server.start()
    await alice.connected()
    (fresh,) = await enter(driver, own_server, "fresh")
    await fresh.wait(note, timeout_ms=8_000, equals={"kept": "by alice"})
    await fresh.wait(songs, timeout_ms=8_000, equals=list(range(30)))
    await alice.set(note, later="too")
    await fresh.wait(note, timeout_ms=8_000, equals={"kept": "by alice", "later": "too"})


@pytest.mark.scenario("older backup restored, healed by a client that stayed alive")
async def test_backup(driver: Driver, own_server: ServerProcess) -> None:
    alice, bob = await enter(driver, own_server, "alice", "bob")
    group = await alice.group(everyone="writer")
    note = await alice.create("map", group, {"start": 0})
    await bob.wait(note, equals={"start": 0})
    await alice.synced()
    await own_server.stop()
    own_server.back_up()
    await own_server.start()
    await alice.set(note, alice="after the backup")
    await bob.set(note, bob="after the backup, too")
    whole = {"start": 0, "alice": "after the backup", "bob": "after the backup, too"}
    await alice.wait(note, equals=whole)
    await alice.synced()
    # Bob's edit lives on in Alice's memory only.
    await bob.close()
    await own_server.kill()
    own_server.restore_backup()
    await alice.disconnected()
    await own_server.start()
    await alice.connected()
    (fresh,) = await enter(driver, own_server, "fresh")
    await fresh.wait(note, timeout_ms=8_000, equals=whole)
