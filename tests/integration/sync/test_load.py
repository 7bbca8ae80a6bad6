"""Answers to `load`: what lacks, dependencies first, in pieces; or `known`."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from server.store.memory import MemoryStore
from tests.integration.sync.stage import (
    Band,
    Client,
    GatedStore,
    Message,
    edit,
    known,
    stage,
)
from tests.signing import Account, content, extend, group, owned_map, set_role

pytestmark = pytest.mark.anyio


def transactions(messages: list[Message], session: str) -> list[Any]:
    """All transactions of a session in `content` messages, which must be contiguous."""
    found: list[Any] = []
    for message in messages:
        part = message["new"].get(session)
        if part is not None:
            assert part["after"] == len(found)
            found += part["newTransactions"]
    return found


async def test_an_unknown_value_is_answered_at_once() -> None:
    async with stage() as running:
        client = running.client()
        client.load(Band().map.id)
        assert await client.next() == {
            "action": "known",
            "id": Band().map.id,
            "header": False,
            "sessions": {},
        }


async def test_an_id_that_can_be_none_is_answered_too() -> None:
    async with stage() as running:
        client = running.client()
        client.load("co_zNotBase58OrTooShort")
        assert (await client.next())["header"] is False


async def test_dependencies_come_first_and_only_once() -> None:
    async with stage() as running:
        band, alice, bob = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        bob.load(band.map.id)
        got = await bob.take(3)
        assert [m["id"] for m in got] == [band.account.id, band.group.id, band.map.id]
        assert [m["priority"] for m in got] == [0, 0, 3]
        assert got[2]["header"] == band.map.header
        assert "expectContentUntil" not in got[2]
        second = owned_map(band.group.id, unique="second")
        log = band.account.session("second")
        await alice.upload(content(second, {log.id: log.append(edit(1))}, with_header=True))
        bob.load(second.id)
        assert (await bob.next())["id"] == second.id
        await bob.nothing()


async def test_a_chain_of_parent_groups_comes_from_its_root() -> None:
    async with stage() as running:
        alice, bob = running.client(), running.client()
        account = Account.named("alice")
        own = account.agent.session()
        first = own.append(set_role(account.agent.id, "admin", made_at=1))
        await alice.upload(content(account, {own.id: first}, with_header=True))
        parent, chain = None, []
        for depth in range(60):
            child, log = group(account.id, unique=f"depth {depth}"), account.session()
            run = log.append(
                set_role(account.id, "admin", made_at=2),
                *([extend(parent.id, made_at=3)] if parent else []),
            )
            await alice.upload(content(child, {log.id: run}, with_header=True))
            chain.append(child.id)
            parent = child
        bob.load(chain[-1])
        got = await bob.take(61)
        assert [m["id"] for m in got] == [account.id, *chain]


async def test_who_holds_everything_is_told_so_each_time() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first())
        for _ in range(3):
            alice.load(band.map.id, {band.session.id: 1})
            assert await alice.next() == known(band.map, {band.session.id: 1})
        await alice.nothing()


async def test_who_holds_a_part_gets_the_rest() -> None:
    async with stage() as running:
        band, alice, bob = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        # One chunk of four, so that the rest begins in its middle.
        run = band.run(1, 2, 3, 4)
        await alice.upload(content(band.map, {band.session.id: run}))
        bob.load(band.account.id, {band.account_session.id: 1})
        bob.load(band.group.id, {band.group_session.id: 1})
        bob.load(band.map.id, {band.session.id: 3})
        got = await bob.take(3)
        assert got[2]["new"] == {
            band.session.id: {
                "after": 3,
                "newTransactions": list(run.transactions[2:]),
                "lastSignature": run.signature,
            }
        }
        assert "header" not in got[2]


async def test_who_claims_more_than_is_held_is_corrected_and_uploads() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first())
        lost = [band.edit(n) for n in range(2)]
        alice.load(band.map.id, {band.session.id: 3})
        assert await alice.next() == known(band.map, {band.session.id: 1}, isCorrection=True)
        alice.send(*lost)
        assert await alice.next() == known(band.map, {band.session.id: 3})


async def test_a_value_that_was_lost_altogether_is_asked_for() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        alice.load(band.map.id, {band.session.id: 1})
        answer = await alice.next()
        assert answer["isCorrection"] is True
        assert answer["header"] is False


async def test_a_large_value_is_streamed_in_pieces_that_end_at_signatures() -> None:
    async with stage() as running:
        band, alice, bob = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        runs = [band.run("x" * 30_000 + str(n)) for n in range(12)]
        for run in runs:
            await alice.upload(content(band.map, {band.session.id: run}))
        bob.load(band.map.id)
        assert [m["id"] for m in await bob.take(2)] == [band.account.id, band.group.id]
        pieces = await bob.take(4)
        await bob.nothing()
        assert [bool(p.get("header")) for p in pieces] == [True, False, False, False]
        assert pieces[0]["expectContentUntil"] == {band.session.id: 13}
        assert not any("expectContentUntil" in p for p in pieces[1:])
        assert len(transactions(pieces, band.session.id)) == 13
        assert pieces[-1]["new"][band.session.id]["lastSignature"] == runs[-1].signature
        assert all(len(str(p)) < 110_000 for p in pieces)


@pytest.mark.parametrize("size", [10, 30_000], ids=["few bytes", "more than is kept for later"])
async def test_edits_while_a_value_is_streamed_follow_it_in_order(size: int) -> None:
    async with stage() as running:
        band, alice, bob = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        for n in range(40):
            await alice.upload(
                content(band.map, {band.session.id: band.run("x" * 60_000 + str(n))})
            )
        bob.reading = False
        bob.load(band.map.id)
        for n in range(20):
            await alice.upload(band.edit("y" * size + str(n)))
        bob.resume()
        got: list[Message] = []
        while len(transactions(got, band.session.id)) < 61:
            got += [m for m in [await bob.next()] if m["id"] == band.map.id]
        await bob.nothing()
        await alice.upload(band.edit("live"))
        assert (await bob.next())["new"][band.session.id]["after"] == 61


async def test_a_file_on_its_way_does_not_hold_up_what_is_more_urgent() -> None:
    async with stage() as running:
        band, alice, bob = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        meta = {"type": "binary"}
        film = owned_map(band.group.id, unique="film", type="costream", meta=meta)
        log = band.account.session("film")
        for n in range(50):
            run = log.append(edit("x" * 60_000 + str(n)))
            await alice.upload(content(film, {log.id: run}, with_header=n == 0))
        bob.load(film.id)
        bob.reading = False
        # So much is on its way that the delivery waits for the reader.
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        assert bob.peer.outbox.size > 400_000
        bob.load(band.map.id)
        # And once more what is being delivered: it is not begun a second time meanwhile.
        bob.load(film.id)
        bob.resume()
        seen: list[str] = []
        held = 0
        while held < 50:
            message = await bob.next()
            seen.append(message["id"])
            if log.id in message["new"]:
                part = message["new"][log.id]
                assert part["after"] in (0, held)
                held = part["after"] + len(part["newTransactions"])
        assert band.map.id in seen
        await bob.nothing()


async def read_everything(client: Client, value: str, sessions: int) -> None:
    """Load `value` and take its content, which must be of so many sessions."""
    client.load(value)
    seen: set[str] = set()
    while len(seen) < sessions:
        message = await client.next()
        if message["id"] == value:
            seen |= message["new"].keys()


async def test_many_sessions_of_many_authors() -> None:
    async with stage() as running:
        band, alice, bob = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        for n in range(150):
            author = Account.named(f"author {n}")
            own, log = author.agent.session(), author.session()
            first = own.append(set_role(author.agent.id, "admin", made_at=1))
            alice.send(
                content(author, {own.id: first}, with_header=True),
                content(band.map, {log.id: log.append(edit(n))}),
            )
        while len((await alice.next())["sessions"]) < 151:
            pass
        await read_everything(bob, band.map.id, 151)
        await bob.nothing()


async def test_what_is_not_durable_yet_holds_up_only_what_depends_on_it() -> None:
    store = GatedStore(MemoryStore())
    band, other = Band(), Band("other")
    async with stage(store) as running:
        alice, bob = running.client(), running.client()
        await alice.upload(*band.first(), *other.first())
        store.shut()
        guest = Account.named("guest")
        opening = band.group_session.append(set_role(guest.id, "reader", made_at=9))
        alice.send(
            content(guest, {}, with_header=True),
            content(band.group, {band.group_session.id: opening}),
        )
        await store.waiting.wait()
        bob.load(band.map.id)
        bob.load(other.map.id)
        found = [await bob.next()]
        while found[-1]["id"] != other.map.id:
            found.append(await bob.next())
        assert {m["id"] for m in found}.isdisjoint({band.group.id, band.map.id})
        # More is appended and asked for before it is there.
        alice.send(band.edit("second"))
        bob.load(band.group.id)
        store.gate.set()
        by_id: dict[str, list[Message]] = {}
        while len(transactions(by_id.get(band.map.id, []), band.session.id)) < 2:
            message = await bob.next()
            if message["action"] == "content":
                by_id.setdefault(message["id"], []).append(message)
        order = list(by_id)
        assert order.index(guest.id) < order.index(band.group.id) < order.index(band.map.id)
        assert len(transactions(by_id[band.group.id], band.group_session.id)) == 2
