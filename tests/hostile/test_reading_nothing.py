"""Peers that ask and do not read."""

from __future__ import annotations

import json

import anyio
import pytest

from protocol.base58 import b58encode
from tests.hostile.conftest import Besiege, Scale
from tests.hostile.raw import connected, load
from tests.hostile.siege import MB
from tests.integration.operations.talk import talking
from tests.integration.sync.stage import Band
from tests.signing import content

pytestmark = pytest.mark.anyio


async def test_a_value_that_is_edited_while_nobody_reads(besiege: Besiege, scale: Scale) -> None:
    readers, edits = scale(20, 200), scale(100, 2_000)
    async with besiege("readers that read nothing, live edits", bound=96 * MB) as under:
        band = Band("alice")
        async with talking(under.server.url) as alice, anyio.create_task_group() as tasks:
            await alice.upload(*band.first())
            asked = anyio.Event()
            waiting = readers

            async def lurk() -> None:
                nonlocal waiting
                async with connected(under.port, receive_buffer=4096) as raw:
                    await raw.send(load(band.map.id))
                    waiting -= 1
                    if not waiting:
                        asked.set()
                    await anyio.sleep_forever()

            for _ in range(readers):
                tasks.start_soon(lurk)
            await asked.wait()
            for n in range(edits):
                run = band.run("x" * 60_000 + str(n))
                await alice.upload(content(band.map, {band.session.id: run}))
            tasks.cancel_scope.cancel()


async def test_large_answers_that_nobody_reads(besiege: Besiege, scale: Scale) -> None:
    readers, sessions, loads = scale(6, 60), scale(500, 3_000), scale(500, 2_000)
    async with besiege(
        "large answers that nobody reads",
        bound=160 * MB,
        env={"BANDSTAND_TOTAL_OUTBOX_BYTES": str(32 * MB)},
    ) as under:
        band = Band("alice")
        async with talking(under.server.url) as alice, anyio.create_task_group() as tasks:
            await alice.upload(*band.first())
            # Many sessions make a known state large.
            written = [band.account.session(str(n)) for n in range(sessions)]
            held = {band.session.id: 1}
            for session in written:
                run = session.append(band.run(1).transactions[0])
                await alice.send(content(band.map, {session.id: run}))
                held[session.id] = 1
            while len((await alice.next()).get("sessions", {})) < len(held):
                pass
            question = json.dumps(load(band.map.id, held)).encode()
            sent = 0

            async def lurk() -> None:
                nonlocal sent
                async with connected(under.port, receive_buffer=4096) as raw:
                    for _ in range(loads // 100):
                        with anyio.move_on_after(1):
                            await raw.send(*[question] * (100 * 40_000 // len(question) or 1))
                    sent += 1
                    if sent == readers:
                        tasks.cancel_scope.cancel()
                    await anyio.sleep_forever()

            for _ in range(readers):
                tasks.start_soon(lurk)


async def test_a_peer_that_reads_nothing_for_long_is_dropped(besiege: Besiege) -> None:
    async with (
        besiege(
            "reading nothing for long",
            bound=96 * MB,
            env={"BANDSTAND_SILENCE_SECONDS": "1.0", "BANDSTAND_PING_SECONDS": "0.5"},
        ) as under,
        connected(under.port, receive_buffer=4096) as raw,
    ):
        ids = ["co_z" + b58encode(b"\x06" + n.to_bytes(18, "big")) for n in range(30_000)]
        with anyio.move_on_after(2):
            await raw.send(*[load(each) for each in ids])
        await under.moved("silent")
