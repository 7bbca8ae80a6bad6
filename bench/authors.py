"""Who writes: agents and accounts with real keys, and their signed sessions."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from protocol.base58 import b58encode
from protocol.canonical import canonical_json
from protocol.content import Chunk
from protocol.header import Header, parse_header
from protocol.ids import short_hash
from protocol.session_log import Chain
from protocol.transaction import Transaction, canonical_transaction

_MADE_AT: Final = 1_790_000_000_000
_CREATED_AT: Final = "2026-09-21T14:13:20.000Z"


def seeded(*parts: object) -> bytes:
    """32 bytes that belong to these names."""
    return sha256("/".join(map(str, parts)).encode()).digest()


class Agent:
    """A key pair that signs, derived from a name."""

    def __init__(self, name: str) -> None:
        public, self.secret = crypto_sign_seed_keypair(seeded("signer", name))
        self.id: Final = f"sealer_z{b58encode(seeded('sealer', name))}/signer_z{b58encode(public)}"


class Log:
    """A session that is being written; each `append` signs everything so far."""

    def __init__(self, author: str, agent: Agent, name: str) -> None:
        """`author` is the id of the agent, or of the account that the agent signs for."""
        self.session: Final = f"{author}_session_z{b58encode(seeded('session', name)[:8])}"
        self._secret = agent.secret
        self._chain = Chain()
        self.count = 0

    def append(self, texts: Sequence[bytes]) -> Chunk:
        """Add transactions (canonical texts) at the end."""
        first = self.count
        self.count += len(texts)
        self._chain.extend(texts)
        signature = crypto_sign(f'"{self._chain.hash()}"'.encode(), self._secret)[:64]
        closing = "signature_z" + b58encode(signature)
        return Chunk(self.session, first, len(texts), closing, b",".join(texts))


def trusting(changes: str, at: int) -> bytes:
    """The canonical text of a trusting transaction; `at` counts ms from a fixed day on."""
    return canonical_transaction(
        Transaction(changes=changes, madeAt=_MADE_AT + at, privacy="trusting")
    )


def private(secret: str, at: int) -> bytes:
    """The canonical text of a private transaction; `secret` stands for what is encrypted."""
    return canonical_transaction(
        Transaction(
            encryptedChanges=f"encrypted_U{secret}",
            keyUsed="key_z4mZGRw78wCNGqhAkC",
            madeAt=_MADE_AT + at,
            privacy="private",
        )
    )


def account(agent: Agent) -> Header:
    """The account of an agent."""
    ruleset = {"type": "group", "initialAdmin": agent.id}
    meta = {"type": "account"}
    return _header(type="comap", ruleset=ruleset, meta=meta, createdAt=None, uniqueness=None)


def group(admin: str, name: str) -> Header:
    """A group that the account `admin` may set up."""
    return _named("comap", {"type": "group", "initialAdmin": admin}, name)


def owned_map(owner: str, name: str) -> Header:
    """A map that a group owns."""
    return _named("comap", {"type": "ownedByGroup", "group": owner}, name)


def open_map(name: str) -> Header:
    """A map that anybody may write, without an owner."""
    return _named("comap", {"type": "unsafeAllowAll"}, name)


def open_file(name: str) -> Header:
    """A binary stream without an owner."""
    return _named("costream", {"type": "unsafeAllowAll"}, name, {"type": "binary"})


def _named(kind: str, ruleset: dict[str, str], name: str, meta: Any = None) -> Header:
    unique = "z" + b58encode(seeded("unique", name)[:12])
    return _header(type=kind, ruleset=ruleset, meta=meta, createdAt=_CREATED_AT, uniqueness=unique)


def _header(**members: Any) -> Header:
    canonical = canonical_json(members)
    return parse_header("co_z" + short_hash(canonical), canonical)
