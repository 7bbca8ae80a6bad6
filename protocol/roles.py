"""Who has which role in a group, at a time (cojson `permissions.ts`, `coValues/group.ts`).

A group is a map from member to role, written by its members. Its transactions are folded in the
order of `madeAt`; each one counts only if its author was allowed to make it then. A member's role
is their own, or a more permissive one inherited from a parent group, or else everyone's.
"""

from __future__ import annotations

from bisect import insort_right
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from protocol.dependencies import changes_value
from protocol.header import Header
from protocol.ids import parse_session_id
from protocol.transaction import MAX_MADE_AT, Transaction

EVERYONE: Final = "everyone"
_ACCOUNT_ROLES: Final = {"admin", "manager", "writer", "reader", "writeOnly"}
_INVITES: Final = {
    "adminInvite": "admin",
    "managerInvite": "manager",
    "writerInvite": "writer",
    "readerInvite": "reader",
    "writeOnlyInvite": "writeOnly",
}
_ASSIGNABLE: Final = _ACCOUNT_ROLES | _INVITES.keys() | {"revoked"}
_FOR_EVERYONE: Final = {"reader", "writer", "writeOnly", "revoked"}
_ADMINS: Final = {"admin", "manager"}
_ADMIN_KEYS: Final = {"readKey", "groupSealer", "profile", "root"}
_INHERITED: Final = {"admin", "manager", "writer", "reader"}
_NOT_FOR_MANAGERS: Final = {"admin", "adminInvite", "managerInvite"}


class _Entry(NamedTuple):
    made_at: int
    author: str
    transaction: Transaction


class _Change(NamedTuple):
    made_at: int
    value: str


class Group(msgspec.Struct):
    """A group or account with all its transactions, ready to be asked for roles.

    `others` must come to hold, by id, the groups that this one may name as parents; ones that are
    absent give no role.
    """

    header: Header
    others: Mapping[str, Group]
    _entries: list[_Entry] = msgspec.field(default_factory=list)
    _roles: dict[str, list[_Change]] = msgspec.field(default_factory=dict)
    _parents: dict[str, list[_Change]] = msgspec.field(default_factory=dict)
    _folded: bool = False

    def add_session(self, session_id: str, transactions: Iterable[Transaction]) -> None:
        """Take in all transactions of one session, in their order."""
        author = parse_session_id(session_id).author
        self._entries += [_Entry(t.madeAt, author, t) for t in transactions]
        self._folded = False

    def role_of(self, member: str, at: int) -> str | None:
        """The role of `member` (account or agent id) at the time `at` (ms), or `None`."""
        return self._role_of(member, at, {})

    def _role_of(
        self, member: str, at: int, known: dict[tuple[str, int], str | None]
    ) -> str | None:
        """`known` has the answers so far, so that a group reached by many ways is asked once."""
        if self.header.signer is not None and member == self.header.id:
            return "admin"
        key = self.header.id, at
        if key not in known:
            known[key] = None  # What a circle finds when it comes back here.
            known[key] = self._work_out(member, at, known)
        return known[key]

    def _work_out(
        self, member: str, at: int, known: dict[tuple[str, int], str | None]
    ) -> str | None:
        self._fold()
        role = _at(self._roles.get(member), at)
        if role == "revoked":
            role = None
        for parent_id, changes in self._parents.items():
            mapping = _at(changes, at)
            parent = self.others.get(parent_id)
            if mapping is None or mapping == "revoked" or parent is None:
                continue
            # At time 0 Jazz asks a parent without a time (`getParentGroup`: `if (atTime)`).
            inherited = parent._role_of(member, at or MAX_MADE_AT, known)
            if inherited not in _INHERITED:
                continue
            candidate = inherited if mapping == "extend" else mapping
            if _is_more_permissive(candidate, role):
                role = candidate
        if role is None and member != EVERYONE:
            everyone = _at(self._roles.get(EVERYONE), at)
            return None if everyone == "revoked" else everyone
        return role

    def _fold(self) -> None:
        if self._folded:
            return
        self._folded = True
        self._roles, self._parents = {}, {}
        fold = _Fold(self)
        # Stable: what one session did in one millisecond stays in its order.
        for entry in sorted(self._entries, key=lambda e: e.made_at):
            fold.take(entry)

    def _extends(self, ancestor: str) -> bool:
        """Whether `ancestor` is this group or, by now, one that it extends."""
        seen: set[str] = set()
        queue: list[Group] = [self]
        while queue:
            group = queue.pop()
            if group.header.id == ancestor:
                return True
            seen.add(group.header.id)
            group._fold()
            for parent_id, changes in group._parents.items():
                parent = self.others.get(parent_id)
                if parent is not None and changes[-1].value != "revoked" and parent_id not in seen:
                    queue.append(parent)
        return False


class _Fold:
    """One pass over a group's transactions: which of them count (`permissions.ts`)."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._direct: dict[str, str] = {}
        self._mappings: dict[str, str] = {}

    def take(self, entry: _Entry) -> None:
        changes = entry.transaction.changes
        if not isinstance(changes, str):
            return
        match changes_value(changes):
            case [{"op": "set", "key": str(key), **rest}]:
                self._set(entry, key, rest.get("value"))

    def _set(self, entry: _Entry, key: str, value: object) -> None:
        role = self._role_at(entry.author, entry.made_at)
        if key in _ADMIN_KEYS or _is_key_revelation(key):
            return  # Counts or not, it gives nobody a role.
        if key.startswith("parent_"):
            if role in _ADMINS:
                # What is no mapping takes the place of one, and gives no role.
                mapping = value if isinstance(value, str) and value else "revoked"
                self._set_parent(entry, key.removeprefix("parent_"), mapping)
        elif key.startswith(("writeKeyFor_", "child_")):
            return
        elif isinstance(value, str) and self._may_assign(entry, role, key, value):
            self._direct[key] = value
            _insert(self._group._roles, key, _Change(entry.made_at, value))

    def _set_parent(self, entry: _Entry, parent_id: str, mapping: str) -> None:
        parent = self._group.others.get(parent_id)
        if parent is None or not parent.header.is_group or parent.header.signer is not None:
            return
        if parent._extends(self._group.header.id):
            return
        if mapping == "revoked":
            self._mappings.pop(parent_id, None)
        else:
            self._mappings[parent_id] = mapping
        _insert(self._group._parents, parent_id, _Change(entry.made_at, mapping))

    def _may_assign(self, entry: _Entry, role: str | None, member: str, assigned: str) -> bool:
        if assigned not in _ASSIGNABLE or (member == EVERYONE and assigned not in _FOR_EVERYONE):
            return False
        author = entry.author
        is_first = role is None and author == self._group.header.initial_admin == member
        if is_first and assigned == "admin":
            return True
        if author == member and assigned == "revoked":
            return True
        if role == "admin":
            affected = self._role_at(member, entry.made_at)
            return affected != "admin" or assigned == "admin" or member == author
        if role == "manager":
            affected = self._role_at(member, entry.made_at)
            return affected != "admin" and assigned not in _NOT_FOR_MANAGERS
        return role is not None and _INVITES.get(role) == assigned

    def _role_at(self, member: str, at: int) -> str | None:
        role = self._direct.get(member)
        for parent_id, mapping in self._mappings.items():
            inherited = self._group.others[parent_id].role_of(member, at)
            if inherited not in _INHERITED:
                continue
            candidate = inherited if mapping == "extend" else mapping
            if _is_higher(candidate, role):
                role = candidate
        return role


def _at(changes: list[_Change] | None, at: int) -> str | None:
    """The last value whose time is not after `at`."""
    found = None
    for change in changes or ():
        if change.made_at > at:
            break
        found = change.value
    return found


def _insert(table: dict[str, list[_Change]], key: str, change: _Change) -> None:
    insort_right(table.setdefault(key, []), change, key=lambda c: c.made_at)


def _is_key_revelation(key: str) -> bool:
    if "_for_everyone" in key:
        return True
    return key.startswith("key_") and any(
        mark in key for mark in ("_for_key", "_for_sealer", "_for_co", "_sealedFor_sealer")
    )


def _is_higher(a: str, b: str | None) -> bool:
    """While folding: `permissions.ts`, `isHigherRole`."""
    if a == "revoked":
        return False
    if b is None or b == "revoked":
        return True
    for role in ("admin", "manager"):
        if b == role:
            return False
        if a == role:
            return True
    return a == "writer" and b == "reader"


def _is_more_permissive(a: str, b: str | None) -> bool:
    """While asking: `group.ts`, `isMorePermissiveAndShouldInherit`."""
    match a:
        case "revoked":
            return True
        case "admin":
            return b != "admin"
        case "manager":
            return b not in ("manager", "admin")
        case "writer":
            return b in (None, "reader", "writeOnly")
        case "reader":
            return b is None
    return False
