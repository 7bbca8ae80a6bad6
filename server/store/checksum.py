"""Checksums of chunks: so that what the disk damaged is noticed before anybody is sent it.

SQLite has none for its pages, and the signatures would need the whole session to be hashed for
each read. 16 bytes a chunk: 8 over its place, which alone say whether a session's count is to be
believed, and 8 over the place and the data.
"""

from __future__ import annotations

from typing import Final

from blake3 import blake3

from protocol.content import Chunk

PLACE_BYTES: Final = 8


def place_sum(covalue: str, session: str, first: int, count: int, signature: str) -> bytes:
    """8 bytes over whose chunk it is, where it stands and what signs it."""
    return _hasher(covalue, session, first, count, signature).digest(length=PLACE_BYTES)


def checksum(covalue: str, chunk: Chunk) -> bytes:
    """The 16 bytes that are stored with a chunk: its `place_sum`, and 8 over place and data."""
    hasher = _hasher(covalue, chunk.session, chunk.first, chunk.count, chunk.signature)
    place = hasher.digest(length=PLACE_BYTES)
    hasher.update(chunk.data)
    return place + hasher.digest(length=PLACE_BYTES)


def _hasher(covalue: str, session: str, first: int, count: int, signature: str) -> blake3:
    return blake3(f"{covalue} {session} {first} {count} {signature}\n".encode())
