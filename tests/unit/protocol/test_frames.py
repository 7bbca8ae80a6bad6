"""Frames: several messages in one websocket text, one a line."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.frames import FRAME_BYTES, join_frames, split_frame

lines = st.binary(min_size=1, max_size=60).filter(lambda line: b"\n" not in line and line.strip())


@given(st.lists(lines), st.integers(1, 200))
def test_what_was_joined_is_split_again(messages: list[bytes], limit: int) -> None:
    frames = list(join_frames(messages, limit))
    assert [line for frame in frames for line in split_frame(frame)] == messages


@given(st.lists(lines), st.integers(1, 200))
def test_a_frame_past_the_limit_holds_one_message(messages: list[bytes], limit: int) -> None:
    for frame in join_frames(messages, limit):
        assert len(frame) <= limit or b"\n" not in frame


@given(st.lists(lines), st.integers(1, 200))
def test_no_two_frames_in_a_row_would_have_fitted_in_one(messages: list[bytes], limit: int) -> None:
    frames = list(join_frames(messages, limit))
    for one, two in pairwise(frames):
        assert len(one) + 1 + len(two.split(b"\n")[0]) >= limit


@given(st.lists(lines))
def test_no_frame_has_a_blank_line(messages: list[bytes]) -> None:
    for frame in join_frames(messages):
        assert frame.strip()
        assert b"\n\n" not in frame
        assert not frame.startswith(b"\n")
        assert not frame.endswith(b"\n")


def test_nothing_makes_no_frame() -> None:
    assert list(join_frames([])) == []


def test_small_messages_share_frames_of_25_kb() -> None:
    frames = list(join_frames([b"x" * 999] * 60))
    assert FRAME_BYTES == 25_000
    assert [frame.count(b"\n") + 1 for frame in frames] == [25, 25, 10]


def test_a_large_message_travels_alone_and_in_its_place() -> None:
    small, large = b"s" * 10, b"L" * 30_000
    assert list(join_frames([small, small, large, small])) == [
        b"\n".join([small] * 2),
        large,
        small,
    ]


def test_a_frame_is_made_as_soon_as_it_is_full() -> None:
    waiting = iter([b"a" * 20_000, b"b" * 20_000, b"c" * 20_000])
    assert next(join_frames(waiting)) == b"a" * 20_000
    assert list(waiting) == [b"c" * 20_000]


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b"", []),
        (b"\n", []),
        (b" \r\n\t\n ", []),
        (b"a", [b"a"]),
        (b" ", []),
        (b"a\n", [b"a"]),
        (b"\na\n\n b \n", [b"a", b" b "]),
        (b"a\r\nb", [b"a\r", b"b"]),
        (b"\xff\n\0", [b"\xff", b"\0"]),
    ],
)
def test_blank_lines_mean_nothing(frame: bytes, expected: list[bytes]) -> None:
    assert split_frame(frame) == expected


@given(
    st.binary(max_size=300) | st.lists(st.sampled_from([b"\n", b" ", b"{", b"\xff"])).map(b"".join)
)
def test_any_bytes_are_split_without_loss(frame: bytes) -> None:
    parts = split_frame(frame)
    assert all(part.strip() and b"\n" not in part for part in parts)
    assert b"".join(b"".join(parts).split()) == b"".join(frame.split())
