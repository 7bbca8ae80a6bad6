"""An independent check of what the server says: written from the protocol, not with `protocol`."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import base58
from blake3 import blake3
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from tests.signing import b58, canonical, covalue_id

Json = dict[str, Any]


@lru_cache(maxsize=4_096)
def decode(message: bytes) -> Json:
    """One message; what one server sends to many is read once."""
    decoded: Json = json.loads(message)
    return decoded


@lru_cache(maxsize=4_096)
def decode_content(message: bytes) -> list[tuple[str, int, tuple[bytes, ...], str]]:
    """The runs of a `content`: session, first index, canonical texts, signature."""
    return [
        (
            session,
            run["after"],
            tuple(canonical(each) for each in run["newTransactions"]),
            run["lastSignature"],
        )
        for session, run in decode(message)["new"].items()
    ]


@lru_cache(maxsize=65_536)
def is_signed(signer: str, digest: str, signature: str) -> bool:
    """Whether `signature_z…` is that of `signer_z…` over the hash."""
    try:
        key = VerifyKey(base58.b58decode(signer.removeprefix("signer_z")))
        key.verify(f'"{digest}"'.encode(), base58.b58decode(signature.removeprefix("signature_z")))
    except (BadSignatureError, ValueError, TypeError):
        return False
    return True


def hashes_to(identifier: str, header: Json) -> bool:
    """Whether the header is that of the value with this id."""
    return covalue_id(header) == identifier


def author_of(session: str) -> str:
    """The account or agent that a session names."""
    return session[: session.index("_session")]


def signer_of(author: str, account_header: Json | None) -> str | None:
    """The `signer_z…` of an author: the agent's own, or that of the account with this header."""
    agent = author
    if author.startswith("co_z"):
        if account_header is None or (account_header["meta"] or {}).get("type") != "account":
            return None
        agent = account_header["ruleset"]["initialAdmin"]
    return str(agent.partition("/")[2])


def dependencies(header: Json, runs: list[tuple[str, int, tuple[bytes, ...], str]]) -> set[str]:
    """What must be held before a value with this header and these transactions."""
    found: set[str] = set()
    if "group" in header["ruleset"]:
        found.add(header["ruleset"]["group"])
    for session, _, texts, _ in runs:
        author = author_of(session)
        if author.startswith("co_z"):
            found.add(author)
        if header["ruleset"]["type"] == "group":
            for text in texts:
                found |= _named(text)
    return found


@lru_cache(maxsize=8_192)
def _named(text: bytes) -> frozenset[str]:
    transaction = json.loads(text)
    if transaction["privacy"] != "trusting":
        return frozenset()
    keys = [
        change["key"].removeprefix("parent_")
        for change in json.loads(transaction["changes"])
        if change.get("op") == "set"
    ]
    return frozenset(key for key in keys if key.startswith("co_z"))


class Log:
    """A session as somebody holds it: canonical texts, signatures and the running hash."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.marks: dict[int, str] = {}
        """The signature after so many transactions, where one is known."""
        self._hasher = blake3()

    def __len__(self) -> int:
        return len(self.texts)

    def copy(self) -> Log:
        """A log that goes its own way from here."""
        twin = Log()
        twin.texts, twin.marks, twin._hasher = [*self.texts], {**self.marks}, self._hasher.copy()
        return twin

    def accept(self, texts: tuple[bytes, ...], signature: str, signer: str) -> bool:
        """Append what the signature covers. Returns whether it does."""
        hasher = self._hasher.copy()
        hasher.update(b"".join(texts))
        if not is_signed(signer, "hash_z" + b58(hasher.digest()), signature):
            return False
        self._hasher = hasher
        self.texts += texts
        self.marks[len(self.texts)] = signature
        return True

    def write(self, key: SigningKey, *transactions: Json) -> None:
        """Append and sign."""
        for each in transactions:
            text = canonical(each)
            self.texts.append(text)
            self._hasher.update(text)
        digest = f'"hash_z{b58(self._hasher.digest())}"'.encode()
        self.marks[len(self.texts)] = "signature_z" + b58(key.sign(digest).signature)
