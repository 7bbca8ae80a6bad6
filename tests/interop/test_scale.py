"""Many values, a long list, many clients on one value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from tests.interop.cast import enter
from tests.interop.releases import version

if TYPE_CHECKING:
    from tests.interop.client import Client
    from tests.interop.driver_process import Driver
    from tests.interop.server_process import ServerProcess

pytestmark = pytest.mark.anyio


@pytest.mark.scenario("1,000 values loaded by a fresh client")
async def test_many_values(driver: Driver, server: ServerProcess) -> None:
    (alice,) = await enter(driver, server, "alice")
    group = await alice.group(everyone="reader")
    notes = [await alice.create("map", group, {"n": n}) for n in range(1000)]
    index = await alice.create("list", group, notes)
    await alice.synced(timeout_ms=60_000)
    (fresh,) = await enter(driver, server, "fresh")
    found = await fresh.wait(index, equals=notes)
    assert await fresh.read_many(found) == [{"n": n} for n in range(1000)]


@pytest.mark.scenario("a list of 20,000 items")
async def test_long_list(driver: Driver, server: ServerProcess, release: str) -> None:
    # An item a transaction in the newest release. The others need up to 3 ms for each of their
    # transactions, so there it is ten items.
    batch = 1 if version(release) >= (0, 20) else 10
    (alice,) = await enter(driver, server, "alice")
    group = await alice.group(everyone="writer")
    numbers = await alice.create("list", group)
    await alice.edit(numbers, "append_numbers", count=20_000, batch=batch)
    await alice.synced(timeout_ms=60_000)
    (fresh,) = await enter(driver, server, "fresh")
    seen = await fresh.wait(numbers, timeout_ms=60_000, length=20_000)
    assert seen == list(range(20_000))
    # The long list is still good for a live edit.
    await fresh.append(numbers, "last")
    seen = await alice.wait(numbers, timeout_ms=60_000, length=20_001)
    assert seen[-1] == "last"


@pytest.mark.scenario("20 clients on one list")
async def test_crowd(driver: Driver, server: ServerProcess) -> None:
    crowd = await enter(driver, server, *(f"player {n}" for n in range(20)))
    group = await crowd[0].group(everyone="writer")
    songs = await crowd[0].create("list", group)
    await crowd[0].synced()
    for client in crowd[1:]:
        await client.wait(songs, equals=[])

    async def play(number: int, client: Client) -> None:
        for turn in range(5):
            await client.append(songs, f"{number}/{turn}")

    async with anyio.create_task_group() as tasks:
        for number, client in enumerate(crowd):
            tasks.start_soon(play, number, client)
    everything = sorted(f"{number}/{turn}" for number in range(20) for turn in range(5))
    for number, client in enumerate(crowd):
        seen = await client.wait(songs, length=100)
        assert sorted(seen) == everything
        own = [item for item in seen if item.startswith(f"{number}/")]
        assert own == [f"{number}/{turn}" for turn in range(5)]
