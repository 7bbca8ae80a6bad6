"""Edits made without a connection, on both sides, meet when the clients come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.interop.cast import enter

if TYPE_CHECKING:
    from tests.interop.driver_process import Driver
    from tests.interop.server_process import ServerProcess

pytestmark = pytest.mark.anyio


@pytest.mark.scenario("offline edits on both sides converge")
async def test_offline_both(driver: Driver, server: ServerProcess) -> None:
    alice, bob = await enter(driver, server, "alice", "bob")
    group = await alice.group(everyone="writer")
    note = await alice.create("map", group, {"start": 0})
    songs = await alice.create("list", group, ["start"])
    text = await alice.create("text", group, "start")
    await bob.wait(note, equals={"start": 0})
    await bob.wait(songs, equals=["start"])
    await bob.wait(text, equals="start")

    for client, name in ((alice, "alice"), (bob, "bob")):
        await client.offline()
        await client.set(note, **{name: "offline"})
        await client.append(songs, f"{name} 1", f"{name} 2")
    await alice.edit(text, "insert", at=0, text="at the ")
    await bob.edit(text, "insert", at=5, text=" and end")
    assert await alice.read(note) == {"start": 0, "alice": "offline"}
    assert await bob.read(note) == {"start": 0, "bob": "offline"}

    await alice.online()
    await bob.online()
    for client in (alice, bob):
        await client.wait(note, equals={"start": 0, "alice": "offline", "bob": "offline"})
        seen = await client.wait(songs, length=5)
        # Whose items come first is not defined when they were made in the same millisecond.
        assert seen[0] == "start"
        assert [item for item in seen if item.startswith("alice")] == ["alice 1", "alice 2"]
        assert [item for item in seen if item.startswith("bob")] == ["bob 1", "bob 2"]
        await client.wait(text, equals="at the start and end")


@pytest.mark.scenario("values created offline")
async def test_created_offline(driver: Driver, server: ServerProcess) -> None:
    alice, bob = await enter(driver, server, "alice", "bob")
    await alice.offline()
    group = await alice.group(everyone="reader")
    note = await alice.create("map", group, {"made": "offline"})
    assert await bob.look(note) == {"type": "unavailable"}
    await alice.online()
    await alice.synced()
    await bob.wait(note, equals={"made": "offline"})


@pytest.mark.scenario("unknown id is unavailable")
async def test_unknown(driver: Driver, server: ServerProcess) -> None:
    alice, bob = await enter(driver, server, "alice", "bob")
    await alice.offline()
    group = await alice.group(everyone="reader")
    never_uploaded = await alice.create("map", group, {"made": "offline"})
    assert await bob.look(never_uploaded) == {"type": "unavailable"}
    # Being told so does no harm to what comes next.
    note = await bob.create("map", await bob.group(everyone="reader"), {"fine": True})
    (carol,) = await enter(driver, server, "carol")
    await carol.wait(note, equals={"fine": True})
