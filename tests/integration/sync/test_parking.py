"""Content whose accounts and groups are missing: asked for, kept waiting, bounded."""

from __future__ import annotations

import anyio
import pytest
from msgspec.structs import replace

from tests.integration.sync.stage import LIMITS, Band, Message, edit, known, stage
from tests.signing import Account, content, extend, group, set_role

pytestmark = pytest.mark.anyio


def asked(value: str) -> Message:
    """The request for a CoValue of which nothing is held."""
    return {"action": "load", "id": value, "header": False, "sessions": {}}


async def test_missing_dependencies_are_asked_of_the_sender_and_nothing_is_acknowledged() -> None:
    async with stage() as running:
        band, alice, bob = Band(), running.client(), running.client()
        account, members, tune = band.first()
        alice.send(tune)
        wanted = await alice.take(2)
        assert {m["id"] for m in wanted} == {band.account.id, band.group.id}
        assert all(m["action"] == "load" for m in wanted)
        await alice.nothing()
        await bob.nothing()
        alice.send(members)
        await alice.nothing()
        alice.send(account)
        answers = await alice.take(3)
        assert {m["id"] for m in answers} == {band.account.id, band.group.id, band.map.id}
        assert all(m["action"] == "known" for m in answers)


async def test_later_content_of_the_same_sender_follows_in_order() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        account, members, tune = band.first()
        alice.send(tune)
        await alice.take(2)
        for n in range(5):
            alice.send(band.edit(n))
        await alice.nothing()
        alice.send(account, members)
        answers = await alice.take(3)
        assert known(band.map, {band.session.id: 6}) in answers


async def test_content_that_lacks_nothing_is_not_held_up_by_content_that_does() -> None:
    async with stage() as running:
        band, alice, mallory = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        stranger = Account.named("never uploaded").session()
        mallory.send(content(band.map, {stranger.id: stranger.append(edit("x"))}))
        assert await mallory.next() == asked(Account.named("never uploaded").id)
        alice.send(band.edit("y"))
        assert await alice.next() == known(band.map, {band.session.id: 2})


async def test_too_much_parked_content_is_dropped_and_asked_for_again() -> None:
    limits = replace(LIMITS, parked_bytes=30_000)
    async with stage(limits=limits) as running:
        band, alice = Band(), running.client()
        account, members, tune = band.first()
        alice.send(tune)
        await alice.take(2)
        for n in range(10):
            alice.send(band.edit("x" * 10_000 + str(n)))
        await alice.nothing()
        assert alice.peer.parked_bytes <= limits.parked_bytes
        alice.send(account, members)
        answers = await alice.take(4)
        corrections = [m for m in answers if m.get("isCorrection")]
        assert [m["id"] for m in corrections] == [band.map.id]
        assert alice.peer.parked_bytes == 0


async def test_what_all_park_together_is_bounded() -> None:
    limits = replace(LIMITS, total_parked_bytes=30_000)
    async with stage(limits=limits) as running:
        bands = [Band(f"player {number}") for number in range(5)]
        clients = [running.client() for _ in bands]
        for client, band in zip(clients, bands, strict=True):
            _, _, tune = band.first()
            client.send(tune, band.edit("x" * 10_000))
            await client.take(2)
        parked = [client.peer.parked_bytes for client in clients]
        assert 10_000 < sum(parked) <= limits.total_parked_bytes
        # It was somebody else who took the room; nothing is lost of it.
        assert parked[-1] < 10_000
        again = Band("player 4")
        account, members, _ = again.first()
        clients[-1].send(account, members)
        answers = await clients[-1].take(3)
        assert bands[-1].map.id in {m["id"] for m in answers if m.get("isCorrection")}
        for client in clients:
            client.leave()
        assert running.node._parking._bytes == 0


async def test_who_makes_most_be_waited_for_goes_at_once() -> None:
    async with stage(limits=replace(LIMITS, total_waiting=50)) as running:
        alice, mallory = running.client(), running.client()
        band = Band()
        alice.send(band.first()[2])
        await alice.take(2)
        for number in range(40):
            mallory.send(Band(f"nobody {number}").first()[2])
        await running.client().nothing()
        # Its socket may take its time, what it sent is forgotten.
        assert mallory.closed_with == 1008
        assert (mallory.peer.waiting, mallory.peer.parked_bytes) == (0, 0)
        assert alice.closed_with is None
        assert alice.peer.parked_bytes > 0


async def test_content_that_waited_too_long_is_dropped_and_asked_for_again() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        account, members, tune = band.first()
        alice.send(tune)
        await alice.take(2)
        running.node._parking._clock = lambda: float("inf")
        assert running.node._parking.expire() == 1
        assert alice.peer.parked_bytes == 0
        alice.send(account, members)
        answers = await alice.take(3)
        assert {m["id"] for m in answers if m.get("isCorrection")} == {band.map.id}
        alice.send(tune)
        assert await alice.next() == known(band.map, {band.session.id: 1})


async def test_what_follows_dropped_content_does_not_ask_for_it_before_it_can_be_used() -> None:
    # Found by the simulation, seed 1523: each piece behind a dropped first one was answered with a
    # correction, each correction with all pieces, and so on, ever more of them.
    async with stage(limits=replace(LIMITS, parked_bytes=100)) as running:
        band, alice = Band(), running.client()
        account, members, tune = band.first()
        alice.send(tune)
        await alice.take(2)
        alice.send(band.edit("a"), band.edit("b"))
        await alice.nothing()
        alice.send(account, members)
        answers = await alice.take(3)
        assert [m["id"] for m in answers if m.get("isCorrection")] == [band.map.id]
        guest = Account.named("guest")
        own, log = guest.agent.session(), band.group_session
        for member in (guest.id, band.account.id):
            run = log.append(set_role(member, "admin", made_at=5))
            alice.send(content(band.group, {log.id: run}))
        assert await alice.take(2) == [asked(guest.id), known(band.group, {log.id: 1})]
        first = own.append(set_role(guest.agent.id, "admin", made_at=1))
        alice.send(content(guest, {own.id: first}, with_header=True))
        answers = await alice.take(2)
        assert known(band.group, {log.id: 1}, isCorrection=True) in answers


async def test_who_was_asked_for_something_that_came_is_asked_for_more() -> None:
    async with stage(limits=replace(LIMITS, asked=1)) as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first())
        for name in ("carol", "dave"):
            guest = Account.named(name)
            own = guest.agent.session()
            first = own.append(set_role(guest.agent.id, "admin", made_at=1))
            run = band.group_session.append(set_role(guest.id, "writer", made_at=5))
            alice.send(content(band.group, {band.group_session.id: run}))
            assert await alice.next() == asked(guest.id)
            alice.send(content(guest, {own.id: first}, with_header=True))
            await alice.take(2)


async def test_parked_content_of_a_peer_that_left_is_forgotten() -> None:
    async with stage() as running:
        band, alice, bob = Band(), running.client(), running.client()
        account, members, tune = band.first()
        alice.send(tune)
        await alice.take(2)
        alice.leave()
        await bob.upload(account, members)
        await anyio.wait_all_tasks_blocked()
        assert await running.store.load([band.map.id]) == {}
        assert not running.node._parking._waiting


async def test_groups_that_extend_each_other_are_accepted_in_any_order() -> None:
    async with stage() as running:
        alice, bob = running.client(), running.client()
        account = Account.named("alice")
        own = account.agent.session()
        first = own.append(set_role(account.agent.id, "admin", made_at=1))
        await alice.upload(content(account, {own.id: first}, with_header=True))
        one, two = group(account.id, unique="one"), group(account.id, unique="two")
        for mine, other in ((one, two), (two, one)):
            log = account.session()
            run = log.append(set_role(account.id, "admin", made_at=2), extend(other.id, made_at=3))
            alice.send(content(mine, {log.id: run}, with_header=True))
        settled: dict[str, int] = {}
        while set(settled.values()) != {2} or len(settled) < 2:
            message = await alice.next()
            if message["action"] == "known":
                settled[message["id"]] = sum(message["sessions"].values())
        bob.load(one.id)
        assert {m["id"] for m in await bob.take(3)} == {account.id, one.id, two.id}


async def test_a_member_that_is_missing_is_asked_for() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first()[:2])
        carol = Account.named("carol")
        run = band.group_session.append(set_role(carol.id, "writer", made_at=5))
        alice.send(content(band.group, {band.group_session.id: run}))
        assert await alice.next() == asked(carol.id)
        own = carol.agent.session()
        alice.send(
            content(
                carol,
                {own.id: own.append(set_role(carol.agent.id, "admin", made_at=1))},
                with_header=True,
            )
        )
        assert {m["id"] for m in await alice.take(2)} == {carol.id, band.group.id}


async def test_a_long_chain_of_values_in_one_turn_is_worked_off() -> None:
    async with stage(limits=replace(LIMITS, parked_bytes=8 * 1024 * 1024)) as running:
        alice = running.client()
        account = Account.named("alice")
        own = account.agent.session()
        messages = []
        parent = None
        for depth in range(400):
            child, log = group(account.id, unique=f"depth {depth}"), account.session()
            run = log.append(
                set_role(account.id, "admin", made_at=2),
                *([extend(parent.id, made_at=3)] if parent else []),
            )
            messages.append(content(child, {log.id: run}, with_header=True))
            parent = child
        first = own.append(set_role(account.agent.id, "admin", made_at=1))
        messages.append(content(account, {own.id: first}, with_header=True))
        # The worst order: each before what it depends on.
        alice.send(*reversed(messages[:-1]), messages[-1])
        acknowledged: set[str] = set()
        while len(acknowledged) < 401:
            message = await alice.next()
            if message["action"] == "known":
                acknowledged.add(message["id"])


async def test_who_waits_for_a_group_in_a_circle_gets_it() -> None:
    # Found by the simulation, seed 3602: the value that a circle begins with was created, and those
    # who had asked for it before were not told.
    async with stage() as running:
        band, alice, bob = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        one, two = [group(band.account.id, unique=f"circle {n}") for n in range(2)]
        bob.load(two.id)
        await bob.next()
        ghost = Account.named("never uploaded")
        for mine, other, more in ((one, two, []), (two, one, [ghost.id])):
            log = band.account.session(mine.id)
            roles = [set_role(member, "writer", made_at=6) for member in more]
            run = log.append(extend(other.id, made_at=5), *roles)
            alice.send(content(mine, {log.id: run}, with_header=True))
        # The second one's transactions wait for the ghost; its header is there all the same.
        got = await bob.next()
        assert (got["id"], got["header"], got["new"]) == (two.id, two.header, {})
