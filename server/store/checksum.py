"""Checksums of chunks: so that what the disk damaged is noticed before anybody is sent it.

SQLite has none for its pages, and the signatures would need the whole session to be hashed for
each read. It is XXH3: signatures keep forgers away, this is for what disks do. 16 bytes a chunk: 8
over its place, which alone say whether a session's count is to be believed, and 8 over the place
and the data.
"""

from __future__ import annotations

from typing import Final

from xxhash import xxh3_64_digest, xxh3_64_intdigest

from protocol.content import Chunk

PLACE_BYTES: Final = 8


def place_sum(covalue: str, session: str, first: int, count: int, signature: str) -> bytes:
    """8 bytes over whose chunk it is, where it stands and what signs it."""
    return _place(covalue, session, first, count, signature).to_bytes(PLACE_BYTES, "big")


def checksum(covalue: str, chunk: Chunk) -> bytes:
    """The 16 bytes that are stored with a chunk: its `place_sum`, and 8 over place and data."""
    place = _place(covalue, chunk.session, chunk.first, chunk.count, chunk.signature)
    return place.to_bytes(PLACE_BYTES, "big") + xxh3_64_digest(chunk.data, place)


def _place(covalue: str, session: str, first: int, count: int, signature: str) -> int:
    return xxh3_64_intdigest(f"{covalue} {session} {first} {count} {signature}".encode())
