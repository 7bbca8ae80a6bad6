"""Frames: several messages in one websocket text, one a line (`cojson-transport-ws`).

Jazz drops a whole frame for one bad line; here each line stands for itself, and blank ones (an
empty frame, a trailing newline) mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

FRAME_BYTES: Final = 25_000
"""The size past which no further message joins a frame (cojson `config.ts`)."""


def split_frame(frame: bytes) -> list[bytes]:
    """The lines of a frame that are not blank."""
    if b"\n" not in frame:
        return [frame] if frame.strip() else []
    return [line for line in frame.split(b"\n") if line.strip()]


def sliced_frame(frame: bytes, limit: int) -> Iterator[bytes]:
    """A large frame as several of at most `limit` bytes, cut between lines; a longer line alone."""
    start = 0
    while len(frame) - start > limit:
        end = frame.rfind(b"\n", start, start + limit)
        if end < 0:
            end = frame.find(b"\n", start + limit)
        if end < 0:
            break
        yield frame[start:end]
        start = end + 1
    yield frame[start:]


def join_frames(messages: Iterable[bytes], limit: int = FRAME_BYTES) -> Iterator[bytes]:
    """Join messages into frames of at most `limit` bytes; a larger message is a frame alone."""
    batch: list[bytes] = []
    size = 0
    for message in messages:
        if batch and size + len(message) + 1 > limit:
            yield b"\n".join(batch)
            batch, size = [], 0
        batch.append(message)
        size += len(message) + 1
    if batch:
        yield b"\n".join(batch)
