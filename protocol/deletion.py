"""Deletion (0.20 on): the marker that turns a CoValue into a tombstone.

A delete session holds exactly one trusting transaction whose meta is `{"deleted": "<id>"}`; only
an admin of the owning group at that time may sign one (cojson `coValueCore.ts`,
`#isDeleteTransaction`).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from protocol.errors import InvalidTransaction
from protocol.header import Header
from protocol.transaction import Transaction


def check_deletion(header: Header, held: int, transactions: Sequence[Transaction]) -> None:
    """Raise `InvalidTransaction` unless `transactions` are a well-formed deletion of the value.

    `held` is how many transactions the delete session has already. Whether the author may delete
    is for `roles` to say.
    """
    if header.is_group:
        raise InvalidTransaction(f"{header.id} is a group or account, which cannot be deleted")
    if header.group is None:
        raise InvalidTransaction(f"{header.id} has no owning group, so nobody may delete it")
    if held or len(transactions) != 1:
        raise InvalidTransaction("a delete session holds exactly one transaction")
    if _deleted_id(transactions[0]) != header.id:
        raise InvalidTransaction(f"a delete session of {header.id} without its delete marker")


def _deleted_id(transaction: Transaction) -> object:
    if transaction.privacy != "trusting" or not isinstance(transaction.meta, str):
        return None
    try:
        meta = msgspec.json.decode(transaction.meta)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
    return meta.get("deleted") if isinstance(meta, dict) else None
