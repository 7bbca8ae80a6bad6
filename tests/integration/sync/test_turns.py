"""What is much is done a portion at a time, with everybody else's messages between two of them.

Each test counts the turns that the loop takes meanwhile; done in one go, it would take a handful.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from server.conduct import Conduct
from server.interests import Interests
from server.outbox import Outbox
from server.peer import Peer
from server.residents import Residents
from server.store.memory import MemoryStore
from server.store.patient import PatientReads
from tests.integration.sync.stage import LIMITS, Band, Client, edit_from_devices, known, stage
from tests.signing import Agent, content, group, owned_map

pytestmark = pytest.mark.anyio

_MANY = 60


class Turns:
    """How many turns the loop has taken."""

    taken = 0


@asynccontextmanager
async def counted() -> AsyncIterator[Turns]:
    """Count the turns inside the context."""
    turns = Turns()

    async def count() -> None:
        while True:
            await anyio.lowlevel.checkpoint()
            turns.taken += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        yield turns
        tasks.cancel_scope.cancel()


async def many_sessions(store: MemoryStore) -> tuple[Band, dict[str, int]]:
    """A map with one transaction in each of many sessions, stored."""
    band = Band()
    async with stage(store) as running:
        alice = running.client()
        await alice.upload(*band.first())
        return band, await edit_from_devices(alice, band, _MANY)


def has_dependencies(client: Client, band: Band) -> None:
    """The client says that it holds what the band's map depends on."""
    client.known(band.account.id, {band.account_session.id: 1})
    client.known(band.group.id, {band.group_session.id: 1})


async def test_a_value_of_many_sessions_comes_into_memory_in_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.covalue._PORTION", 1)
    store = MemoryStore()
    band, counts = await many_sessions(store)
    async with stage(store) as running:
        bob = running.client()
        async with counted() as turns:
            has_dependencies(bob, band)
            bob.load(band.map.id, counts)
            answers = await bob.take(3)
        assert known(band.map, counts) in answers
        assert turns.taken >= _MANY


async def test_values_of_many_sessions_are_planned_one_at_a_time_between_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.delivery._SESSIONS", 1)
    store = MemoryStore()
    band, _ = await many_sessions(store)
    async with stage(store) as running:
        readers = [running.client() for _ in range(20)]
        readers[0].load(band.map.id)
        await readers[0].take(3)
        for reader in readers[1:]:
            has_dependencies(reader, band)
            await reader.take(2)
        at: list[int] = []
        async with counted() as turns:
            for reader in readers[1:]:
                reader.load(band.map.id)
            for reader in readers[1:]:
                assert (await reader.next())["action"] == "content"
                at.append(turns.taken)
        assert len(set(at)) > len(at) // 2


async def test_who_waits_for_a_value_is_woken_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.residents._WOKEN", 1)
    store = MemoryStore()
    residents = Residents(PatientReads(store), 1_000_000, lambda covalue: None)
    ids = [owned_map("co_zowner", unique=str(number)).id for number in range(_MANY)]
    async with anyio.create_task_group() as tasks, counted() as turns:
        tasks.start_soon(residents.run)
        async with residents.held(ids):
            assert turns.taken >= _MANY
        tasks.cancel_scope.cancel()


async def test_a_reconciliation_is_compared_in_turns() -> None:
    async with stage() as running:
        alice, parent = running.client(), group(Agent.named("alice").id)
        values = [owned_map(parent.id, unique=str(number)).id for number in range(_MANY)]
        async with counted() as turns:
            alice.send({"action": "reconcile", "id": "all", "values": [[i, "x"] for i in values]})
            assert {m["id"] for m in await alice.take(_MANY)} == set(values)
        assert turns.taken >= _MANY


async def test_subscriptions_end_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.interests._AT_ONCE", 1)
    residents = Residents(PatientReads(MemoryStore()), 1_000_000, lambda covalue: None)
    counters: Counter[str] = Counter()
    async with anyio.create_task_group() as tasks:

        def start(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
            tasks.start_soon(work)

        interests = Interests(
            replace(LIMITS, total_subscriptions=_MANY),
            residents,
            Conduct(counters, lambda: 0.0),
            start,
            lambda peer, closing: None,
        )
        peers = [_peer("most"), _peer("least")]
        for peer, count in zip(peers, (3 * _MANY, 10), strict=True):
            interests.join(peer)
            for number in range(count):
                residents.get(f"{peer.name} {number}").subscribe(peer)
        async with counted() as turns:
            await interests.check_total()
            assert turns.taken >= 2 * _MANY
        # Of those that have most, and the oldest of it.
        assert len(peers[1].subscriptions) == 10
        assert list(peers[0].subscriptions) == [
            f"most {number}" for number in range(2 * _MANY + 10, 3 * _MANY)
        ]
        assert counters["unsubscribed"] == 2 * _MANY + 10
        async with counted() as turns:
            interests.leave(peers[0])
            while peers[0].subscriptions:
                await anyio.lowlevel.checkpoint()
            assert turns.taken >= _MANY - 11


def _peer(name: str) -> Peer:
    outbox = Outbox(1_000, lambda: None)
    return Peer(name, outbox, lambda reading: None, lambda code, reason: None)


@pytest.mark.parametrize(
    ("memory", "least"),
    # A quarter of this for one delivery. Where it is too little, the chain is walked, else it is
    # planned, too.
    [(16_000_000, 8), (64_000_000, 20)],
    ids=["too deep", "delivered"],
)
async def test_a_long_chain_in_memory_is_delivered_in_turns(memory: int, least: int) -> None:
    async with stage(limits=replace(LIMITS, memory_bytes=memory)) as running:
        parent, alice = group(Agent.named("alice").id), running.client()
        chain = [parent]
        for number in range(3_000):
            meta = {"source": chain[-1].id, "branch": "x"}
            chain.append(owned_map(parent.id, unique=str(number), meta=meta))
        await alice.upload(*[content(value, {}, with_header=True) for value in chain])
        bob = running.client()
        async with counted() as turns:
            bob.load(chain[-1].id)
            answer = await bob.next()
        if answer["action"] == "known":
            assert answer == known(chain[-1], {}) | {"header": False}
        else:
            assert answer["id"] == parent.id
        assert turns.taken >= least
