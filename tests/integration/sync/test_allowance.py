"""What deliveries and uploads keep in memory is bounded, and nobody waits for good."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from msgspec.structs import replace

from server.allowance import Allowance
from server.store.memory import MemoryStore
from tests.integration.sync.stage import LIMITS, Band, Client, Stage, edit_from_devices, stage
from tests.signing import Agent, CoValue, content, group, owned_map, set_role
from tests.simulation.gates import SlowReads

pytestmark = pytest.mark.anyio

_MEMORY = 1_000_000
BOUNDED = replace(LIMITS, memory_bytes=_MEMORY, outbox_bytes=64_000, total_arrears_bytes=200_000)


@asynccontextmanager
async def chains(store: MemoryStore, count: int) -> AsyncIterator[tuple[Stage, list[CoValue]]]:
    """A cold node, and the ends of chains of which one takes more than half of its memory."""
    parent, ends = group(Agent.named("alice").id), []
    async with stage(store) as running:
        alice = running.client()
        await alice.upload(content(parent, {}, with_header=True))
        for number in range(count):
            chain = [parent]
            for position in range(280):
                meta = {"source": chain[-1].id, "branch": "x", "text": "y" * 1_000}
                chain.append(owned_map(parent.id, unique=f"{number} {position}", meta=meta))
            await alice.upload(*[content(value, {}, with_header=True) for value in chain[1:]])
            ends.append(chain[-1])
    async with stage(store, BOUNDED) as running:
        yield running, ends


async def taken(client: Client, end: CoValue) -> None:
    """Take what comes, up to the end of a chain."""
    with anyio.fail_after(20):
        while (await client.next())["id"] != end.id:
            pass


async def test_what_deliveries_take_is_bounded_over_all_peers() -> None:
    async with chains(MemoryStore(), 6) as (running, ends):
        readers = [running.client() for _ in ends]
        for reader, end in zip(readers, ends, strict=True):
            reader.reading = False
            reader.load(end.id)
        with anyio.fail_after(20):
            while not any(reader.peer.outbox.is_full for reader in readers):
                await anyio.lowlevel.checkpoint()
        await running.client().nothing()
        running.node.residents.trim()
        assert running.node.residents.size <= _MEMORY
        # All but one wait, and nothing was sent to them.
        assert sorted(reader.peer.outbox.size > 0 for reader in readers) == [False] * 5 + [True]
        for reader in readers:
            reader.resume()
        for reader, end in zip(readers, ends, strict=True):
            await taken(reader, end)
        assert {reader.closed_with for reader in readers} == {None}


async def test_who_does_not_read_goes_when_others_wait_in_vain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.allowance._PATIENCE_S", 0.01)
    async with chains(MemoryStore(), 4) as (running, ends):
        readers = [running.client() for _ in ends]
        for reader, end in zip(readers[:-1], ends, strict=False):
            reader.reading = False
            reader.load(end.id)
        # Alone it would have all the time of the world.
        readers[-1].load(ends[-1].id)
        await taken(readers[-1], ends[-1])
        # As many had to go as were before it in the queue.
        *others, last = [reader.closed_with for reader in readers]
        assert last is None
        assert 1013 in others


@asynccontextmanager
async def large_values(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[Stage, list[Band], list[int]]]:
    """A cold node whose values have many sessions, and the sizes that it has been seen with.

    Together they take twice as much as its memory.
    """
    monkeypatch.setattr("server.store.memory.LOADED", 200)
    store, bands = MemoryStore(), [Band(f"player {n}") for n in range(40)]
    async with stage(store) as running:
        alice = running.client()
        for band in bands:
            await alice.upload(*band.first())
            await edit_from_devices(alice, band, 100)
    async with stage(SlowReads(store), BOUNDED) as running, anyio.create_task_group() as tasks:
        sizes: list[int] = []

        async def watch() -> None:
            while True:
                sizes.append(running.node.residents.size)
                await anyio.lowlevel.checkpoint()

        tasks.start_soon(watch)
        yield running, bands, sizes
        tasks.cancel_scope.cancel()


async def test_values_of_many_sessions_are_delivered_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with large_values(monkeypatch) as (running, bands, sizes):
        bob = running.client()
        wanted = {band.map.id for band in bands}
        for band in bands:
            bob.load(band.map.id)
        while wanted:
            wanted.discard((await bob.next())["id"])
        assert max(sizes) <= _MEMORY * 1.1


async def test_who_names_values_of_many_sessions_has_them_loaded_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with large_values(monkeypatch) as (running, bands, sizes):
        first, *others = bands
        names = first.group_session.append(
            *[set_role(other.map.id, "reader", made_at=9) for other in others]
        )
        bob = running.client()
        await bob.upload(content(first.group, {first.group_session.id: names}))
        assert max(sizes) <= _MEMORY * 1.1


async def test_all_who_wait_for_a_popular_value_get_it() -> None:
    store, band = MemoryStore(), Band()
    async with stage(store) as running:
        alice = running.client()
        await alice.upload(*band.first())
        await edit_from_devices(alice, band, 500)
    async with stage(store, BOUNDED) as running:
        readers = [running.client() for _ in range(12)]
        for reader in readers:
            reader.load(band.map.id)
        for reader in readers:
            sessions: set[str] = set()
            while len(sessions) < 501:
                message = await reader.next()
                if message["id"] == band.map.id:
                    sessions |= message["new"].keys()
        assert {reader.closed_with for reader in readers} == {None}


async def test_an_allowance_is_given_in_the_order_of_asking() -> None:
    allowance, given = Allowance(10, lambda since: None), []

    async def ask(name: str, size: int) -> None:
        await allowance.wait(size)
        given.append(name)

    async with anyio.create_task_group() as tasks:
        assert allowance.take(8)
        for name, size in (("large", 9), ("small", 1), ("giant", 100), ("last", 1)):
            tasks.start_soon(ask, name, size)
        await anyio.wait_all_tasks_blocked()
        # There would be room for it, but others wait.
        assert not allowance.take(1)
        assert not allowance.has_room
        assert given == []
        allowance.give_back(8)
        await anyio.wait_all_tasks_blocked()
        assert given == ["large", "small"]
        allowance.give_back(9)
        await anyio.wait_all_tasks_blocked()
        assert given == ["large", "small"]
        allowance.give_back(1)
        await anyio.wait_all_tasks_blocked()
        assert given == ["large", "small", "giant"]
        allowance.give_back(100)
    assert given == ["large", "small", "giant", "last"]
    assert allowance.taken == 1


@pytest.mark.parametrize("admitted", [True, False], ids=["its turn had come", "it waited"])
async def test_who_is_cancelled_while_waiting_takes_nothing(admitted: bool) -> None:
    allowance = Allowance(10, lambda since: None)
    assert allowance.take(10)
    async with anyio.create_task_group() as tasks:
        scope = anyio.CancelScope()

        async def ask() -> None:
            with scope:
                await allowance.wait(8)

        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(allowance.wait, 3)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
        if not admitted:
            await anyio.wait_all_tasks_blocked()
        allowance.give_back(10)
    assert allowance.taken == 3


async def test_only_who_waits_longest_complains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.allowance._PATIENCE_S", 0.01)
    complaints = 0

    def complain(since: float) -> None:
        nonlocal complaints
        complaints += 1
        if complaints == 3:
            allowance.give_back(10)

    allowance = Allowance(10, complain)
    assert allowance.take(10)
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(allowance.wait, 2)
    assert complaints == 3
    assert allowance.taken == 8
