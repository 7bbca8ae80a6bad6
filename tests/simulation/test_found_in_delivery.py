"""FOUND BY THE SIMULATION: what a delivery or a relay sends before what it depends on.

Each test failed when it was written; the seed is the one that found it.
"""

from __future__ import annotations

import anyio
import pytest

from server.store.memory import MemoryStore
from tests.integration.sync.stage import Band, Client, edit, stage
from tests.signing import Account, CoValue, content, extend, group, owned_map, set_role
from tests.simulation.gates import SlowReads, a_while

pytestmark = pytest.mark.anyio


async def test_a_load_of_a_dependency_under_way_does_not_let_the_rest_overtake_it() -> None:
    # Seed 9. The load replaces `subscription.known`, so `_add` and `_finish` drop the account from
    # the delivery under way; the group, later in the same delivery, goes out all the same.
    store, band = SlowReads(MemoryStore()), Band()
    async with stage(store) as running:
        alice, bob = running.client(), running.client()
        await alice.upload(*band.first())
        store.shut_reads()
        bob.load(band.group.id)
        await store.someone_waits()
        bob.load(band.account.id)
        await anyio.lowlevel.checkpoint()
        store.read_gate.set()
        order = [m["id"] for m in await bob.take(2) if m["action"] == "content"]
        assert order == [band.account.id, band.group.id]


async def test_a_value_that_was_asked_for_and_not_there_still_comes_first() -> None:
    # Seed 270. Bob is subscribed to the account from the time when it did not exist, so `lacks` in
    # relay.py is false, and the group's transaction that names it is relayed at once.
    async with stage() as running:
        band, alice, bob = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        bob.load(band.group.id)
        await bob.take(2)
        guest = Account.named("guest")
        bob.load(guest.id)
        assert (await bob.next())["header"] is False
        own = guest.agent.session()
        first = own.append(set_role(guest.agent.id, "admin", made_at=1))
        invitation = band.group_session.append(set_role(guest.id, "writer", made_at=10))
        alice.send(
            content(guest, {own.id: first}, with_header=True),
            content(band.group, {band.group_session.id: invitation}),
        )
        order = [m["id"] for m in await bob.take(2)]
        assert order == [guest.id, band.group.id]


async def test_a_peer_that_leaves_during_a_delivery_is_no_fault() -> None:
    # Seed 121. `subscribe` of a closed peer gives a subscription that is nowhere; `choose_lane`
    # then looks for it in `subscribers`.
    store, band = MemoryStore(), Band()
    async with stage(store) as running:
        await running.client().upload(*band.first())
    slow = SlowReads(store)
    async with stage(slow) as running:
        bob = running.client()
        slow.shut_loads()
        bob.load(band.map.id)
        await slow.someone_waits()
        # The value arrives, what it depends on does not yet.
        slow.shut_loads().set()
        await a_while()
        bob.leave()
        slow.load_gate.set()
        await a_while()
        assert running.node.counters["faults"] == 0


async def test_a_member_whom_refused_content_named_is_a_dependency_after_a_restart() -> None:
    # Seed 707. Refused content adds its dependencies to the group's in memory and writes nothing;
    # the genuine transaction that names the same member then has nothing `fresh` to write.
    store, band, guest = MemoryStore(), Band(), Account.named("guest")
    async with stage(store) as running:
        alice = running.client()
        own = guest.agent.session()
        first = own.append(set_role(guest.agent.id, "admin", made_at=1))
        await alice.upload(*band.first(), content(guest, {own.id: first}, with_header=True))
        invitation = band.group_session.append(set_role(guest.id, "writer", made_at=10))
        forged = invitation.with_flipped_signature()
        await alice.upload(content(band.group, {band.group_session.id: forged}))
        await alice.upload(content(band.group, {band.group_session.id: invitation}))
    async with stage(store) as running:
        bob = running.client()
        bob.load(band.group.id)
        order = [m["id"] for m in await bob.take(2)]
        assert guest.id in order


async def test_a_member_who_joins_while_a_delivery_is_planned_comes_first() -> None:
    # Seed 32713. `_in_order` looks at the group's dependencies and then waits for other loads; a
    # dependency that the group gets meanwhile is not in the order, and `_plan` does not look again.
    store, band, guest, boss = MemoryStore(), Band(), Account.named("guest"), Account.named("boss")
    parent = group(boss.id, unique="parent")
    async with stage(store) as running:
        alice = running.client()
        for account in (guest, boss):
            own = account.agent.session()
            first = own.append(set_role(account.agent.id, "admin", made_at=1))
            await alice.upload(content(account, {own.id: first}, with_header=True))
        members = boss.session()
        first = members.append(set_role(boss.id, "admin", made_at=2))
        await alice.upload(content(parent, {members.id: first}, with_header=True), *band.first())
        inherit = band.group_session.append(extend(parent.id, made_at=5))
        await alice.upload(content(band.group, {band.group_session.id: inherit}))
    slow = SlowReads(store)
    async with stage(slow) as running:
        alice, bob = running.client(), running.client()
        for value in (guest, band.account, band.group, band.map):
            alice.load(value.id)
        await alice.take(6)
        residents = running.node.residents
        for value in (parent, boss):
            residents.touch(residents.get(value.id))
            residents.get(value.id).release()
        slow.shut_loads()
        bob.load(band.map.id)
        await slow.someone_waits()
        invitation = band.group_session.append(set_role(guest.id, "writer", made_at=10))
        await alice.upload(content(band.group, {band.group_session.id: invitation}))
        slow.load_gate.set()
        order: list[str] = []
        while band.group.id not in order:
            order.append((await bob.next())["id"])
        assert guest.id in order


async def test_what_the_peer_sends_during_a_delivery_is_not_sent_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Found by reading: a piece on its way set back what the peer was known to hold of a session,
    # although it had gone on writing it meanwhile.
    monkeypatch.setattr("server.streaming._READ_BYTES", 1)
    store, band = SlowReads(MemoryStore()), Band()
    async with stage(store) as running:
        alice, bob = running.client(), running.client()
        await alice.upload(*band.first())
        await alice.upload(band.edit("second"))
        other = band.account.session("other")
        await alice.upload(content(band.map, {other.id: other.append(edit("other"))}))
        bob.load(band.group.id)
        await bob.take(2)
        store.shut_reads()
        bob.load(band.map.id, {band.session.id: 1})
        await store.someone_waits()
        first, store.read_gate = store.read_gate, anyio.Event()
        first.set()
        await a_while()
        await store.someone_waits()
        bob.send(band.edit("third"))
        await a_while()
        store.read_gate.set()
        assert (await bob.next())["action"] == "known"
        piece = await bob.next()
        assert {s: run["after"] for s, run in piece["new"].items()} == {
            band.session.id: 1,
            other.id: 0,
        }
        await bob.nothing()


async def test_a_superseded_delivery_reads_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    # Found by reading: it read all that it had planned to send, and sent nothing of it.
    monkeypatch.setattr("server.streaming._READ_BYTES", 1)
    store, band = SlowReads(MemoryStore()), Band()
    async with stage(store) as running:
        alice, bob = running.client(), running.client()
        await alice.upload(*band.first())
        counts = {band.session.id: 1}
        for n in range(3):
            other = band.account.session(f"other {n}")
            counts[other.id] = 1
            await alice.upload(content(band.map, {other.id: other.append(edit(n))}))
        bob.load(band.group.id)
        await bob.take(2)
        store.shut_reads()
        bob.load(band.map.id)
        await store.someone_waits()
        first, store.read_gate = store.read_gate, anyio.Event()
        bob.load(band.map.id, counts)
        await a_while()
        first.set()
        assert (await bob.next())["action"] == "known"
        await a_while()
        assert not store.waiting_calls


async def test_a_new_dependency_in_a_later_lane_changes_no_lane_of_a_delivery() -> None:
    # Seed 600729. A group got a file as a member while it was on its way: it went on in the lane of
    # files, and the map that it owns, in its own lane, came before it.
    store, band, others = SlowReads(MemoryStore()), Band(), Account.named("others")
    owner = group(others.agent.id, unique="owner of a file")
    file = owned_map(owner.id, unique="file", type="costream", meta={"type": "binary"})
    own = others.agent.session("file")
    async with stage(store) as running:
        alice, bob = running.client(), running.client()
        run = own.append(edit("x"))
        await alice.upload(*band.first(), content(owner, {}, with_header=True))
        await alice.upload(content(file, {own.id: run}, with_header=True))
        bob.load(file.id)
        await bob.take(2)
        store.shut_reads()
        bob.load(band.map.id)
        await store.someone_waits()
        names = band.group_session.append(set_role(file.id, "reader", made_at=9))
        await alice.upload(content(band.group, {band.group_session.id: names}))
        bob.reading = False
        store.read_gate.set()
        await a_while()
        bob.resume()
        order = [(await bob.next())["id"] for _ in range(3)]
        assert order == [band.account.id, band.group.id, band.map.id]


async def test_what_a_peer_says_while_a_delivery_is_planned_decides_its_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Seeds 586, 612 and 1314 with all portions set to 1. The account was asked for, too, and in
    # step when the order was decided; then its load came, and the groups went out before it.
    monkeypatch.setattr("server.delivery._WALK", 1)
    band = Band()
    async with stage() as running:
        alice, bob = running.client(), running.client()
        await alice.upload(*band.first())
        owned = await several_groups(alice, band)
        for value in (band.account, *owned):
            bob.load(value.id)
        bob.known(band.account.id, {band.account_session.id: 1})
        assert (await bob.next())["action"] == "known"
        bob.load(band.account.id)
        order = [(await bob.next())["id"] for _ in range(21)]
        assert order == [band.account.id, *(value.id for value in owned)]


async def test_a_member_who_joins_while_a_delivery_is_planned_in_turns_comes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Found by reading: as in seed 32713, where the wait was for loads.
    monkeypatch.setattr("server.delivery._WALK", 1)
    band, guest = Band(), Account.named("guest")
    async with stage() as running:
        alice, bob = running.client(), running.client()
        await alice.upload(*band.first())
        owned = await several_groups(alice, band)
        agent = guest.agent.session()
        first = agent.append(set_role(guest.agent.id, "admin", made_at=1))
        await alice.upload(content(guest, {agent.id: first}, with_header=True))
        for value in (band.account, *owned):
            bob.load(value.id)
        bob.known(band.account.id, {band.account_session.id: 1})
        assert (await bob.next())["action"] == "known"
        own = band.account.session("invitation")
        invitation = own.append(set_role(guest.id, "writer", made_at=9))
        await alice.upload(content(owned[-1], {own.id: invitation}))
        order = [(await bob.next())["id"] for _ in range(21)]
        assert order.index(guest.id) < order.index(owned[-1].id)


async def several_groups(client: Client, band: Band) -> list[CoValue]:
    """Twenty groups of the band's account, uploaded."""
    owned = [group(band.account.id, unique=f"group {n}") for n in range(20)]
    for value in owned:
        own = band.account.session(value.id)
        first = own.append(set_role(band.account.id, "admin", made_at=2))
        await client.upload(content(value, {own.id: first}, with_header=True))
    return owned
