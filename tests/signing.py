"""What a Jazz client makes: keys, ids, headers, signed sessions and `content` messages.

Written from the description of the protocol and not with `protocol`, so that tests hold the one
against the other. Everything is derived from names, so that each run makes the same bytes:

    alice = Account.named("alice")
    band = group(alice.id)
    tune = owned_map(band.id)
    log = alice.session()
    run = log.append(trusting([{"op": "set", "key": "title", "value": "So What"}], made_at=1))
    message = content(tune, {log.id: run}, with_header=True)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any

import base58
from blake3 import blake3
from nacl.signing import SigningKey

Json = dict[str, Any]


@lru_cache(maxsize=16_384)
def b58(data: bytes) -> str:
    """`data` in base58."""
    return base58.b58encode(data).decode()


def canonical(value: object) -> bytes:
    """Canonical JSON of a value without floats and without keys past U+D7FF."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.encode()


def covalue_id(header: Json) -> str:
    """The id of the CoValue with this header."""
    return "co_z" + b58(blake3(canonical(header)).digest()[:19])


def _seed(*parts: str) -> bytes:
    return sha256("/".join(parts).encode()).digest()


@dataclass(frozen=True)
class Agent:
    """A key pair that signs."""

    key: SigningKey
    id: str
    """`sealer_z…/signer_z…`; the sealer is never used, so it is any 32 bytes."""

    @classmethod
    def named(cls, name: str) -> Agent:
        """The agent that belongs to this name."""
        key = SigningKey(_seed("signer", name))
        sealer = b58(_seed("sealer", name))
        return cls(key, f"sealer_z{sealer}/signer_z{b58(bytes(key.verify_key))}")

    @property
    def public_key(self) -> bytes:
        """The Ed25519 public key, 32 bytes."""
        return bytes(self.key.verify_key)

    def sign(self, message: bytes) -> str:
        """The `signature_z…` over `message`."""
        return "signature_z" + b58(self.key.sign(message).signature)

    def session(self, name: str = "1") -> Session:
        """A session that the agent itself writes, as in its account."""
        return Session(session_id(self.id, name), self)


@dataclass(frozen=True)
class CoValue:
    """A header and the id that it hashes to."""

    header: Json
    id: str
    priority: int

    @classmethod
    def of(cls, header: Json) -> CoValue:
        """The CoValue that has this header."""
        meta = header["meta"] or {}
        priority = 3
        if header["ruleset"]["type"] == "group":
            priority = 0
        elif header["type"] == "costream" and meta.get("type") == "binary":
            priority = 6
        return cls(header, covalue_id(header), priority)

    @property
    def raw(self) -> bytes:
        """The header as JSON, its members not in the canonical order."""
        return json.dumps(self.header, ensure_ascii=False).encode()


@dataclass(frozen=True)
class Account(CoValue):
    """An account: a CoValue whose agent signs for it."""

    agent: Agent

    @classmethod
    def named(cls, name: str) -> Account:
        """The account of the agent with this name."""
        agent = Agent.named(name)
        header: Json = {
            "type": "comap",
            "ruleset": {"type": "group", "initialAdmin": agent.id},
            "meta": {"type": "account"},
            "createdAt": None,
            "uniqueness": None,
        }
        return cls(header, covalue_id(header), 0, agent)

    def session(self, name: str = "1") -> Session:
        """A session that the account writes."""
        return Session(session_id(self.id, name), self.agent)

    def delete_session(self, name: str = "1") -> Session:
        """A session that may hold a delete marker."""
        return Session(delete_session_id(self.id, name), self.agent)


def session_id(author: str, name: str = "1") -> str:
    """`<author>_session_z…`, with the 8 bytes that belong to `name`."""
    return f"{author}_session_z{b58(_seed('session', name)[:8])}"


def delete_session_id(author: str, name: str = "1") -> str:
    """`<author>_session_d…$`, with the 7 bytes that belong to `name`."""
    return f"{author}_session_d{b58(_seed('delete', name)[:7])}$"


def group(admin: str, unique: str = "group") -> CoValue:
    """A group that `admin` (an account or agent id) may set up."""
    ruleset = {"type": "group", "initialAdmin": admin}
    return CoValue.of(_header("comap", ruleset, unique))


def owned_map(owner: str, unique: str = "map", **members: Any) -> CoValue:
    """A map that the group (or account) `owner` owns; `members` replace those of its header."""
    ruleset = {"type": "ownedByGroup", "group": owner}
    return CoValue.of(_header("comap", ruleset, unique) | members)


def _header(kind: str, ruleset: Json, unique: str) -> Json:
    return {
        "type": kind,
        "ruleset": ruleset,
        "meta": None,
        "createdAt": "2025-01-02T03:04:05.678Z",
        "uniqueness": "z" + b58(_seed("unique", unique)[:12]),
    }


def trusting(changes: object, *, made_at: int, meta: object = None) -> Json:
    """A trusting transaction: `changes`, and `meta` if given, become JSON texts (or are texts)."""
    made: Json = {"privacy": "trusting", "madeAt": made_at, "changes": _text(changes)}
    return made if meta is None else made | {"meta": _text(meta)}


def private(secret: str, *, made_at: int, meta: str | None = None) -> Json:
    """A private transaction; `secret` stands for what would be encrypted."""
    made: Json = {"privacy": "private", "madeAt": made_at}
    made |= {"keyUsed": "key_z4mZGRw78wCNGqhAkC", "encryptedChanges": f"encrypted_U{secret}"}
    return made if meta is None else made | {"meta": f"encrypted_U{meta}"}


def set_role(member: str, role: str, *, made_at: int) -> Json:
    """The transaction of a group that gives `member` a role."""
    return trusting([{"op": "set", "key": member, "value": role}], made_at=made_at)


def extend(parent: str, *, made_at: int, mapping: str = "extend") -> Json:
    """The transaction of a group that makes it extend another one."""
    return set_role(f"parent_{parent}", mapping, made_at=made_at)


def deletion(of: str, *, made_at: int) -> Json:
    """The delete marker of a CoValue."""
    return trusting([], made_at=made_at, meta={"deleted": of})


def _text(value: object) -> str:
    return value if isinstance(value, str) else canonical(value).decode()


@dataclass(frozen=True)
class Run:
    """Transactions of one session from index `after` on, and the signature after the last."""

    after: int
    transactions: Sequence[Json]
    signature: str

    @property
    def texts(self) -> list[bytes]:
        """The canonical texts."""
        return [canonical(each) for each in self.transactions]

    def content(self) -> Json:
        """The run as it stands in a `content` message."""
        return {
            "after": self.after,
            "newTransactions": list(self.transactions),
            "lastSignature": self.signature,
        }

    def with_flipped_signature(self) -> Run:
        """A signature of the right shape that nobody made."""
        data = bytearray(base58.b58decode(self.signature.removeprefix("signature_z")))
        data[10] ^= 1
        return replace(self, signature="signature_z" + b58(bytes(data)))

    def with_changed_transaction(self) -> Run:
        """Something else signed with the same signature: the last transaction a bit later."""
        last = dict(self.transactions[-1])
        last["madeAt"] += 1
        return replace(self, transactions=[*self.transactions[:-1], last])

    def without_last(self) -> Run:
        """The last transaction held back, the signature not."""
        return replace(self, transactions=self.transactions[:-1])

    def reversed(self) -> Run:
        """The same transactions the other way round."""
        return replace(self, transactions=list(reversed(self.transactions)))


@dataclass
class Session:
    """A session that is being written. Each `append` signs everything so far."""

    id: str
    agent: Agent
    count: int = 0
    _hasher: blake3 = field(default_factory=blake3)

    def append(self, *transactions: Json) -> Run:
        """Add transactions at the end and sign."""
        after = self.count
        self.count += len(transactions)
        for each in transactions:
            self._hasher.update(canonical(each))
        return Run(after, list(transactions), self.agent.sign(f'"{self.hash()}"'.encode()))

    def hash(self) -> str:
        """The `hash_z…` of the session so far."""
        return "hash_z" + b58(self._hasher.digest())


def content(
    value: CoValue,
    runs: Mapping[str, Run],
    *,
    with_header: bool = False,
    expect_until: Mapping[str, int] | None = None,
) -> bytes:
    """A `content` message with one run a session, as a client sends it."""
    message: Json = {"action": "content", "id": value.id, "priority": value.priority}
    if with_header:
        message["header"] = value.header
    if expect_until is not None:
        message["expectContentUntil"] = dict(expect_until)
    message["new"] = {session: run.content() for session, run in runs.items()}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
