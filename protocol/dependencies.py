"""Which other CoValues must be held first (cojson `coValueCore/utils.ts`).

Three sources: the header (owning group, branch source: `Header.dependencies`), the account that
authors a session, and, in groups and accounts, what a trusting transaction sets: a member
(`co_…`) or a parent group (`parent_co_…`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import msgspec

from protocol.ids import is_covalue_id, parse_session_id
from protocol.transaction import Transaction


def session_dependency(session_id: str) -> str | None:
    """The account that authors the session, or `None` for an agent. Raises `InvalidId`."""
    author = parse_session_id(session_id).author
    return author if author.startswith("co_z") else None


def group_dependencies(transactions: Iterable[Transaction]) -> set[str]:
    """The members and parent groups that transactions of a group or account name.

    `changes` that are no JSON list name nothing, as in Jazz. Keys that only look like an id (the
    value can never exist) are left out, or the group would wait for them for ever.
    """
    found: set[str] = set()
    for transaction in transactions:
        changes = transaction.changes
        if not isinstance(changes, str) or "co_z" not in changes:
            continue
        for key, _ in map_sets(changes):
            candidate = key.removeprefix("parent_")
            if is_covalue_id(candidate):
                found.add(candidate)
    return found


def changes_value(changes: str) -> object:
    """What JavaScript's `JSON.parse` makes of the text of changes; `None` if that is an error.

    JavaScript takes what msgspec does not: lone surrogates, and numbers past the doubles.
    """
    try:
        return msgspec.json.decode(changes)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        pass
    try:
        value: object = json.loads(changes, parse_int=float, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def map_sets(changes: str) -> list[tuple[str, object]]:
    """The `(key, value)` of each `set` among a map's changes; none if they are no JSON list."""
    decoded = changes_value(changes)
    if not isinstance(decoded, list):
        return []
    return [
        (change["key"], change.get("value"))
        for change in decoded
        if isinstance(change, dict)
        and change.get("op") == "set"
        and isinstance(change.get("key"), str)
    ]
