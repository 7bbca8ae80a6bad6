"""Sockets that never become a peer, that fall silent, and far too many of them."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from tests.hostile.conftest import Besiege, Scale
from tests.hostile.raw import REQUEST, connected, load, room_again, socket_to, upgrade
from tests.hostile.siege import MB
from tests.hostile.test_messages import UNKNOWN, answers_after

pytestmark = pytest.mark.anyio

OTHER = "127.0.0.2"
"""An address of this machine that is no trusted proxy."""


async def test_a_handshake_a_byte_at_a_time_is_dropped(besiege: Besiege, scale: Scale) -> None:
    count = scale(200, 5_000)
    async with besiege(
        "slow-loris handshakes", bound=128 * MB, env={"BANDSTAND_HANDSHAKE_SECONDS": "1.0"}
    ) as under:
        sockets = [await socket_to(under.port) for _ in range(count)]
        try:
            for byte in REQUEST.encode():
                for _, writer in sockets:
                    writer.write(bytes([byte]))
                # A byte every 20 ms: the whole request would take 4 s.
                await asyncio.sleep(0.02)
                if all(writer.is_closing() for _, writer in sockets):
                    break
            await under.moved("slow_handshakes", count)
        finally:
            for _, writer in sockets:
                writer.transport.abort()


async def test_a_handshake_that_never_ends_is_no_way_to_fill_memory(
    besiege: Besiege, scale: Scale
) -> None:
    count = scale(50, 1_000)
    kinds = (b"GET /" + b"x" * 64_000, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 10_000)
    async with besiege("endless request lines and headers", bound=64 * MB) as under:
        for data in kinds:
            for _ in range(count):
                reader, writer = await socket_to(under.port)
                writer.write(data)
                try:
                    answer = await reader.read()
                except ConnectionError:
                    answer = b""
                # The answer may be lost in the reset, as more was sent than was read.
                assert answer.split(b" ")[1:2] in ([], [b"400"], [b"414"], [b"431"])
                writer.transport.abort()
        async with connected(under.port) as raw:
            await answers_after(raw)


async def test_thousands_of_connections_from_one_address(besiege: Besiege, scale: Scale) -> None:
    count, most = scale(400, 5_000), scale(100, 1_000)
    async with besiege(
        "connections from one address",
        bound=scale(32, 96) * MB,
        env={"BANDSTAND_ADDRESS_CONNECTIONS": str(most)},
    ) as under:
        with ExitStack() as stack:
            statuses = []
            for _ in range(count):
                status, raw = await upgrade(under.port, source=OTHER)
                stack.callback(raw.drop)
                statuses.append(status)
            let_in = sum(" 101 " in status for status in statuses)
            assert let_in == most
            assert {s for s in statuses if " 101 " not in s} <= {
                "HTTP/1.1 503 Service Unavailable",
                "",
            }
            # Everybody behind a trusted proxy has a count of their own, and so has this one.
            async with connected(under.port, headers="X-Forwarded-For: 203.0.113.7\r\n") as raw:
                await answers_after(raw)
        assert (await under.counters())["address_full"] == count - most
        # Those who are gone make room.
        raw = await room_again(under.port, source=OTHER)
        await answers_after(raw)
        raw.drop()


async def test_an_address_behind_a_proxy_counts_as_the_proxy_names_it(besiege: Besiege) -> None:
    many = "X-Forwarded-For: 198.51.100.9, 203.0.113.7\r\n"
    async with besiege(
        "connections through a proxy",
        bound=16 * MB,
        env={"BANDSTAND_ADDRESS_CONNECTIONS": "5"},
    ) as under:
        with ExitStack() as stack:
            for number in range(8):
                # What the client wrote itself stands further left and is not believed.
                status, raw = await upgrade(under.port, headers=many.replace("9", str(number)))
                stack.callback(raw.drop)
                wanted = "101" if number < 5 else "503"
                assert f" {wanted} " in status
        assert (await under.counters())["address_full"] == 3


async def test_more_connections_than_there_is_room_for(besiege: Besiege) -> None:
    async with besiege(
        "more connections than there may be", bound=16 * MB, env={"BANDSTAND_CONNECTIONS": "20"}
    ) as under:
        with ExitStack() as stack:
            statuses = []
            for _ in range(40):
                status, raw = await upgrade(under.port)
                stack.callback(raw.drop)
                statuses.append(status)
            # Two are the honest peers'.
            assert [" 101 " in s for s in statuses] == [True] * 18 + [False] * 22
        raw = await room_again(under.port)
        await answers_after(raw)
        raw.drop()
        assert (await under.counters())["server_full"] >= 22


async def test_half_open_sockets_are_dropped(besiege: Besiege, scale: Scale) -> None:
    count = scale(50, 500)
    async with besiege(
        "half-open sockets",
        bound=64 * MB,
        env={"BANDSTAND_SILENCE_SECONDS": "3.0", "BANDSTAND_PING_SECONDS": "0.5"},
    ) as under:
        with ExitStack() as stack:
            for _ in range(count):
                status, raw = await upgrade(under.port)
                assert " 101 " in status
                stack.callback(raw.drop)
                await raw.send(load(UNKNOWN))
            # They read, and never answer a ping: as if the other side had lost its power.
            await under.moved("silent", count)
