"""Content from a client: what is verified, stored, acknowledged, corrected, refused."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from server.store.memory import MemoryStore
from tests.integration.sync.stage import LIMITS, Band, GatedStore, known, stage
from tests.signing import Account, content

pytestmark = pytest.mark.anyio


async def test_new_values_are_stored_and_acknowledged_with_all_their_sessions() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        answers = await alice.upload(*band.first())
        assert answers == [
            known(band.account, {band.account_session.id: 1}),
            known(band.group, {band.group_session.id: 1}),
            known(band.map, {band.session.id: 1}),
        ]
        stored = await running.store.load([band.account.id, band.group.id, band.map.id])
        assert {i: s.sessions for i, s in stored.items()} == {
            band.account.id: {band.account_session.id: 1},
            band.group.id: {band.group_session.id: 1},
            band.map.id: {band.session.id: 1},
        }


async def test_nothing_is_acknowledged_before_it_is_durable() -> None:
    store = GatedStore(MemoryStore())
    async with stage(store) as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first())
        store.shut()
        alice.send(band.edit(1))
        await store.waiting.wait()
        # A second one and a question, while the first is still on its way to the disk.
        alice.send(band.edit(2))
        alice.load(band.map.id, {band.session.id: 3})
        await anyio.wait_all_tasks_blocked()
        assert not alice.peer.outbox.size
        assert not alice._messages
        store.gate.set()
        counts = [(await alice.next())["sessions"][band.session.id] for _ in range(2)]
        assert counts == [2, 3]


async def test_messages_that_wait_together_share_a_commit_and_an_acknowledgement() -> None:
    store = GatedStore(MemoryStore())
    async with stage(store) as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first())
        before = store.commits
        alice.send(*[band.edit(n) for n in range(50)])
        assert await alice.next() == known(band.map, {band.session.id: 51})
        assert store.commits == before + 1
        await alice.nothing()


async def test_what_is_known_already_is_skipped_and_acknowledged() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        first = band.first()
        await alice.upload(*first)
        more = band.run(1, 2)
        overlapping = {"action": "content", "id": band.map.id, "priority": 3}
        overlapping["new"] = {
            band.session.id: {
                "after": 0,
                "newTransactions": json.loads(first[2])["new"][band.session.id]["newTransactions"]
                + list(more.transactions),
                "lastSignature": more.signature,
            }
        }
        alice.send(overlapping)
        assert await alice.next() == known(band.map, {band.session.id: 3})
        alice.send(overlapping)
        assert await alice.next() == known(band.map, {band.session.id: 3})


async def test_a_gap_is_answered_with_a_correction_and_healed() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first())
        missing = band.edit("missing")
        alice.send(band.edit("after the gap"))
        assert await alice.next() == known(band.map, {band.session.id: 1}, isCorrection=True)
        alice.send(missing)
        assert await alice.next() == known(band.map, {band.session.id: 2})


async def test_content_without_header_for_an_unknown_value_is_corrected() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        first = band.first()
        await alice.upload(*first[:2])
        message = json.loads(first[2])
        header = message.pop("header")
        alice.send(message)
        assert await alice.next() == {
            "action": "known",
            "id": band.map.id,
            "header": False,
            "sessions": {},
            "isCorrection": True,
        }
        alice.send(message | {"header": header})
        assert await alice.next() == known(band.map, {band.session.id: 1})


async def test_a_header_that_is_not_the_ids_is_not_stored() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        first = band.first()
        await alice.upload(*first[:2])
        alice.send(json.loads(first[2]) | {"header": Band("mallory").map.header})
        await alice.nothing()
        assert await running.store.load([band.map.id]) == {}
        assert running.node.counters["refused"] == 1


async def test_a_header_alone_makes_the_value_known() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first()[:2])
        alice.send(content(band.map, {}, with_header=True))
        assert await alice.next() == known(band.map, {})
        reader = running.client()
        reader.load(band.map.id)
        got = await reader.take(3)
        assert [m["id"] for m in got] == [band.account.id, band.group.id, band.map.id]
        assert got[2]["header"] == band.map.header
        assert got[2]["new"] == {}


async def test_a_forged_signature_is_refused_and_spoils_nothing() -> None:
    async with stage() as running:
        band, alice, mallory = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        mallory.load(band.map.id)
        await mallory.take(3)
        honest = band.run("honest")
        for forged in (
            honest.with_flipped_signature(),
            honest.with_changed_transaction(),
        ):
            mallory.send(content(band.map, {band.session.id: forged}))
            assert await mallory.next() == known(band.map, {band.session.id: 1})
        alice.send(content(band.map, {band.session.id: honest}))
        assert await alice.next() == known(band.map, {band.session.id: 2})
        # And the forger is still told what is right.
        relayed = (await mallory.next())["new"][band.session.id]
        assert relayed["newTransactions"] == list(honest.transactions)


async def test_a_forgery_in_the_same_turn_costs_only_its_sender() -> None:
    async with stage() as running:
        band, alice, mallory = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        one, two, three = band.run(1), band.run(2), band.run(3)
        session = band.session.id
        mallory.send(content(band.map, {session: one.with_changed_transaction()}))
        alice.send(content(band.map, {session: one}), content(band.map, {session: two}))
        mallory.send(content(band.map, {session: three.with_flipped_signature()}))
        alice.send(content(band.map, {session: three}))
        assert await alice.next() == known(band.map, {session: 4})
        stored = await running.store.load([band.map.id])
        assert stored[band.map.id].sessions == {session: 4}


async def test_another_sessions_or_accounts_signature_does_not_count() -> None:
    async with stage() as running:
        band, other, alice = Band(), Band("bob"), running.client()
        await alice.upload(*band.first())
        await alice.upload(*other.first())
        stranger = other.account.session("2").append(
            {"privacy": "trusting", "madeAt": 1, "changes": "[]"}
        )
        mine = band.account.session("2")
        alice.send(content(band.map, {mine.id: stranger}))
        assert await alice.next() == known(band.map, {band.session.id: 1})
        assert running.node.counters["refused"] == 1


async def test_an_author_that_is_no_account_is_refused() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first())
        run = band.account.agent.session().append(
            {"privacy": "trusting", "madeAt": 1, "changes": "[]"}
        )
        session = f"{band.group.id}_session_z1111"
        alice.send(content(band.map, {session: run}))
        assert await alice.next() == known(band.map, {band.session.id: 1})


@pytest.mark.parametrize(
    "broken",
    [
        {"after": -1},
        {"after": 1.0},
        {"after": True},
        {"after": 10**30},
        {"newTransactions": None},
        {"newTransactions": [{"privacy": "trusting", "madeAt": 1}]},
        {"newTransactions": [{"privacy": "trusting", "madeAt": 1.5, "changes": "[]"}]},
        {"newTransactions": [{"privacy": "public", "madeAt": 1, "changes": "[]"}]},
        {"newTransactions": ["x"]},
        {"lastSignature": 5},
        {"lastSignature": "signature_z0"},
    ],
    ids=str,
)
async def test_a_malformed_session_does_not_take_the_others_with_it(broken: dict[str, Any]) -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first())
        second = band.account.session("2")
        runs = {
            band.session.id: band.run(1),
            second.id: second.append({"privacy": "trusting", "madeAt": 1, "changes": "[]"}),
        }
        message = json.loads(content(band.map, runs))
        message["new"][second.id] |= broken
        message["new"]["not a session id"] = message["new"][band.session.id]
        alice.send(message)
        assert await alice.next() == known(band.map, {band.session.id: 2})


@pytest.mark.parametrize(
    "frame",
    [
        b'"x"',
        b"true",
        b"42",
        b"null",
        b"[]",
        b"",
        b"\n\n",
        b"not json",
        b"{}",
        b'{"action":"content"}',
        b'{"action":"content","id":"co_zdPh7BvmndZ8gTBr9BAuguibHDk"}',
        b'{"action":"dance","id":"co_zdPh7BvmndZ8gTBr9BAuguibHDk"}',
        b'{"action":"load","id":5,"header":true,"sessions":{}}',
        b"[" * 100_000,
        b'{"action":"content","id":"' + b"\xff" + b'"}',
    ],
    ids=lambda frame: repr(frame[:40]),
)
async def test_what_is_no_message_is_dropped_and_the_rest_of_its_frame_is_not(frame: bytes) -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        messages = band.first()
        alice.send(frame, *messages[:2])
        alice.send(messages[2], frame)
        assert [m["id"] for m in await alice.take(3)] == [
            band.account.id,
            band.group.id,
            band.map.id,
        ]
        assert alice.closed_with is None


async def test_content_of_a_peer_that_left_at_once_is_kept() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        alice.send(*band.first())
        alice.leave()
        reader = running.client()
        reader.load(Account.named("nobody").id)
        await reader.next()
        await running.node.journal.settled(running.node.journal.appended)
        reader.load(band.map.id)
        assert (await reader.take(3))[2]["new"][band.session.id]["after"] == 0


async def test_who_is_no_longer_told_of_a_value_is_still_acknowledged() -> None:
    store = GatedStore(MemoryStore())
    async with stage(store, replace(LIMITS, subscriptions=10)) as running:
        band, client = Band(), running.client()
        await client.upload(*band.first())
        store.shut()
        client.send(band.edit("second"))
        await store.waiting.wait()
        # It asks for more than it may be told of, while its edit is on its way to the disk.
        for number in range(10):
            client.load(Account.named(str(number)).id)
            await client.next()
        assert band.map.id not in client.peer.subscriptions
        store.gate.set()
        assert await client.next() == known(band.map, {band.session.id: 2})
