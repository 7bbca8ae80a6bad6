"""Ranged reads: whole chunks that cover what was asked for, in order, up to a limit."""

from __future__ import annotations

import pytest

from protocol.content import Chunk
from server.store import Range, Store
from tests.integration.stores.making import EVERYTHING, S1, S2, S3, A, B, C, chunks, created

pytestmark = pytest.mark.anyio

LONG = chunks(S1, 3, 1, 4, 2)
"""Transactions 0-2, 3, 4-7, 8-9."""
SHORT = chunks(S2, 2, 2)


@pytest.fixture
async def filled(store: Store) -> Store:
    """Two CoValues, one of them with two sessions of several chunks."""
    await store.commit([created(A, *LONG, *SHORT), created(B, *chunks(S1, 1))])
    return store


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        pytest.param(0, 10, LONG, id="all"),
        pytest.param(0, 3, LONG[:1], id="one chunk"),
        pytest.param(1, 2, LONG[:1], id="inside one chunk"),
        pytest.param(2, 4, LONG[:2], id="begins mid-chunk"),
        pytest.param(3, 6, LONG[1:3], id="ends mid-chunk"),
        pytest.param(5, 9, LONG[2:], id="begins and ends mid-chunk"),
        pytest.param(8, 10, LONG[3:], id="the last"),
        pytest.param(9, 10, LONG[3:], id="the last transaction"),
        pytest.param(4, 8, LONG[2:3], id="on the edges"),
        pytest.param(7, 99, LONG[2:], id="past the end"),
    ],
)
async def test_a_range(filled: Store, start: int, stop: int, expected: list[Chunk]) -> None:
    wanted = Range(A, S1, start, stop)
    assert await filled.read([wanted], EVERYTHING) == [(wanted, each) for each in expected]


async def test_ranges_come_in_the_order_asked_for(filled: Store) -> None:
    ranges = [Range(A, S2, 0, 4), Range(B, S1, 0, 1), Range(A, S1, 3, 5), Range(A, S1, 0, 1)]
    found = await filled.read(ranges, EVERYTHING)
    assert found == [
        (ranges[0], SHORT[0]),
        (ranges[0], SHORT[1]),
        (ranges[1], chunks(S1, 1)[0]),
        (ranges[2], LONG[1]),
        (ranges[2], LONG[2]),
        (ranges[3], LONG[0]),
    ]


async def test_what_is_not_there_is_left_out(filled: Store) -> None:
    ranges = [Range(C, S1, 0, 1), Range(A, S3, 0, 1), Range(B, S2, 0, 1), Range(B, S1, 0, 1)]
    assert [r for r, _ in await filled.read(ranges, EVERYTHING)] == [ranges[3]]
    assert await filled.read([], EVERYTHING) == []


async def test_the_limit_ends_a_read_once_it_is_reached(filled: Store) -> None:
    wanted = Range(A, S1, 0, 10)
    sizes = [len(each.data) for each in LONG]
    for limit, expected in [
        (0, 1),
        (1, 1),
        (sizes[0], 1),
        (sizes[0] + 1, 2),
        (sizes[0] + sizes[1], 2),
        (sum(sizes) - 1, 4),
        (sum(sizes), 4),
    ]:
        assert len(await filled.read([wanted], limit)) == expected, limit


async def test_the_limit_counts_over_all_ranges(filled: Store) -> None:
    ranges = [Range(A, S2, 0, 4), Range(A, S1, 0, 10)]
    limit = sum(len(each.data) for each in SHORT) + 1
    found = await filled.read(ranges, limit)
    assert [c for _, c in found] == [*SHORT, LONG[0]]


async def test_a_long_read_in_steps_finds_everything_once(filled: Store) -> None:
    start, found = 0, list[Chunk]()
    while start < 10:
        rows = await filled.read([Range(A, S1, start, 10)], 1)
        assert len(rows) == 1
        found.append(rows[0][1])
        start = found[-1].first + found[-1].count
    assert found == LONG


async def test_bytes_come_back_as_they_were_stored(store: Store) -> None:
    odd = '{"changes":"\\u0000 ü 𝄞 \\ud800","madeAt":1}'.encode() + bytes(range(256))
    held = Chunk(S1, 0, 1, "signature_zOdd", odd)
    await store.commit([created(A, held)])
    assert await store.read([Range(A, S1, 0, 1)], EVERYTHING) == [(Range(A, S1, 0, 1), held)]


async def test_a_large_chunk(store: Store) -> None:
    large = Chunk(S1, 0, 1, "signature_zLarge", b"x" * 5_000_000)
    await store.commit([created(A, large)])
    assert await store.read([Range(A, S1, 0, 1)], 1) == [(Range(A, S1, 0, 1), large)]
