"""Frames of every kind, over real sockets, whole and in pieces."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest

from tests.conformance.frame_cases import CASES, DEPARTURES, Case
from tests.conformance.stacks import Counted, bandstand
from tests.conformance.wire import (
    CONT,
    PING,
    TEXT,
    UPGRADE,
    Delivery,
    Outcome,
    bytewise,
    chopped,
    converse,
    dialled,
    frame,
    next_frame,
    whole,
)

pytestmark = pytest.mark.anyio


def wanted(case: Case) -> Outcome:
    """What bandstand makes of it."""
    return replace(case.expected, end=DEPARTURES.get(case.name, case.expected.end))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_frames_in_one_piece(case: Case) -> None:
    async with bandstand() as port:
        assert await converse(port, case.sent, whole) == wanted(case)


@pytest.mark.parametrize("seed", range(4))
async def test_frames_in_pieces(seed: int) -> None:
    await _each(CASES, chopped(seed))


async def test_frames_byte_by_byte() -> None:
    await _each([case for case in CASES if case.is_small], bytewise)


async def _each(cases: list[Case], deliver: Delivery) -> None:
    """Each case over a socket of its own; and they really come in pieces."""
    sent = 0
    Counted.pieces = 0
    async with bandstand() as port:
        for case in cases:
            outcome = await converse(port, case.sent, deliver)
            assert (case.name, outcome) == (case.name, wanted(case))
            sent += len(list(deliver(case.sent)))
    # What comes after a failure need not be sent any more.
    assert Counted.pieces > sent * 0.6


async def test_fragments_cost_what_they_hold() -> None:
    empty = frame(CONT, fin=False) * 10_000
    async with bandstand() as port, dialled(port) as (reader, writer):
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(frame(TEXT, b"x", fin=False))

        async def held() -> int:
            writer.write(empty + frame(PING))
            await next_frame(reader)
            return tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        try:
            before = await held()
            grown = [await held() - before for _ in range(4)]
        finally:
            tracemalloc.stop()
    assert grown[-1] < 100_000, grown
