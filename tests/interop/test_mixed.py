"""Clients of different releases on the same values, every pair, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from tests.interop.cast import enter
from tests.interop.releases import RELEASES

if TYPE_CHECKING:
    from tests.interop.conftest import Drivers
    from tests.interop.driver_process import Driver
    from tests.interop.server_process import ServerProcess

pytestmark = pytest.mark.anyio


@pytest.mark.scenario("written here, read and answered by {reader}")
@pytest.mark.parametrize("reader", RELEASES)
async def test_pair(
    drivers: Drivers, driver: Driver, server: ServerProcess, release: str, reader: str
) -> None:
    (alice,) = await enter(driver, server, "alice")
    (bob,) = await enter(await drivers.of(reader), server, "bob")
    group = await alice.group()
    await alice.add_member(group, bob.account, "writer")
    note = await alice.create("map", group, {"from": release})
    songs = await alice.create("list", group, ["a", "b"])
    text = await alice.create("text", group, "hello")
    feed = await alice.create("feed", group, [1])
    file = await alice.create("file", group)
    digest = await alice.edit(file, "write_file", size=250_000)

    await bob.wait(note, equals={"from": release})
    await bob.wait(songs, equals=["a", "b"])
    await bob.wait(text, equals="hello")
    await bob.wait(feed, equals={alice.account: [1]})
    assert (await bob.wait(file, finished=True))["sha256"] == digest

    await bob.set(note, answer=reader)
    await bob.append(songs, "c")
    await bob.edit(text, "insert", at=5, text=" there")
    await bob.edit(feed, "push", item=2)
    await alice.wait(note, equals={"from": release, "answer": reader})
    await alice.wait(songs, equals=["a", "b", "c"])
    await alice.wait(text, equals="hello there")
    await alice.wait(feed, equals={alice.account: [1], bob.account: [2]})

    # A member from another release can be removed, and then reads no more.
    await alice.remove_member(group, bob.account)
    await alice.set(note, secret="kept")
    await alice.edit(note, "set", entries={"marker": 1}, privacy="trusting")
    assert "secret" not in await bob.wait(note, includes={"marker": 1})


@pytest.mark.scenario("one list edited by all releases at once")
async def test_all_releases(
    drivers: Drivers, driver: Driver, server: ServerProcess, release: str
) -> None:
    (alice,) = await enter(driver, server, "alice")
    songs = await alice.create("list", await alice.group(everyone="writer"), [release])
    await alice.synced()
    band = [(await enter(await drivers.of(other), server, other))[0] for other in RELEASES]
    for player in band:
        await player.wait(songs, equals=[release])
    async with anyio.create_task_group() as tasks:
        for player, name in zip(band, RELEASES, strict=True):
            tasks.start_soon(player.append, songs, f"{name}/1", f"{name}/2", f"{name}/3")
    everything = sorted([release, *(f"{name}/{n}" for name in RELEASES for n in (1, 2, 3))])
    for player in [alice, *band]:
        assert sorted(await player.wait(songs, length=len(everything))) == everything
