"""Frames: too large, in too many fragments, never finished, none at all."""

from __future__ import annotations

import pytest

from tests.hostile.conftest import Besiege, Scale
from tests.hostile.raw import (
    CONTINUATION,
    PING,
    TEXT,
    connected,
    crowd,
    frame,
    head,
    load,
    upgrade,
)
from tests.hostile.siege import MB
from tests.hostile.test_messages import UNKNOWN, answers_after

pytestmark = pytest.mark.anyio


async def test_a_message_of_100_mb_is_closed_at_its_first_bytes(besiege: Besiege) -> None:
    async with besiege("a message of 100 MB", bound=48 * MB) as under:
        async with connected(under.port) as raw:
            await raw.write(head(TEXT, 100 * MB) + bytes(64 * 1024))
            assert (await raw.end())[0] == 1009
        async with connected(under.port) as raw:
            # The same in fragments of 1 MB: what is too much closes, wherever it stands.
            await raw.write(frame(TEXT, b"x" * MB, fin=False))
            for _ in range(99):
                await raw.write(frame(CONTINUATION, b"x" * MB, fin=False))
            # Its end comes as a close frame or, if more was on its way, as a bare end.
            assert (await raw.end())[0] in (1009, None)
        await under.moved("closed_1009", 2)


async def test_a_message_in_a_million_fragments_is_no_more_than_its_bytes(
    besiege: Besiege, scale: Scale
) -> None:
    count = scale(40_000, 1_000_000)
    async with besiege("a million fragments of 2 bytes", bound=48 * MB) as under:
        async with connected(under.port) as raw:
            await raw.write(frame(TEXT, b"", fin=False))
            for _ in range(count // 1000):
                await raw.write(frame(CONTINUATION, b"xy", fin=False) * 1000)
                await raw.write(frame(CONTINUATION, b"", fin=False) * 1000)
            await raw.write(frame(CONTINUATION, b"", fin=True))
            await answers_after(raw)
        assert (await under.counters())["malformed"] == 1


async def test_messages_that_never_end_are_bounded_in_total(besiege: Besiege, scale: Scale) -> None:
    count = scale(12, 100)
    limit = 32 * MB
    async with (
        besiege(
            "unfinished messages of 15 MB from many",
            bound=limit + 64 * MB,
            env={"BANDSTAND_TOTAL_UNFINISHED_BYTES": str(limit)},
        ) as under,
        crowd(under.port, count) as raws,
    ):
        for raw in raws:
            await raw.write(head(TEXT, 15 * MB))
            for _ in range(14):
                await raw.write(bytes(MB))
        await under.moved("unfinished", count - 3)
        assert await raws[0].end() == (1013, "unfinished messages")


async def test_what_is_no_frame_closes_with_1002(besiege: Besiege) -> None:
    wrong = {
        "an unmasked frame": b"\x81\x05hello",
        "a reserved bit": b"\xf1\x80\x00\x00\x00\x00",
        "an unknown opcode": b"\x83\x80\x00\x00\x00\x00",
        "a continuation of nothing": frame(CONTINUATION, b"x"),
        "a ping of 126 bytes": frame(PING, b"x" * 126),
        "a ping in fragments": frame(PING, b"x", fin=False),
        "text amid text": frame(TEXT, b"x", fin=False) + frame(TEXT, b"x"),
    }
    async with besiege("what is no frame", bound=16 * MB) as under:
        for kind, data in wrong.items():
            async with connected(under.port) as raw:
                await raw.write(data)
                assert (await raw.end())[0] == 1002, kind
        await under.moved("closed_1002", len(wrong))


async def test_tiny_frames_hold_up_nobody(besiege: Besiege, scale: Scale) -> None:
    count = scale(60_000, 1_000_000)
    async with (
        besiege("pings and empty texts", bound=32 * MB) as under,
        connected(under.port) as raw,
    ):
        for _ in range(count // 2000):
            await raw.write(frame(PING, b"") * 1000 + frame(TEXT, b"") * 1000)
            if await raw.reader.read(2**16) == b"":
                break
        await answers_after(raw)


async def test_a_large_message_of_small_ones_takes_turns(besiege: Besiege, scale: Scale) -> None:
    size = scale(4 * MB, 16 * MB - 1000)
    line = b'{"action":"load","id":"%b","header":false,"sessions":{}}\n' % UNKNOWN.encode()
    async with (
        besiege("16 MB of loads in one message", bound=110 * MB) as under,
        connected(under.port) as raw,
    ):
        count = size // len(line)
        await raw.send(line * count)
        for _ in range(count):
            assert (await raw.about(UNKNOWN))["header"] is False


async def test_a_socket_that_ends_amid_everything_leaves_nothing(besiege: Besiege) -> None:
    async with besiege("sockets that end amid a message", bound=64 * MB) as under:
        for data in (b"", b"\x81", head(TEXT, MB), frame(TEXT, b"x" * MB, fin=False)):
            for _ in range(10):
                status, raw = await upgrade(under.port)
                assert " 101 " in status
                await raw.write(data)
                raw.drop()
        async with connected(under.port) as raw:
            await raw.send(load(UNKNOWN))
            assert (await raw.about(UNKNOWN))["header"] is False
