"""Memory follows use: values are let go and come back; reading is bounded."""

from __future__ import annotations

from collections.abc import Collection

import anyio
import pytest
from msgspec.structs import replace

from server.errors import StoreUnavailable
from server.store import Loaded
from server.store.memory import MemoryStore
from tests.integration.sync.stage import LIMITS, Band, GatedStore, edit, known, stage
from tests.signing import content, owned_map

pytestmark = pytest.mark.anyio


async def test_idle_values_are_let_go_and_come_back_with_everything() -> None:
    limits = replace(LIMITS, memory_bytes=20_000)
    async with stage(limits=limits) as running:
        alice, bob = running.client(), running.client()
        bands = [Band(f"player {n}") for n in range(30)]
        for band in bands:
            await alice.upload(*band.first())
        bob.load(bands[0].map.id)
        await bob.take(3)
        alice.load(bands[-1].map.id, {bands[-1].session.id: 1})
        await alice.next()
        assert running.node.residents.size <= limits.memory_bytes
        assert len(running.node.residents) < 20
        # The running hash is gone, too, and subscribers are still subscribed.
        alice.send(bands[0].edit("after a rest"))
        assert await alice.next() == known(bands[0].map, {bands[0].session.id: 2})
        assert (await bob.next())["new"][bands[0].session.id]["after"] == 1


async def test_edits_go_on_after_a_restart_and_forgeries_still_fail() -> None:
    store, band = MemoryStore(), Band()
    async with stage(store) as running:
        await running.client().upload(*band.first())
    for count in (2, 3, 4):
        run = band.run(f"edit {count}")
        async with stage(store) as running:
            alice = running.client()
            for value, session in (
                (band.account, band.account_session),
                (band.group, band.group_session),
                (band.map, band.session),
            ):
                alice.load(value.id, {session.id: 1 if session is not band.session else count - 1})
                await alice.next()
            forged = run.with_flipped_signature()
            alice.send(content(band.map, {band.session.id: forged}))
            assert await alice.next() == known(band.map, {band.session.id: count - 1})
            alice.send(content(band.map, {band.session.id: run}))
            assert await alice.next() == known(band.map, {band.session.id: count})


async def test_an_edit_right_after_a_restart_is_verified_against_its_author() -> None:
    store, band = MemoryStore(), Band()
    async with stage(store) as running:
        await running.client().upload(*band.first())
    async with stage(store) as running:
        # Nothing has been loaded: not the value, not the account that signs.
        alice = running.client()
        alice.send(band.edit("at once"))
        answers = [m for m in await alice.take(3) if m["action"] == "known"]
        assert answers == [known(band.map, {band.session.id: 2})]


async def test_a_peer_whose_content_is_not_durable_is_not_read_from() -> None:
    store = GatedStore(MemoryStore())
    limits = replace(LIMITS, held_bytes=50_000)
    async with stage(store, limits) as running:
        band, other, alice, bob = Band(), Band("bob"), running.client(), running.client()
        await alice.upload(*band.first())
        await bob.upload(*other.first())
        store.shut()
        alice.send(*[band.edit("x" * 10_000) for _ in range(10)])
        await store.waiting.wait()
        assert not alice.allowed
        assert bob.allowed
        store.gate.set()
        assert await alice.next() == known(band.map, {band.session.id: 11})
        assert alice.allowed
        assert alice.peer.held_bytes == 0


async def test_while_too_much_is_not_durable_small_edits_of_others_go_on() -> None:
    store = GatedStore(MemoryStore())
    limits = replace(LIMITS, total_held_bytes=100_000)
    async with stage(store, limits) as running:
        band, other = Band(), Band("bob")
        alice, bob, carol = running.client(), running.client(), running.client()
        await alice.upload(*band.first())
        await bob.upload(*other.first())
        store.shut()
        alice.send(*[band.edit("x" * 10_000) for _ in range(10)])
        await store.waiting.wait()
        assert [c.allowed for c in (alice, bob, carol)] == [False, True, True]
        bob.send(other.edit("small"))
        assert bob.allowed
        bob.send(other.edit("x" * 16_000))
        assert not bob.allowed
        store.gate.set()
        assert await bob.next() == known(other.map, {other.session.id: 3})
        await alice.next()
        assert [c.allowed for c in (alice, bob, carol)] == [True] * 3


async def test_nobody_is_read_from_when_too_much_is_not_durable() -> None:
    store = GatedStore(MemoryStore())
    limits = replace(LIMITS, total_held_bytes=50_000)
    async with stage(store, limits) as running:
        band, alice, bob = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        store.shut()
        alice.send(*[band.edit("x" * 10_000) for _ in range(10)])
        await store.waiting.wait()
        late = running.client()
        assert [c.allowed for c in (alice, bob, late)] == [False, False, False]
        store.gate.set()
        await alice.next()
        assert alice.allowed
        assert bob.allowed
        assert late.allowed


async def test_a_store_that_fails_delays_acknowledgements_and_recovers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.journal._RETRY_S", (0.0,))
    store = GatedStore(MemoryStore())
    async with stage(store) as running:
        band, alice, bob = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        store.failing = True
        commits = store.commits
        alice.send(band.edit("waits"))
        while store.commits < commits + 3:
            await anyio.lowlevel.checkpoint()
        assert isinstance(running.node.journal.failure, StoreUnavailable)
        # Reading goes on.
        bob.load(band.account.id)
        assert (await bob.next())["id"] == band.account.id
        assert not alice._messages
        store.failing = False
        assert await alice.next() == known(band.map, {band.session.id: 2})
        assert running.node.journal.failure is None


class SickStore(GatedStore):
    """A store in which some CoValues cannot be read for a while."""

    sick: frozenset[str] = frozenset()

    async def load(self, ids: Collection[str]) -> Loaded:
        """See `Store.load`."""
        if self.sick.intersection(ids):
            raise StoreUnavailable("disk I/O error")
        return await super().load(ids)


async def test_what_depends_on_what_cannot_be_read_waits_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.residents._RETRY_S", 0.01)
    store, band, other = SickStore(MemoryStore()), Band(), Band("other")
    async with stage(store) as running:
        await running.client().upload(*band.first(), *other.first())
    store.sick = frozenset([band.group.id])
    async with stage(store) as running:
        bob = running.client()
        for value in (band.map, other.map, band.map):
            bob.load(value.id)
        assert [m["id"] for m in await bob.take(3)] == [
            other.account.id,
            other.group.id,
            other.map.id,
        ]
        # Asked for later, too.
        bob.load(band.account.id)
        assert (await bob.next())["id"] == band.account.id
        store.sick = frozenset()
        assert [m["id"] for m in await bob.take(2)] == [band.group.id, band.map.id]


async def test_large_headers_count() -> None:
    limits = replace(LIMITS, memory_bytes=200_000)
    async with stage(limits=limits) as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first())
        values = [
            owned_map(band.group.id, unique=str(n), meta={"x": "y" * 20_000}) for n in range(30)
        ]
        for value in values:
            await alice.upload(content(value, {}, with_header=True))
        records = [running.node.residents.peek(value.id) for value in values]
        headers = [record.header for record in records if record is not None]
        assert 0 < sum(len(header.canonical) for header in headers if header) <= 200_000


async def test_the_hashes_of_a_value_that_everybody_writes_do_not_fill_the_memory() -> None:
    limits = replace(LIMITS, memory_bytes=1_000_000)
    async with stage(limits=limits) as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first())
        sessions = [band.account.session(f"device {n}") for n in range(2_500)]
        for session in sessions:
            alice.send(content(band.map, {session.id: session.append(edit(1))}))
        held = {session.id: 1 for session in (band.session, *sessions)}
        while (await alice.next()).get("sessions") != held:
            pass
        record = running.node.residents.peek(band.map.id)
        assert record is not None
        assert 0 < len(record.writers) <= 2_000
        # Who was forgotten goes on where it stood, and nobody else does so in its name.
        first = sessions[0]
        assert first.id not in record.writers
        run = first.append(edit(2))
        alice.send(content(band.map, {first.id: run.with_flipped_signature()}))
        assert await alice.next() == known(band.map, held)
        alice.send(content(band.map, {first.id: run}))
        assert await alice.next() == known(band.map, held | {first.id: 2})
