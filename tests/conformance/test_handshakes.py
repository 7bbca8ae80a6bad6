"""Handshakes, proper and not, with the whole port: gateway, node and all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.conformance.handshake_cases import DEPARTURES, HANDSHAKES, ID, LOAD, Handshake
from tests.conformance.wire import (
    CLOSE,
    PING,
    PONG,
    UPGRADE,
    Answer,
    Delivery,
    bytewise,
    chopped,
    dialled,
    frame,
    next_frame,
    send,
    shake,
    whole,
)
from tests.integration.gateway.conftest import running

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def port() -> AsyncIterator[int]:
    """A whole server."""
    async with running() as server:
        yield server.port


async def answer(at: int, case: Handshake, deliver: Delivery) -> Answer:
    """What the server on that port says."""
    question = b"" if case.follows else LOAD
    return await shake(at, case.request + case.follows, question, ID, deliver)


def wanted(case: Handshake) -> Answer:
    """What bandstand makes of it: never an extension, never a subprotocol it does not speak."""
    status = DEPARTURES.get(case.name, case.status)
    return Answer(status, works=status == 101)


@pytest.mark.parametrize("case", HANDSHAKES, ids=lambda case: case.name)
async def test_a_handshake_in_one_piece(case: Handshake) -> None:
    async with port() as at:
        assert await answer(at, case, whole) == wanted(case)


@pytest.mark.parametrize("deliver", [bytewise, chopped(1), chopped(2)], ids=["bytes", "1", "2"])
async def test_handshakes_in_pieces(deliver: Delivery) -> None:
    async with port() as at:
        for case in HANDSHAKES:
            if len(case.request) < 8_000:
                assert (case.name, await answer(at, case, deliver)) == (case.name, wanted(case))


async def test_what_follows_in_the_same_breath_waits_for_the_answer() -> None:
    # Found by fuzzing: the pong, or the end, went out ahead of the answer to the handshake.
    async with port() as at:
        for follows, wanted_answer in (
            (frame(PING, b"!!"), (PONG, b"!!")),
            (frame(3), (CLOSE, (1002).to_bytes(2, "big"))),
        ):
            for deliver in (whole, bytewise, chopped(1)):
                async with dialled(at) as (reader, writer):
                    await send(writer, deliver(UPGRADE + follows))
                    head = await reader.readuntil(b"\r\n\r\n")
                    assert head.startswith(b"HTTP/1.1 101 ")
                    heard = [await next_frame(reader), await next_frame(reader)]
                    # The other one is the first ping of Jazz.
                    assert wanted_answer in [(opcode, payload[:2]) for opcode, payload in heard]
