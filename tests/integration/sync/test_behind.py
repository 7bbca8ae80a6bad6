"""Peers that are not in step: what is remembered because of them is bounded over all of them."""

from __future__ import annotations

import anyio
import pytest
from msgspec.structs import replace

from tests.integration.sync.stage import LIMITS, Band, Client, Stage, edit, stage
from tests.signing import content, owned_map

pytestmark = pytest.mark.anyio

LIMIT = 200_000
BOUNDED = replace(LIMITS, outbox_bytes=64_000, total_arrears_bytes=LIMIT)


async def stalled(running: Stage, band: Band) -> Client:
    """A client that has asked for a long map and does not read it."""
    client = running.client()
    client.reading = False
    client.load(band.map.id)
    with anyio.fail_after(20):
        while not client.peer.outbox.is_full:
            await anyio.lowlevel.checkpoint()
    return client


async def long_map(running: Stage) -> tuple[Band, Client]:
    """A map that takes more than one read, and who writes it."""
    band, alice = Band(), running.client()
    await alice.upload(*band.first())
    for number in range(20):
        await alice.upload(band.edit("x" * 20_000 + str(number)))
    return band, alice


async def test_what_is_to_follow_deliveries_is_bounded_over_all_peers() -> None:
    async with stage(limits=BOUNDED) as running:
        band, alice = await long_map(running)
        readers = [await stalled(running, band) for _ in range(20)]
        most = 0
        for number in range(20):
            await alice.upload(band.edit("y" * 5_000 + str(number)))
            tails = [reader.peer.subscriptions[band.map.id].tail for reader in readers]
            most = max(most, sum(len(piece) for tail in tails for piece in tail or ()))
        # Some were kept, never too many, and nobody had to go for it.
        assert 0 < most <= LIMIT
        assert {reader.closed_with for reader in readers} == {None}
        for reader in readers:
            reader.resume()
            held = 0
            while held < band.session.count:
                message = await reader.next()
                if message["id"] == band.map.id:
                    part = message["new"][band.session.id]
                    assert part["after"] <= held
                    held = max(held, part["after"] + len(part["newTransactions"]))
        assert all(reader.peer.arrears.size == 0 for reader in readers)


async def test_who_claims_most_while_not_reading_has_to_go() -> None:
    async with stage(limits=BOUNDED) as running:
        band, alice = await long_map(running)
        mallory, bob = await stalled(running, band), await stalled(running, band)
        others = [Band(f"other {number}") for number in range(2)]
        for other in others:
            await alice.upload(*other.first())
        claimed = {f"{band.account.id}_session_z{n}": 1 for n in range(900)}
        for number, other in enumerate(others):
            assert mallory.closed_with is None, number
            mallory.known(other.map.id, claimed, header=False)
            await alice.nothing()
        assert mallory.closed_with == 1013
        assert not mallory.peer.subscriptions
        # Who is behind with less is not touched.
        assert bob.closed_with is None
        bob.resume()
        while (await bob.next())["id"] != band.map.id:
            pass


async def test_what_those_hold_who_fell_behind_together_is_kept_once() -> None:
    async with stage(limits=BOUNDED) as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first())
        for number in range(50):
            session = band.account.session(f"device {number}")
            await alice.upload(content(band.map, {session.id: session.append(edit(number))}))
        readers = [running.client() for _ in range(5)]
        for reader in readers:
            reader.load(band.map.id)
            for _ in range(3):
                await reader.next()
            reader.reading = False
        for number in range(5):
            await alice.upload(band.edit("x" * 20_000 + str(number)))
        kept = [reader.peer.subscriptions[band.map.id].known for reader in readers]
        assert kept[0] is not None
        assert all(each is kept[0] for each in kept)
        # What one of them gets is not thought to be held by the others.
        for reader in readers:
            reader.resume()
            while (await reader.next())["new"][band.session.id]["after"] != 5:
                pass


async def test_headers_wait_for_room_as_transactions_do() -> None:
    async with stage(limits=BOUNDED) as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first())
        values = [
            owned_map(band.group.id, unique=str(n), meta={"x": "y" * 20_000}) for n in range(100)
        ]
        for value in values:
            await alice.upload(content(value, {}, with_header=True))
        reader = running.client()
        reader.reading = False
        for value in values:
            reader.load(value.id)
        await alice.nothing()
        assert BOUNDED.outbox_bytes <= reader.peer.outbox.size <= 2 * BOUNDED.outbox_bytes
        reader.resume()
        wanted = {value.id for value in values}
        while wanted:
            wanted.discard((await reader.next())["id"])


async def test_large_acknowledgements_do_not_pile_up() -> None:
    async with stage(limits=BOUNDED) as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first())
        sessions = [band.account.session(f"device {n}") for n in range(1_100)]
        runs = {session.id: session.append(edit(1)) for session in sessions}
        alice.send(content(band.map, runs))
        held = {band.session.id: 1} | dict.fromkeys(runs, 1)
        while (await alice.next())["sessions"] != held:
            pass
        alice.reading = False
        for number in range(30):
            alice.send(band.edit(number))
            await running.node.journal.settled(running.node.journal.appended)
            # Each is a commit, and each `known` names them all.
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
        assert alice.peer.outbox.size < 4 * BOUNDED.outbox_bytes
        alice.resume()
        while (await alice.next())["sessions"] != held | {band.session.id: 31}:
            pass
        await alice.nothing()
        record = running.node.residents.peek(band.map.id)
        assert record is not None
        assert record.pins == 0
