"""Live relay: who gets what the moment it is accepted."""

from __future__ import annotations

import anyio
import pytest
from msgspec.structs import replace

from server.store.memory import MemoryStore
from tests.integration.sync.stage import LIMITS, Band, GatedStore, edit, known, stage
from tests.signing import Account, content, set_role

pytestmark = pytest.mark.anyio


async def test_subscribers_get_new_content_and_the_sender_no_echo() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        readers = [running.client() for _ in range(3)]
        await alice.upload(*band.first())
        for reader in readers:
            reader.load(band.map.id)
            await reader.take(3)
        run = band.run("news")
        alice.send(content(band.map, {band.session.id: run}))
        for reader in readers:
            assert await reader.next() == {
                "action": "content",
                "id": band.map.id,
                "priority": 3,
                "new": {
                    band.session.id: {
                        "after": 1,
                        "newTransactions": list(run.transactions),
                        "lastSignature": run.signature,
                    }
                },
            }
            await reader.nothing()
        assert await alice.next() == known(band.map, {band.session.id: 2})
        await alice.nothing()


async def test_relay_does_not_wait_for_the_disk() -> None:
    store = GatedStore(MemoryStore())
    async with stage(store) as running:
        band, alice, bob = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        bob.load(band.map.id)
        await bob.take(3)
        store.shut()
        alice.send(band.edit("early"))
        assert (await bob.next())["action"] == "content"
        assert not alice.peer.outbox.size
        store.gate.set()
        assert (await alice.next())["action"] == "known"


async def test_confirmations_of_subscribers_are_not_answered() -> None:
    async with stage() as running:
        band, alice, bob = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        bob.load(band.map.id)
        await bob.take(3)
        alice.send(band.edit(1))
        await bob.next()
        bob.known(band.map.id, {band.session.id: 2})
        bob.known(band.map.id, {band.session.id: 1})
        await bob.nothing()


async def test_sending_content_subscribes() -> None:
    async with stage() as running:
        band, alice, bob = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        # Bob held it all along, from elsewhere, and edits without ever having asked for it.
        log = band.account.session("bob's")
        bob.send(content(band.map, {log.id: log.append(edit("from bob"))}))
        got = await bob.take(4)
        assert [m["id"] for m in got if m["action"] == "content"] == [
            band.account.id,
            band.group.id,
            band.map.id,
        ]
        assert (await alice.next())["new"].keys() == {log.id}
        alice.send(band.edit("from alice"))
        assert (await bob.next())["new"][band.session.id]["after"] == 1


async def test_a_known_subscribes_and_is_answered_once() -> None:
    async with stage() as running:
        band, alice, bob = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        bob.known(band.account.id, {band.account_session.id: 1})
        bob.known(band.group.id, {band.group_session.id: 1})
        bob.known(band.map.id, {band.session.id: 1})
        assert {m["id"] for m in await bob.take(3)} == {
            band.account.id,
            band.group.id,
            band.map.id,
        }
        bob.known(band.map.id, {band.session.id: 1})
        await bob.nothing()
        alice.send(band.edit("live"))
        assert (await bob.next())["new"][band.session.id]["after"] == 1


async def test_a_correction_from_a_client_is_answered_with_what_lacks() -> None:
    async with stage() as running:
        band, alice, bob = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        bob.load(band.map.id)
        await bob.take(3)
        bob.known(band.map.id, {}, header=False, isCorrection=True)
        again = await bob.next()
        assert again["header"] == band.map.header
        assert again["new"][band.session.id]["after"] == 0


async def test_who_asked_for_an_unknown_value_gets_it_when_it_comes() -> None:
    async with stage() as running:
        band, alice, bob = Band(), running.client(), running.client()
        bob.load(band.map.id)
        assert (await bob.next())["header"] is False
        await alice.upload(*band.first())
        got = await bob.take(3)
        assert [m["id"] for m in got] == [band.account.id, band.group.id, band.map.id]
        assert got[2]["header"] == band.map.header
        await bob.nothing()


async def test_a_new_author_comes_before_what_they_wrote() -> None:
    async with stage() as running:
        band, alice, bob = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        bob.load(band.map.id)
        await bob.take(3)
        carol = Account.named("carol")
        own, log = carol.agent.session(), carol.session()
        first = own.append(set_role(carol.agent.id, "admin", made_at=1))
        alice.send(
            content(carol, {own.id: first}, with_header=True),
            content(band.map, {log.id: log.append(edit("hello"))}),
        )
        got = await bob.take(2)
        assert [m["id"] for m in got] == [carol.id, band.map.id]
        assert got[1]["new"].keys() == {log.id}
        await bob.nothing()


async def test_two_writers_of_one_session_in_one_turn_get_each_others_part() -> None:
    async with stage() as running:
        band, phone, laptop = Band(), running.client(), running.client()
        await phone.upload(*band.first())
        laptop.load(band.map.id)
        await laptop.take(3)
        one, two = band.edit(1), band.edit(2)
        phone.send(one)
        laptop.send(two)
        assert (await laptop.next())["action"] in {"known", "content"}
        got = [await phone.next(), await phone.next()]
        part = next(m for m in got if m["action"] == "content")["new"][band.session.id]
        assert (part["after"], len(part["newTransactions"])) == (2, 1)


async def test_a_slow_reader_costs_bounded_memory_and_catches_up() -> None:
    limits = replace(LIMITS, outbox_bytes=100_000)
    async with stage(limits=limits) as running:
        band, alice, slow, quick = Band(), *[running.client() for _ in range(3)]
        await alice.upload(*band.first())
        for reader in (slow, quick):
            reader.load(band.map.id)
            await reader.take(3)
        slow.reading = False
        for n in range(50):
            await alice.upload(band.edit("x" * 10_000 + str(n)))
        assert slow.peer.outbox.size < 2 * limits.outbox_bytes
        held = 1
        while held < 51:
            part = (await quick.next())["new"][band.session.id]
            assert part["after"] == held
            held += len(part["newTransactions"])
        slow.resume()
        held = 1
        while held < 51:
            part = (await slow.next())["new"][band.session.id]
            assert part["after"] == held
            held += len(part["newTransactions"])
        await slow.nothing()
        alice.send(band.edit("live again"))
        assert (await slow.next())["new"][band.session.id]["after"] == 51


async def test_who_left_gets_nothing_and_is_forgotten() -> None:
    async with stage() as running:
        band, alice, bob = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        bob.load(band.map.id)
        await bob.take(3)
        bob.leave()
        await alice.upload(band.edit(1))
        await anyio.wait_all_tasks_blocked()
        assert not bob.peer.outbox.size
        assert running.node.peers == 1
