"""Stored chunks on their way out, and the roles that groups give: both made from a few bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

import msgspec

from protocol.content import Chunk, PieceBuilder, joined, split_transactions, without_first
from protocol.header import Header, stored_header
from protocol.roles import Group
from protocol.session_log import PIECE_BYTES
from protocol.transaction import Transaction, canonical_transaction
from tests.signing import Account, canonical, group, owned_map, session_id

_AUTHORS: Final = [Account.named(name) for name in ("alice", "bob", "carol")]
_MAP: Final = owned_map(_AUTHORS[0].id)
_HEADER: Final = stored_header(_MAP.id, canonical(_MAP.header))
_SIZES: Final = (0, 1, 30, 1_000, 20_000, PIECE_BYTES // 2, PIECE_BYTES + 1)


def chunks(data: bytes) -> None:
    """Pieces of whatever chunks are messages, hold all in order, and keep to their size."""
    stored = list(_stored(data[1:]))
    for chunk in stored:
        texts = split_transactions(chunk.data)
        assert len(texts) == chunk.count
        for cut in {0, 1, chunk.count}:
            rest = without_first(chunk, cut)
            assert (rest.first, rest.signature) == (chunk.first + cut, chunk.signature)
            assert split_transactions(rest.data) == texts[cut:]
    until = {chunk.session: chunk.first + chunk.count for chunk in stored}
    first = data[:1] > b"\x7f"
    builder = PieceBuilder(_HEADER, with_header=first, expect_until=until)
    pieces = [piece for chunk in stored if (piece := builder.add(chunk)) is not None]
    pieces += [piece] if (piece := builder.end()) is not None else []
    assert bool(pieces) == (bool(stored) or first)
    told: dict[str, list[bytes]] = {}
    for index, piece in enumerate(pieces):
        message = json.loads(piece)
        assert ("header" in message) == (first and index == 0)
        assert ("expectContentUntil" in message) == (index == 0 and len(pieces) > 1)
        size = 0
        for session, part in message["new"].items():
            held = told.setdefault(session, [])
            assert part["after"] == len(held)
            held += [canonical(each) for each in part["newTransactions"]]
            size += len(canonical(part["newTransactions"]))
        assert size <= max(PIECE_BYTES, *(len(chunk.data) for chunk in stored), 0) + 1_000
    assert told == {
        session: [
            text for c in stored if c.session == session for text in split_transactions(c.data)
        ]
        for session in until
    }
    if stored:
        whole = joined([chunk for chunk in stored if chunk.session == stored[0].session])
        assert split_transactions(whole.data) == told[stored[0].session]


def _stored(data: bytes) -> Iterator[Chunk]:
    """Per byte a chunk: its session, how many transactions, how large they are."""
    held: dict[int, int] = {}
    order = sorted(range(min(len(data), 24)), key=lambda at: data[at] % 3)
    for at in order:
        author, count, size = data[at] % 3, data[at] // 3 % 4 + 1, data[at] // 12 % len(_SIZES)
        first = held.get(author, 0)
        held[author] = first + count
        texts = [
            canonical_transaction(
                Transaction(privacy="trusting", madeAt=first + n, changes="\u20ac" * _SIZES[size])
            )
            for n in range(count)
        ]
        session = session_id(_AUTHORS[author].id)
        yield Chunk(session, first, count, f"signature_z{at}", b",".join(texts))


_KEYS: Final = [
    *(account.id for account in _AUTHORS),
    *(account.agent.id for account in _AUTHORS),
    "everyone",
    *(f"parent_{group(_AUTHORS[0].id, str(n)).id}" for n in range(3)),
    "readKey",
    "key_z1_for_everyone",
    "writeKeyFor_" + _AUTHORS[1].id,
    "parent_nothing",
    "",
]
_VALUES: Final[list[object]] = [
    "admin", "manager", "writer", "reader", "writeOnly", "adminInvite", "managerInvite",
    "writerInvite", "readerInvite", "writeOnlyInvite", "revoked", "extend", "", None, 1,
]  # fmt: skip
_ROLES: Final = {*_VALUES[:10], None}


class Counting(dict[str, Group]):
    """The groups, by id; counts how often one looks for another."""

    looks = 0

    def get(self, key: str, default: object = None) -> Group | None:  # type: ignore[override]
        """See `dict.get`."""
        type(self).looks += 1
        return super().get(key)


def roles(data: bytes) -> None:
    """Three groups, a hundred deeds: each has one answer, whatever order the sessions came in."""
    deeds = [data[at : at + 5] for at in range(0, min(len(data), 500), 5)]
    Counting.looks = 0
    one, other = _groups(deeds, reverse=False), _groups(deeds, reverse=True)
    members = [*_KEYS[:7], "nobody"]
    for key, answer in one.items():
        for member in members:
            for at in (0, 3, 300):
                role = answer.role_of(member, at)
                assert role in _ROLES
                assert role == other[key].role_of(member, at)
    # Each fold may ask each parent once a deed; more would be a chain that is walked again.
    assert Counting.looks <= 2_000 * (len(deeds) + 1), Counting.looks


def _groups(deeds: list[bytes], *, reverse: bool) -> Counting:
    made = Counting()
    ids = []
    for n in range(3):
        value = group(_AUTHORS[0].id, str(n))
        header: Header = stored_header(value.id, canonical(value.header))
        made[value.id] = Group(header, made)
        ids.append(value.id)
    for n, identifier in enumerate(ids):
        sessions: dict[str, list[Transaction]] = {}
        for deed in deeds:
            where, who, key, value_at, at = deed.ljust(5, b"\0")
            if where % 3 == n:
                # Deeds of two sessions at one time have no order of their own.
                time = at * 3 + who % 3
                session = session_id(_AUTHORS[who % 3].id)
                sessions.setdefault(session, []).append(_deed(key, value_at, time))
        for session in sorted(sessions, reverse=reverse):
            made[identifier].add_session(session, sessions[session])
    return made


def _deed(key: int, value: int, at: int) -> Transaction:
    change = {
        "op": "set" if key < 250 else "del",
        "key": _KEYS[key % len(_KEYS)],
        "value": _VALUES[value % len(_VALUES)],
    }
    changes = msgspec.json.encode([change]).decode()
    return Transaction(privacy="trusting", madeAt=at, changes=changes)
