"""Ids: CoValues, agents, sessions, keys and signatures (cojson `ids.ts`, `crypto.ts`).

    co_z<19 bytes>                       a CoValue; the bytes are its header's short hash
    sealer_z<32 bytes>/signer_z<32>      an agent: two public keys
    <author>_session_z<bytes>            a session; the author is an account or an agent
    <author>_session_d<bytes>$           a delete session
    signature_z<64 bytes>                an Ed25519 signature

All bytes are base58. Strict on purpose: an id has one spelling, so equal bytes are equal texts.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from blake3 import blake3

from protocol.base58 import b58decode, b58encode
from protocol.canonical import canonical_json
from protocol.errors import InvalidId, shown

_ALPHABET: Final = "[1-9A-HJ-NP-Za-km-z]"
# 19 bytes are 26 digits, fewer when the first bytes are small.
_COVALUE: Final = rf"co_z{_ALPHABET}{{19,26}}"
_AGENT: Final = rf"sealer_z{_ALPHABET}{{32,44}}/signer_z{_ALPHABET}{{32,44}}"
_COVALUE_ID: Final = re.compile(_COVALUE)
_AGENT_ID: Final = re.compile(_AGENT)
_SESSION_ID: Final = re.compile(
    rf"({_COVALUE}|{_AGENT})_session_(?:z{_ALPHABET}{{1,64}}|d{_ALPHABET}{{1,64}}\$)"
)

SHORT_HASH_BYTES: Final = 19


class Session(NamedTuple):
    """What a session id says."""

    author: str
    """The account (`co_z…`) or agent (`sealer_z…/signer_z…`) that signs the session."""
    deletes: bool
    """Whether it is a delete session, which may hold a delete marker and nothing else."""


def short_hash(canonical: bytes) -> str:
    """Base58 of the first 19 bytes of BLAKE3 over canonical JSON (`crypto.ts`, `shortHash`)."""
    return b58encode(blake3(canonical).digest()[:SHORT_HASH_BYTES])


def sessions_hash(sessions: dict[str, int]) -> str:
    """The `shortHash_z…` by which `reconcile` compares two known states' sessions."""
    return "shortHash_z" + short_hash(canonical_json(sessions))


def is_covalue_id(text: str) -> bool:
    """Whether `text` can be the id of a CoValue: `co_z` and exactly 19 bytes."""
    # The cache is not to be filled with what can be none, which may be long.
    return _COVALUE_ID.fullmatch(text) is not None and _is_19_bytes(text)


@lru_cache(maxsize=65_536)
def _is_19_bytes(text: str) -> bool:
    try:
        b58decode(text[4:], SHORT_HASH_BYTES)
    except InvalidId:
        return False
    return True


def is_agent_id(text: str) -> bool:
    """Whether `text` has the shape of an agent id."""
    return _AGENT_ID.fullmatch(text) is not None


@lru_cache(maxsize=65_536)
def parse_session_id(text: str) -> Session:
    """Read a session id. Raises `InvalidId` for anything that is not exactly one."""
    match = _SESSION_ID.fullmatch(text)
    if match is None:
        raise InvalidId(f"not a session id: {shown(text)}")
    author = match[1]
    if author.startswith("co_z"):
        if not is_covalue_id(author):
            raise InvalidId(f"the author of a session is no account id: {shown(text)}")
    else:
        signer_key(author)
    return Session(author, text.endswith("$"))


@lru_cache(maxsize=65_536)
def signer_key(agent: str) -> bytes:
    """The Ed25519 public key, 32 bytes, of an agent id. Raises `InvalidId`."""
    if not is_agent_id(agent):
        raise InvalidId(f"not an agent id: {shown(agent)}")
    return b58decode(agent[agent.index("/signer_z") + len("/signer_z") :], 32)


def signature_bytes(text: str) -> bytes:
    """The 64 bytes of a `signature_z…`. Raises `InvalidId`."""
    if not text.startswith("signature_z") or len(text) > 100:
        raise InvalidId(f"not a signature: {shown(text)}")
    return b58decode(text[11:], 64)
