"""Peers that ask and do not read."""

from __future__ import annotations

import json
from functools import partial

import anyio
import pytest

from protocol.base58 import b58encode
from tests.hostile.conftest import Besiege, Scale
from tests.hostile.raw import PONG, connected, frame, load
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
        bound=scale(224, 360) * MB,
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


async def test_reading_nothing_and_reading_slowly_for_minutes(
    besiege: Besiege, scale: Scale
) -> None:
    deaf, slow, edits, pause = scale(10, 60), scale(3, 6), scale(60, 1_800), scale(50, 100) / 1000
    env = {"BANDSTAND_SILENCE_SECONDS": "3.0", "BANDSTAND_PING_SECONDS": "0.5"}
    async with besiege(
        "reading nothing, or slowly, for minutes",
        bound=scale(64, 192) * MB,
        env=env if scale(1, 0) else {},
    ) as under:
        band = Band("alice")
        written = anyio.Event()
        async with talking(under.server.url) as alice, anyio.create_task_group() as tasks:
            await alice.upload(*band.first())

            async def lurk(*, speaks: bool) -> None:
                async with connected(under.port, receive_buffer=4096) as raw:
                    await raw.send(load(band.map.id))
                    while not written.is_set():
                        if speaks:
                            await raw.write(frame(PONG, b""))
                        await anyio.sleep(0.5)

            async def dawdle() -> None:
                async with connected(under.port, receive_buffer=4096) as raw:
                    await raw.send(load(band.map.id))
                    held = 0
                    while held < 1 + edits:
                        part = (await raw.about(band.map.id))["new"][band.session.id]
                        assert part["after"] == held
                        held += len(part["newTransactions"])
                        # A sign of life (RFC 6455 §5.5.3) for each message that it reads.
                        await raw.write(frame(PONG, b""))
                        if not written.is_set():
                            await anyio.sleep(0.5)

            for number in range(deaf):
                tasks.start_soon(partial(lurk, speaks=number % 2 == 1))
            for _ in range(slow):
                tasks.start_soon(dawdle)
            for n in range(edits):
                run = band.run("x" * 60_000 + str(n))
                await alice.upload(content(band.map, {band.session.id: run}))
                await anyio.sleep(pause)
            # Who is not even heard is dropped; who is, stays, however little it reads.
            await under.moved("silent", deaf // 2)
            assert (await under.counters())["silent"] == deaf // 2
            written.set()


async def test_a_peer_that_reads_nothing_for_long_is_dropped(besiege: Besiege) -> None:
    async with (
        besiege(
            "reading nothing for long",
            bound=96 * MB,
            env={"BANDSTAND_SILENCE_SECONDS": "3.0", "BANDSTAND_PING_SECONDS": "0.5"},
        ) as under,
        connected(under.port, receive_buffer=4096) as raw,
    ):
        ids = ["co_z" + b58encode(b"\x06" + n.to_bytes(18, "big")) for n in range(30_000)]
        with anyio.move_on_after(2):
            await raw.send(*[load(each) for each in ids])
        await under.moved("silent")
