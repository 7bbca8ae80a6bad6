"""What earlier runs found sound, in a file of its own beside the database (`DB-verified`).

A fact is about bytes: the first n chunks of this session, with these places, signatures and data
(a digest of all of it), signed by this key, are sound. A later run reads and digests them again,
and only where the digest is the same it need not decode the transactions and check the signatures.
So nothing that changed on the disk is passed over, and what was found damaged is never a fact.
"""

from __future__ import annotations

import os
from typing import Final

import msgpack
from blake3 import blake3

from protocol.content import Chunk

Fact = tuple[int, bytes]
"""How many chunks, and the digest of all of them."""
Facts = dict[bytes, Fact]

_FORMAT: Final = 1
"""Another number if the checks change: what was sound for others need not be so for these."""
_DIGEST_BYTES: Final = 16


class Digest:
    """The digest of a session's chunks, from its first on."""

    def __init__(self, covalue: str, session: str, signer: bytes) -> None:
        """`signer` is the public key, 32 bytes."""
        self.key = _digest(f"{covalue} {session} {signer.hex()}".encode())
        self._hasher = blake3(self.key)

    def add(self, chunk: Chunk) -> None:
        """Take in the next chunk."""
        place = f"{chunk.first} {chunk.count} {chunk.signature} {len(chunk.data)}\n"
        self._hasher.update(place.encode())
        self._hasher.update(chunk.data)

    def value(self) -> bytes:
        """The digest of what was taken in."""
        return self._hasher.digest(length=_DIGEST_BYTES)


def facts_path(database: str) -> str:
    """Where the facts about a database are kept."""
    return f"{database}-verified"


def load_facts(database: str) -> Facts:
    """The facts about a database; none if there are none, or if they are damaged themselves."""
    try:
        with open(facts_path(database), "rb") as file:
            digest, raw = file.read(32), file.read()
        if blake3(raw).digest() != digest:
            return {}
        version, facts = msgpack.unpackb(raw, use_list=False, strict_map_key=False)
    except (OSError, ValueError, TypeError, msgpack.exceptions.UnpackException):
        return {}
    return dict(facts) if version == _FORMAT else {}


def save_facts(database: str, facts: Facts) -> bool:
    """Write the facts, all or nothing. Returns whether that was possible."""
    path = facts_path(database)
    raw: bytes = msgpack.packb((_FORMAT, facts))
    try:
        descriptor = os.open(f"{path}-new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(blake3(raw).digest())
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}-new", path)
    except OSError:
        return False
    return True


def _digest(data: bytes) -> bytes:
    return blake3(data).digest(length=_DIGEST_BYTES)
