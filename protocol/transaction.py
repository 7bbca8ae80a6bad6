"""Transactions: what is accepted, and the canonical text that is hashed.

A transaction is opaque to the server: `changes`, `encryptedChanges` and `meta` are strings, never
looked into here and never written anew. Releases of Jazz differ in what they accept around them
(0.20.19 drops unknown members before hashing, older ones hash them; it refuses a fractional
`madeAt`, older ones take it). A value that one reader accepts and another refuses poisons readers,
so only what all of them accept passes: the known members, of the right types.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from protocol.canonical import RAW_PREFIXES, needs_escape
from protocol.errors import InvalidTransaction, shown

MAX_MADE_AT: Final = 2**53 - 1


class Transaction(
    msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False
):
    """One transaction. The order of the members here is the canonical, alphabetical one."""

    changes: str | msgspec.UnsetType = msgspec.UNSET
    """Of a trusting transaction: the JSON text of its changes."""
    encryptedChanges: str | msgspec.UnsetType = msgspec.UNSET  # noqa: N815
    """Of a private transaction: `encrypted_U…`."""
    keyUsed: str | msgspec.UnsetType = msgspec.UNSET  # noqa: N815
    """Of a private transaction: the id of the read key."""
    madeAt: Annotated[int, msgspec.Meta(ge=0, le=MAX_MADE_AT)]  # noqa: N815
    """When the client says it made this, in ms since the epoch."""
    meta: str | msgspec.UnsetType = msgspec.UNSET
    """Since 0.17: a JSON text (trusting) or `encrypted_U…` (private)."""
    privacy: Literal["private", "trusting"]


_UNSET: Final = msgspec.UNSET
_encode: Final = msgspec.json.Encoder().encode
_encode_lines: Final = msgspec.json.Encoder().encode_lines


def canonical_transaction(transaction: Transaction) -> bytes:
    """The canonical text of a transaction, UTF-8: what the session's hash chain takes in.

    Raises `InvalidTransaction` unless its members fit its privacy and it hashes alike everywhere.
    """
    content, key, meta = transaction.changes, transaction.keyUsed, transaction.meta
    if transaction.privacy == "trusting":
        fits = transaction.encryptedChanges is _UNSET and key is _UNSET
    else:
        fits = content is _UNSET and key is not _UNSET
        content = transaction.encryptedChanges
    if content is _UNSET or not fits:
        raise InvalidTransaction(f"members do not fit a {transaction.privacy} transaction")
    text = _encode(transaction)
    # Only where something was escaped can there be something that Jazz would not escape.
    if b"\\" in text and (
        content.startswith(RAW_PREFIXES) or meta is not _UNSET or key is not _UNSET
    ):
        for member in (content, meta, key):
            if isinstance(member, str) and member.startswith(RAW_PREFIXES) and needs_escape(member):
                raise InvalidTransaction(
                    f"encrypted text with characters to escape: {shown(member)}"
                )
    return text


def canonical_transactions(transactions: list[Transaction]) -> list[bytes]:
    """The canonical text of each; see `canonical_transaction`. Raises `InvalidTransaction`."""
    if len(transactions) == 1:
        return [canonical_transaction(transactions[0])]
    is_raw = False
    for transaction in transactions:
        content, key = transaction.changes, transaction.keyUsed
        if transaction.privacy == "trusting":
            fits = transaction.encryptedChanges is _UNSET and key is _UNSET
        else:
            fits = content is _UNSET and key is not _UNSET
            content = transaction.encryptedChanges
            is_raw = True
        if content is _UNSET or not fits:
            break
        if transaction.meta is not _UNSET or content.startswith(RAW_PREFIXES):
            is_raw = True
    else:
        # A line each: within, line breaks are escaped.
        text = _encode_lines(transactions)
        if not is_raw or b"\\" not in text:
            return text.splitlines()
    return [canonical_transaction(transaction) for transaction in transactions]


def transaction_size(transaction: Transaction) -> int:
    """The size that Jazz counts towards a piece: UTF-16 units of the (encrypted) changes."""
    content = transaction.changes or transaction.encryptedChanges or ""
    assert isinstance(content, str)
    return len(content) if content.isascii() else len(content.encode("utf-16-le")) // 2
