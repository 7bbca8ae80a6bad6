"""Stopping: SIGTERM and SIGINT end well, peers are told, a second signal ends at once."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import anyio
import pytest
from websockets.exceptions import InvalidHandshake
from websockets.frames import Frame, Opcode

from tests.integration.operations.command import names, serving
from tests.integration.operations.talk import Talk, talking
from tests.integration.sync.stage import Band
from tests.signing import content

pytestmark = pytest.mark.anyio

HANDSHAKE = (
    "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
STOPS = [signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("number", STOPS)
@pytest.mark.parametrize("store", [["--db", "band.db"], ["--in-memory"]], ids=["disk", "memory"])
async def test_a_signal_ends_it_well(
    tmp_path: Path, number: signal.Signals, store: list[str]
) -> None:
    async with serving(tmp_path, *store) as server:
        server.send(number)
        assert await server.ended() == 0
    assert "Traceback" not in server.stderr
    # What was in the write-ahead log is in the file now.
    assert names(tmp_path) == ([] if "--in-memory" in store else store[1:])


@pytest.mark.parametrize("number", STOPS)
async def test_peers_are_told_to_come_back(tmp_path: Path, number: signal.Signals) -> None:
    async with serving(tmp_path) as server:
        async with talking(server.url) as alice, talking(server.url) as bob:
            await alice.upload(*Band().first())
            server.send(number)
            async with anyio.create_task_group() as tasks:
                for peer in (alice, bob):
                    tasks.start_soon(assert_told, peer)
        assert await server.ended() == 0


async def assert_told(peer: Talk) -> None:
    """The server says that it restarts, or at least that it goes away."""
    assert await peer.closed() in (1012, 1001)


async def test_nobody_gets_in_while_it_stops(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        # Somebody who never answers, so that the stop takes a while.
        _, writer = await silent_peer(server.port)
        server.send(signal.SIGTERM)
        await server.logged("server.stopping")
        with pytest.raises((OSError, InvalidHandshake)):
            async with talking(server.url):
                pass
        assert await server.ended() == 0
        writer.close()


async def test_what_comes_after_the_close_frame_is_not_taken(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        reader, writer = await silent_peer(server.port)
        server.send(signal.SIGTERM)
        with anyio.fail_after(20):
            await reader.readuntil(b"restart")
        late = b'{"action":"reconcile","id":"1","values":[]}'
        writer.write(Frame(Opcode.TEXT, late).serialize(mask=True))
        writer.write(Frame(Opcode.CLOSE, (1012).to_bytes(2, "big")).serialize(mask=True))
        assert await server.ended() == 0
        writer.close()
    assert "Traceback" not in server.stderr


@pytest.mark.parametrize(("first", "second"), [STOPS, STOPS[::-1]])
async def test_a_second_signal_ends_it_at_once(
    tmp_path: Path, first: signal.Signals, second: signal.Signals
) -> None:
    async with serving(tmp_path) as server:
        _, writer = await silent_peer(server.port)
        server.send(first)
        await server.logged("server.stopping")
        server.send(second)
        assert await server.ended() == 128 + second
        writer.close()
    assert "server.stopped" not in server.stderr


async def silent_peer(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A peer that does not answer, not even to being closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HANDSHAKE.encode())
    with anyio.fail_after(20):
        await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b'"type":"ping"')
    return reader, writer


async def test_a_peer_that_never_answers_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        _, writer = await silent_peer(server.port)
        await server.stop()
        writer.close()


async def test_what_had_arrived_is_kept_and_acknowledged(tmp_path: Path) -> None:
    """The server has read it (it relays it) when the signal comes; its answer must not be lost."""
    band = Band()
    async with serving(tmp_path) as server:
        async with talking(server.url) as alice, talking(server.url) as bob:
            await alice.upload(*band.first())
            await bob.load(band.map.id)
            runs = [band.run("x" * 1000) for _ in range(200)]
            for run in runs:
                await alice.send(content(band.map, {band.session.id: run}))
            seen = 0
            while seen < 100:
                seen = sum(
                    part["after"] + len(part["newTransactions"])
                    for part in (await bob.next())["new"].values()
                )
            server.send(signal.SIGTERM)
            answers, _ = await alice.rest()
        assert await server.ended() == 0
    acknowledged = max(answer["sessions"][band.session.id] for answer in answers)
    assert acknowledged >= seen
    async with serving(tmp_path) as server, talking(server.url) as carol:
        part = (await carol.load(band.map.id))["new"][band.session.id]
        kept = part["after"] + len(part["newTransactions"])
        while kept < acknowledged:
            part = (await carol.next())["new"][band.session.id]
            kept = part["after"] + len(part["newTransactions"])
    assert kept == acknowledged
