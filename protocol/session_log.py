"""Session logs: the hash chain and the signature that covers it (cojson-core, `SessionLog`).

One running BLAKE3 per session takes in the canonical texts of all its transactions, from the first
on, with nothing between. A signature is Ed25519 over the JSON text of the hash *string* at that
point, quotes included: `"hash_z…"`. So one signature covers everything before it, and a run of
messages for one session needs only its last signature checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from blake3 import blake3
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from protocol.base58 import b58encode
from protocol.errors import InvalidId
from protocol.ids import signature_bytes

PIECE_BYTES: Final = 100 * 1024
"""The size past which Jazz keeps a signature (cojson `config.ts`, `MAX_RECOMMENDED_TX_SIZE`)."""


class Chain:
    """The running hash of one session. Extending one never touches its copies."""

    __slots__ = ("_hasher",)

    def __init__(self, hasher: blake3 | None = None) -> None:
        self._hasher = blake3() if hasher is None else hasher

    def extend(self, transactions: Iterable[bytes]) -> None:
        """Take in the canonical texts of the next transactions."""
        self._hasher.update(b"".join(transactions))

    def copy(self) -> Chain:
        """A chain that stands where this one stands and goes its own way."""
        return Chain(self._hasher.copy())

    def hash(self) -> str:
        """The `hash_z…` of everything taken in so far."""
        return "hash_z" + b58encode(self._hasher.digest())

    def is_signed(self, signer: bytes, signature: str) -> bool:
        """Whether `signature` is `signer`'s (a public key, 32 bytes) over the chain as it is."""
        try:
            signed = signature_bytes(signature) + f'"{self.hash()}"'.encode()
            crypto_sign_open(signed, signer)
        except (InvalidId, BadSignatureError):
            return False
        return True


def extended(
    chain: Chain, signer: bytes, transactions: Iterable[bytes], signature: str
) -> Chain | None:
    """The chain after `transactions` (canonical texts), or `None` if `signature` does not hold.

    `chain` itself is left as it was, whatever is found: a forged signature must not spoil what
    the honest author sends next.
    """
    longer = chain.copy()
    longer.extend(transactions)
    return longer if longer.is_signed(signer, signature) else None
