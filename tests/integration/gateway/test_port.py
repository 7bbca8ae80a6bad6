"""The port: handshake, health, frames of all kinds, closing."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any
from weakref import WeakKeyDictionary

import anyio
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.integration.gateway.conftest import Serve
from tests.integration.sync.stage import Band, known
from tests.signing import content

pytestmark = pytest.mark.anyio


_unread: WeakKeyDictionary[ClientConnection, list[dict[str, Any]]] = WeakKeyDictionary()


async def receive(peer: ClientConnection) -> dict[str, Any]:
    """The next message that is no ping."""
    unread = _unread.setdefault(peer, [])
    with anyio.fail_after(20):
        while not unread:
            lines = str(await peer.recv()).split("\n")
            unread += [m for m in map(json.loads, lines) if m.get("type") != "ping"]
    return unread.pop(0)


async def drain(peer: ClientConnection) -> None:
    """Read until the connection ends."""
    with anyio.fail_after(20):
        async for _ in peer:
            pass


async def http(port: int, request: str) -> tuple[str, str]:
    """The status line and the body of an HTTP answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode())
    with anyio.fail_after(20):
        answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    return head.split("\r\n")[0], body


async def test_the_first_frame_is_a_ping_and_more_follow(serve: Serve) -> None:
    server = await serve(ping_seconds=0.1)
    async with connect(server.url) as peer:
        with anyio.fail_after(20):
            pings = [json.loads(await peer.recv()) for _ in range(3)]
    assert all(p["type"] == "ping" and "action" not in p for p in pings)
    assert all(isinstance(p["time"], int) and isinstance(p["dc"], str) for p in pings)
    assert pings[0]["time"] <= pings[1]["time"] <= pings[2]["time"]


async def test_content_over_a_socket(serve: Serve) -> None:
    server, band = await serve(), Band()
    async with connect(server.url) as alice, connect(server.url) as bob:
        await alice.send(b"\n".join(band.first()).decode())
        assert {(await receive(alice))["id"] for _ in range(3)} == {
            band.account.id,
            band.group.id,
            band.map.id,
        }
        await bob.send(
            json.dumps({"action": "load", "id": band.map.id, "header": False, "sessions": {}})
        )
        got = json.dumps([await receive(bob)])
        assert band.account.id in got


async def test_a_message_in_fragments_is_put_together(serve: Serve) -> None:
    server, band = await serve(), Band()
    async with connect(server.url) as alice:
        text = b"\n".join(band.first()).decode()
        await alice.send([text[i : i + 100] for i in range(0, len(text), 100)])
        assert await receive(alice) == known(band.account, {band.account_session.id: 1})


async def test_binary_frames_are_ignored(serve: Serve) -> None:
    server, band = await serve(), Band()
    async with connect(server.url) as alice:
        first = band.first()
        await alice.send(first[0])
        await alice.send([first[0][:10], first[0][10:]])
        await alice.send(content(band.account, {}, with_header=True).decode())
        assert await receive(alice) == known(band.account, {})


async def test_no_compression_is_negotiated(serve: Serve) -> None:
    server = await serve()
    async with connect(server.url, compression="deflate") as peer:
        assert peer.response is not None
        assert "Sec-WebSocket-Extensions" not in peer.response.headers


async def test_a_message_that_is_too_large_closes_with_1009(serve: Serve) -> None:
    server = await serve(max_message_bytes=256 * 1024)
    async with connect(server.url) as peer:
        await peer.send("x" * 300_000)
        with pytest.raises(ConnectionClosed) as closed:
            await drain(peer)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009
    # The next one is not concerned.
    async with connect(server.url) as peer:
        assert json.loads(await peer.recv())["type"] == "ping"


async def test_ready_until_it_drains(serve: Serve) -> None:
    server = await serve()
    request = "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"
    assert await http(server.port, request) == ("HTTP/1.1 200 OK", "ready\n")
    server.gateway.node.drain()
    status, body = await http(server.port, request)
    assert (status, body) == ("HTTP/1.1 503 Service Unavailable", "draining\n")


async def test_health_and_other_requests(serve: Serve) -> None:
    server = await serve()
    status, body = await http(server.port, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status == "HTTP/1.1 200 OK"
    assert json.loads(body) == {"status": "ok"}
    status, _ = await http(server.port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status.startswith("HTTP/1.1 426")
    status, _ = await http(server.port, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status.startswith("HTTP/1.1 404")


async def test_a_connection_that_never_becomes_a_websocket_is_dropped(serve: Serve) -> None:
    server = await serve(handshake_seconds=0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: ")
    with anyio.fail_after(20):
        try:
            rest = await reader.read()
        except ConnectionResetError:
            rest = b""
    assert rest == b""
    writer.close()


async def test_noise_instead_of_http_harms_nobody(serve: Serve) -> None:
    server = await serve()
    async with connect(server.url) as peer:
        for noise in (b"\x00\xff" * 1000, b"\r\n\r\n", b"GET", b"POST / HTTP/1.1\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(noise)
            writer.write_eof()
            with anyio.fail_after(20):
                await reader.read()
            writer.close()
        await peer.send(content(Band().account, {}, with_header=True).decode())
        assert (await receive(peer))["id"] == Band().account.id


async def test_a_peer_that_goes_silent_is_dropped(serve: Serve) -> None:
    server = await serve(ping_seconds=0.1, silence_seconds=1.0)
    raw = socket.create_connection(("127.0.0.1", server.port))
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(
        raw,
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    )
    async with connect(server.url) as alive:
        with anyio.fail_after(10):
            # Reads everything, says nothing, not even pong.
            try:
                while await loop.sock_recv(raw, 65_536):
                    pass
            except ConnectionResetError:
                pass
        raw.close()
        await alive.send(content(Band().account, {}, with_header=True).decode())
        assert (await receive(alive))["id"] == Band().account.id


async def test_a_peer_that_lingers_after_its_goodbye_harms_nobody(serve: Serve) -> None:
    server = await serve(ping_seconds=0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    # A close frame, and then the socket stays.
    writer.write(b"\x88\x80\x00\x00\x00\x00")
    async with connect(server.url) as other:
        with anyio.fail_after(20):
            for _ in range(5):
                assert json.loads(await other.recv())["type"] == "ping"
    writer.close()


async def test_pongs_do_not_pile_up_for_who_does_not_read_them(serve: Serve) -> None:
    server = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.write(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    ping = b"\x89\xfd" + bytes(4) + b"x" * 125
    with anyio.move_on_after(1):
        while True:
            writer.write(ping * 1000)
            await writer.drain()
    (connection,) = server.gateway.connections
    assert connection._transport is not None
    assert connection._transport.get_write_buffer_size() < 2_000_000
    writer.transport.abort()


async def test_a_socket_that_is_not_read_from_does_not_stop_the_others(serve: Serve) -> None:
    server, band = await serve(outbox_bytes=256 * 1024), Band()
    async with connect(server.url, max_size=None) as alice, connect(server.url) as bob:
        await alice.send(b"\n".join(band.first()).decode())
        for _ in range(3):
            await receive(alice)
        raw, _ = socket.socket(socket.AF_INET, socket.SOCK_STREAM), bob
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", server.port))
        async with connect(server.url, sock=raw, max_queue=1) as slow:
            load = json.dumps(
                {"action": "load", "id": band.map.id, "header": False, "sessions": {}}
            )
            await slow.send(load)
            await bob.send(load)
            for n in range(60):
                edit = band.run("x" * 100_000 + str(n))
                await alice.send(content(band.map, {band.session.id: edit}).decode())
                assert (await receive(alice))["sessions"][band.session.id] == n + 2
            held = 0
            while held < 61:
                message = await receive(bob)
                if message["id"] == band.map.id:
                    held += len(message["new"][band.session.id]["newTransactions"])
            biggest = max(c.peer.outbox.size for c in server.gateway.connections if c.peer)
            assert biggest < 600_000
            held = 0
            while held < 61:
                message = await receive(slow)
                if message["id"] == band.map.id:
                    part = message["new"][band.session.id]
                    assert part["after"] == held
                    held += len(part["newTransactions"])
