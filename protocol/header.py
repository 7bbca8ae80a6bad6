"""Headers: what a CoValue is, for ever (cojson `coValueCore/verifiedState.ts`, `CoValueHeader`).

The id of a CoValue is the short hash of its header's canonical text, so a header proves itself.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import msgspec

from protocol.canonical import canonical_json
from protocol.errors import InvalidHeader, InvalidId, ProtocolError, shown
from protocol.ids import is_agent_id, is_covalue_id, short_hash, signer_key

Priority = Literal[0, 3, 6]
"""In which order content goes out: 0 accounts and groups, 3 the rest, 6 binary streams."""

MAX_HEADER_BYTES: Final = 64 * 1024
"""Headers of Jazz have a few hundred. Hashing one takes time that grows with its members."""
_MEMBERS: Final = {"type", "ruleset", "meta", "uniqueness", "createdAt"}
_REQUIRED: Final = {"type", "ruleset", "meta", "uniqueness"}
# Jazz looks no closer; an id that can be no hash is a value that never comes.
_COVALUE_SHAPE: Final = re.compile(r"co_z[1-9A-HJ-NP-Za-km-z]{1,64}")
_LARGEST: Final = 2**63 - 513
_ISO_DATE: Final = re.compile(r"2[ -~]*")


class Header(msgspec.Struct, frozen=True):
    """A verified header, reduced to what the server acts on, and its canonical text."""

    id: str
    canonical: bytes
    """The canonical JSON text, UTF-8: what is stored and sent."""
    priority: Priority
    group: str | None
    """The group (or account) that owns the value, if one does."""
    source: str | None
    """Of a branch: the value that it branches from."""
    initial_admin: str | None
    """Of a group or account: who may promote themselves first."""
    signer: bytes | None
    """Of an account: the Ed25519 public key, 32 bytes, of its sessions."""

    @property
    def is_group(self) -> bool:
        """Whether this is a group or an account (both have the ruleset `group`)."""
        return self.initial_admin is not None

    @property
    def dependencies(self) -> list[str]:
        """The ids that must be held before this value (cojson `coValueCore/utils.ts`)."""
        return [i for i in (self.group, self.source) if i is not None and i != self.id]


def parse_header(covalue_id: str, raw: bytes) -> Header:
    """Read the JSON text of a header and check it against the id it came with.

    Raises `InvalidHeader` for a header that does not hash to `covalue_id`, for one that 0.20.19
    refuses (missing or unknown members, a `uniqueness` it does not know), and for one past
    `MAX_HEADER_BYTES`.
    """
    if len(raw) > MAX_HEADER_BYTES:
        raise InvalidHeader(f"the header of {covalue_id} has {len(raw)} bytes")
    try:
        value = msgspec.json.decode(raw)
        canonical = canonical_json(value)
    except (msgspec.MsgspecError, ProtocolError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidHeader(f"the header of {covalue_id} is no plain JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidHeader(f"the header of {covalue_id} is {shown(value)}, not an object")
    if not value.keys() <= _MEMBERS or not value.keys() >= _REQUIRED:
        raise InvalidHeader(f"the header of {covalue_id} has the members {sorted(value)}")
    _check_members(covalue_id, value)
    actual = "co_z" + short_hash(canonical)
    if actual != covalue_id:
        raise InvalidHeader(f"the header sent for {covalue_id} is that of {actual}")
    try:
        return _header(covalue_id, canonical, value)
    except InvalidId as error:
        raise InvalidHeader(f"the account {covalue_id} has no signer: {error}") from None


def stored_header(covalue_id: str, canonical: bytes) -> Header:
    """The header of a canonical text that was checked before it was stored.

    Raises `InvalidHeader` if it is not that text any more.
    """
    actual = "co_z" + short_hash(canonical)
    if actual != covalue_id:
        raise InvalidHeader(f"the stored header of {covalue_id} is damaged: it is that of {actual}")
    try:
        value = msgspec.json.decode(canonical)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise InvalidHeader(f"the stored header of {covalue_id} is no JSON: {error}") from None
    return _header(covalue_id, canonical, value)


def _check_members(covalue_id: str, value: dict[str, Any]) -> None:
    kind, ruleset, meta = value["type"], value["ruleset"], value["meta"]
    uniqueness, created = value["uniqueness"], value.get("createdAt")
    if not isinstance(kind, str):
        raise InvalidHeader(f"the type of {covalue_id} is {shown(kind)}, not a string")
    if meta is not None and not isinstance(meta, dict):
        raise InvalidHeader(f"the meta of {covalue_id} is {shown(meta)}, not an object or null")
    if isinstance(uniqueness, dict):
        fits = all(isinstance(member, str) for member in uniqueness.values())
    else:
        fits = uniqueness is None or isinstance(uniqueness, str | bool | int)
        # As a double it must be an integer of 64 bits, or the text sent on would be read otherwise.
        fits = fits and not (isinstance(uniqueness, int) and abs(uniqueness) > _LARGEST)
    if not fits:
        raise InvalidHeader(f"the uniqueness of {covalue_id} is {shown(uniqueness)}")
    if created is not None and not (isinstance(created, str) and _ISO_DATE.fullmatch(created)):
        raise InvalidHeader(f"createdAt of {covalue_id} is {shown(created)}, not a date")
    if not isinstance(ruleset, dict) or not _is_ruleset(ruleset):
        raise InvalidHeader(f"the ruleset of {covalue_id} is {shown(ruleset)}")


def _is_ruleset(ruleset: dict[str, Any]) -> bool:
    match ruleset:
        case {"type": "group", "initialAdmin": str(admin), **rest}:
            shaped = is_agent_id(admin) or _COVALUE_SHAPE.fullmatch(admin) is not None
            return not rest and shaped
        case {"type": "ownedByGroup", "group": str(group), **rest}:
            restricted = rest.pop("restrictDeletion", False)
            shaped = _COVALUE_SHAPE.fullmatch(group) is not None
            return not rest and shaped and isinstance(restricted, bool)
        case {"type": "unsafeAllowAll", **rest}:
            return not rest
    return False


def _header(covalue_id: str, canonical: bytes, value: dict[str, Any]) -> Header:
    ruleset, meta = value["ruleset"], value["meta"] or {}
    admin, source = ruleset.get("initialAdmin"), meta.get("source")
    kind = meta.get("type")
    priority: Priority = 3
    if kind == "account" or admin is not None:
        priority = 0
    elif value["type"] == "costream" and kind == "binary":
        priority = 6
    is_account = value["type"] == "comap" and kind == "account" and admin is not None
    return Header(
        id=covalue_id,
        canonical=canonical,
        priority=priority,
        group=ruleset.get("group"),
        source=source if isinstance(source, str) and is_covalue_id(source) else None,
        initial_admin=admin,
        signer=signer_key(admin) if is_account and is_agent_id(admin) else None,
    )
