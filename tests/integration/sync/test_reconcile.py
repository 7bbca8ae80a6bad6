"""`reconcile` and `reconcile-ack` (0.20)."""

from __future__ import annotations

import pytest

from protocol.ids import sessions_hash
from tests.integration.sync.stage import Band, Message, known, stage

pytestmark = pytest.mark.anyio


def batch(name: str, **values: dict[str, int]) -> Message:
    """A `reconcile` message: per id the sessions that the client has stored."""
    entries = [[i, sessions_hash(sessions)] for i, sessions in values.items()]
    return {"action": "reconcile", "id": name, "values": entries}


async def test_equal_and_empty_batches_are_acknowledged_at_once() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first())
        alice.send(batch("equal", **{band.map.id: {band.session.id: 1}}))
        assert await alice.next() == {"action": "reconcile-ack", "id": "equal"}
        alice.send(batch("empty"))
        assert await alice.next() == {"action": "reconcile-ack", "id": "empty"}


async def test_what_differs_is_asked_for_and_acknowledged_when_all_is_answered() -> None:
    async with stage() as running:
        band, unknown, alice = Band(), Band("bob"), running.client()
        await alice.upload(*band.first())
        await alice.upload(*unknown.first()[:2])
        newer = band.edit("offline")
        alice.send(
            batch(
                "b1",
                **{
                    band.map.id: {band.session.id: 2},
                    unknown.map.id: {unknown.session.id: 1},
                    band.group.id: {band.group_session.id: 1},
                },
            )
        )
        asked = {m["id"]: m for m in await alice.take(2)}
        assert asked == {
            band.map.id: {
                "action": "load",
                "id": band.map.id,
                "header": True,
                "sessions": {band.session.id: 1},
            },
            unknown.map.id: {
                "action": "load",
                "id": unknown.map.id,
                "header": False,
                "sessions": {},
            },
        }
        alice.send(newer)
        assert await alice.next() == known(band.map, {band.session.id: 2})
        # Not the one from before: that is spent, this one is the same content again.
        alice.known(unknown.map.id, {}, header=False)
        assert await alice.next() == {"action": "reconcile-ack", "id": "b1"}


async def test_a_batch_of_senseless_size_is_refused() -> None:
    async with stage() as running:
        alice = running.client()
        entries = [[Band().map.id, "x"]] * 5_000
        alice.send({"action": "reconcile", "id": "huge", "values": entries})
        await alice.nothing()
        assert running.node.counters["refused"] == 1
