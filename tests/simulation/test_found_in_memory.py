"""FOUND BY THE SIMULATION: what is in memory is overwritten, never released, or not bounded.

Each test failed when it was written; the seed is the one that found it.
"""

from __future__ import annotations

import anyio
import pytest
from msgspec.structs import replace

from server.store.memory import MemoryStore
from tests.integration.sync.stage import LIMITS, Band, known, stage
from tests.signing import Account, content, deletion, owned_map, set_role
from tests.simulation.gates import SlowReads, a_while

pytestmark = pytest.mark.anyio


async def test_a_value_that_was_wanted_twice_is_not_overwritten_with_older_counts() -> None:
    # Seed 57. Wanted again while its first load is under way, a value is loaded a second time; what
    # was accepted in between, and is not stored yet, is forgotten: the counts go back.
    store, band = MemoryStore(), Band()
    async with stage(store) as running:
        await running.client().upload(*band.first())
    slow = SlowReads(store)
    async with stage(slow) as running:
        alice, bob = running.client(), running.client()
        slow.shut_loads()
        for value in (band.account, band.group, band.map):
            bob.load(value.id)
        await slow.someone_waits()
        # Wanted again while the first load is under way; the second one begins right after it.
        alice.load(band.map.id, {band.session.id: 1})
        await a_while()
        slow.shut_loads().set()
        await a_while()
        slow.shut()
        alice.send(band.edit("new"))
        await slow.waiting.wait()
        slow.load_gate.set()
        await a_while()
        assert running.node.residents.get(band.map.id).counts == {band.session.id: 2}
        slow.gate.set()


async def test_content_with_two_dependencies_is_accepted_when_memory_is_full() -> None:
    # Seed 2. Where only one of two dependencies fits, each that is fetched drives the other out:
    # the content is never dealt with, its sender never read from again, the store read for ever.
    store, band = MemoryStore(), Band()
    async with stage(store) as running:
        await running.client().upload(*band.first())
    async with stage(store, replace(LIMITS, memory_bytes=4_000)) as running:
        alice = running.client()
        alice.load(band.account.id, {band.account_session.id: 1})
        await alice.next()
        value = owned_map(band.group.id, unique="another")
        log = band.account.session()
        run = log.append({"privacy": "trusting", "madeAt": 9, "changes": "[]"})
        alice.send(content(value, {log.id: run}, with_header=True))
        answer = await alice.next()
        while answer["id"] != value.id:
            answer = await alice.next()
        assert answer == known(value, {log.id: 1})


async def test_parked_content_counts_once() -> None:
    # Seed 30. `_park` releases its bytes, `arrived` puts it back into the inbox without holding
    # them, `_settled` releases them again: `held_bytes` goes below zero, and the bound with it.
    async with stage() as running:
        band, alice = Band(), running.client()
        account, members, first = band.first()
        alice.send(first)
        asked = {(await alice.next())["id"] for _ in range(2)}
        assert asked == {band.group.id, band.account.id}
        await alice.upload(account)
        alice.send(members)
        assert [m["id"] for m in await alice.take(2)] == [band.group.id, band.map.id]
        assert alice.peer.held_bytes == 0


async def test_who_asks_and_never_reads_is_not_answered_without_bound() -> None:
    # Seed 2086. Promise 5: bounded "whatever a peer does or fails to read". Stop reading from a
    # peer whose outbox is full, and go on when it has drained.
    limits = replace(LIMITS, outbox_bytes=10_000)
    async with stage(limits=limits) as running:
        mallory = running.client()
        mallory.reading = False
        for n in range(2_000):
            if mallory.allowed:
                mallory.load(owned_map("co_z" + "1" * 19, unique=f"{n}").id)
            await anyio.lowlevel.checkpoint()
        assert mallory.peer.outbox.size < 10 * limits.outbox_bytes


async def test_what_a_tombstone_makes_void_is_acknowledged_with_the_tombstone() -> None:
    # Seed 1550. The first commit settles while the tombstone is only in memory: `_of_deleted` then
    # confirms all that the peer claims, and a power loss before the second commit loses both.
    store = SlowReads(MemoryStore())
    async with stage(store) as running:
        band, alice, carol = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        admin = Account.named("admin too")
        own = admin.agent.session()
        promotion = band.group_session.append(set_role(admin.id, "admin", made_at=5))
        await carol.upload(
            content(
                admin,
                {own.id: own.append(set_role(admin.agent.id, "admin", made_at=1))},
                with_header=True,
            ),
            content(band.group, {band.group_session.id: promotion}),
        )
        store.shut()
        alice.send(band.edit("first"))
        await store.waiting.wait()
        log = admin.delete_session()
        carol.send(content(band.map, {log.id: log.append(deletion(band.map.id, made_at=20))}))
        covalue = running.node.residents.get(band.map.id)
        while not covalue.deleted:
            await anyio.lowlevel.checkpoint()
        alice.send(band.edit("never stored"))
        await a_while()
        gate = store.gate
        store.shut()
        gate.set()
        await store.waiting.wait()
        await a_while()
        told = [m for m in alice._messages if m["action"] == "known" and m["id"] == band.map.id]
        stored = (await store.load([band.map.id]))[band.map.id]
        assert not stored.deleted
        for message in told:
            for session, count in message["sessions"].items():
                assert count <= stored.sessions.get(session, 0)
        store.gate.set()


async def test_what_was_let_go_during_a_needless_load_is_not_filled_from_it() -> None:
    # As above, but the value is changed, stored and let go while the second load is under way: what
    # that load brings is older than the disk. What is resident must not be loaded at all.
    store, band = MemoryStore(), Band()
    async with stage(store) as running:
        await running.client().upload(*band.first())
    slow = SlowReads(store)
    async with stage(slow) as running:
        alice, bob = running.client(), running.client()
        slow.shut_loads()
        for value in (band.account, band.group, band.map):
            bob.load(value.id)
        await slow.someone_waits()
        alice.load(band.map.id, {band.session.id: 1})
        await a_while()
        slow.shut_loads().set()
        await a_while()
        alice.send(band.edit("new"))
        await a_while()
        residents = running.node.residents
        limit, residents._limit = residents._limit, 0
        residents.trim()
        residents._limit = limit
        assert not residents.get(band.map.id).resident
        slow.load_gate.set()
        await a_while()
        late = running.client()
        late.load(band.map.id, {band.session.id: 2})
        assert await late.next() == known(band.map, {band.session.id: 2})


async def test_what_is_being_loaded_keeps_its_record() -> None:
    # Seed 1629. Wanted twice, loaded, let go and being loaded again, when the last one who was
    # subscribed left: the record was dropped. What arrived then went into another one, which was
    # dropped in its stead, with its inbox.
    store, band = MemoryStore(), Band()
    async with stage(store) as running:
        await running.client().upload(*band.first())
    slow = SlowReads(store)
    async with stage(slow, replace(LIMITS, memory_bytes=1)) as running:
        alice, bob = running.client(), running.client()
        residents = running.node.residents
        slow.shut_loads()
        residents.want(residents.get(band.map.id))
        await slow.someone_waits()
        residents.forget_subscriber(band.map.id, bob.peer)
        slow.load_gate.set()
        alice.load(band.map.id, {band.session.id: 1})
        answer = await alice.next()
        while answer["action"] != "known":
            answer = await alice.next()
        assert answer == known(band.map, {band.session.id: 1})
