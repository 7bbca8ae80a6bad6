"""Roles: what real cojson says, for every group and time in `tests/vectors/roles.json`."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest

from protocol.header import Header, parse_header
from protocol.roles import EVERYONE, Group
from protocol.transaction import Transaction
from tests.signing import Account, Agent, CoValue, Json, extend, group, set_role
from tests.unit.protocol.strategies import decoded
from tests.unit.protocol.vectors import load, name_of

VECTORS = load("roles")
LETTERS: dict[str, str] = VECTORS["letters"]
HEADERS: dict[str, Header] = {
    name: parse_header(VECTORS["ids"][name], json.dumps(header).encode())
    for name, header in VECTORS["headers"].items()
}

ALICE, BOB, CAROL = (Account.named(name) for name in ("alice", "bob", "carol"))


def with_ids(text: str) -> str:
    """The text with the ids of those it names `<so>`."""
    return re.sub(r"<([\w:]+)>", lambda match: VECTORS["ids"][match[1]], text)


def transaction_of(entry: list[Any]) -> Transaction:
    """A transaction of a vector (`generate_roles.mjs` says how it is written down)."""
    made_at, *rest = entry
    if len(rest) == 2:
        return decoded(set_role(with_ids(rest[0]), rest[1], made_at=made_at))
    members: Json = {"privacy": "trusting", "madeAt": made_at} | rest[0]
    if members["privacy"] == "private":
        members |= {"keyUsed": "key_z1", "encryptedChanges": "encrypted_Uabc"}
    else:
        members["changes"] = with_ids(members["changes"])
    return decoded(members)


def groups_of(world: Any) -> dict[str, Group]:
    """The groups of a world, by name, that find each other by id."""
    by_id: dict[str, Group] = {}
    by_name = {}
    for name, vector in world["groups"].items():
        made = by_name[name] = by_id[VECTORS["ids"][name]] = Group(HEADERS[name], by_id)
        for author, session, entries in vector["sessions"]:
            session_id = f"{VECTORS['ids'][author]}_session_z{session}"
            made.add_session(session_id, map(transaction_of, entries))
    return by_name


@pytest.mark.parametrize("world", VECTORS["worlds"], ids=name_of)
def test_roles_are_those_of_cojson(world: Any) -> None:
    groups = groups_of(world)
    nobody = "-" * len(world["times"])
    real = {
        (name, member): vector["roles"].get(member, nobody)
        for name, vector in world["groups"].items()
        for member in world["members"]
    }
    ours = {}
    for name, member in real:
        roles = [groups[name].role_of(VECTORS["ids"][member], at) for at in world["times"]]
        ours[name, member] = "".join("-" if role is None else LETTERS[role] for role in roles)
    assert ours == real


def test_the_vectors_hold_every_role_and_enough_answers() -> None:
    answers = "".join(
        row
        for world in VECTORS["worlds"]
        for vector in world["groups"].values()
        for row in vector["roles"].values()
    )
    assert set(LETTERS.values()) | {"-"} == set(answers)
    assert len(answers) > 20_000


def made_group(value: CoValue, others: dict[str, Group], *made: Json) -> Group:
    """A group that Alice writes, known to the others."""
    result = Group(parse_header(value.id, value.raw), others)
    founded = set_role(ALICE.id, "admin", made_at=1)
    result.add_session(ALICE.session().id, map(decoded, [founded, *made]))
    others[value.id] = result
    return result


def test_a_parent_that_is_not_held_gives_no_role() -> None:
    band, club = group(ALICE.id, "band"), group(ALICE.id, "club")
    others: dict[str, Group] = {}
    child = made_group(band, others, extend(club.id, made_at=2))
    assert child.role_of(ALICE.id, 3) == "admin"
    assert child.role_of(BOB.id, 3) is None


def test_a_parent_that_was_dropped_gives_no_role_any_more() -> None:
    band, club = group(ALICE.id, "band"), group(ALICE.id, "club")
    others: dict[str, Group] = {}
    made_group(club, others, set_role(BOB.id, "writer", made_at=2))
    child = made_group(band, others, extend(club.id, made_at=2))
    assert child.role_of(BOB.id, 3) == "writer"
    del others[club.id]
    assert child.role_of(BOB.id, 3) is None


def test_sessions_may_be_added_after_a_question() -> None:
    others: dict[str, Group] = {}
    band = made_group(group(ALICE.id), others, set_role(BOB.id, "admin", made_at=5))
    assert band.role_of(CAROL.id, 9) is None
    band.add_session(BOB.session().id, [decoded(set_role(CAROL.id, "reader", made_at=6))])
    assert band.role_of(CAROL.id, 9) == "reader"
    assert band.role_of(CAROL.id, 5) is None
    assert band.role_of(BOB.id, 9) == "admin"


@pytest.mark.parametrize("first", ["band", "club"])
def test_in_a_circle_one_of_the_references_counts(first: str) -> None:
    band, club = group(ALICE.id, "band"), group(ALICE.id, "club")
    others: dict[str, Group] = {}
    groups = {
        "band": made_group(
            band, others, set_role(BOB.id, "reader", made_at=2), extend(club.id, made_at=3)
        ),
        "club": made_group(
            club, others, set_role(CAROL.id, "writer", made_at=2), extend(band.id, made_at=4)
        ),
    }
    asked = groups.pop(first)
    [other] = groups.values()
    asked.role_of(ALICE.id, 9)
    inherited = [asked.role_of(BOB.id, 9) or asked.role_of(CAROL.id, 9)]
    inherited += [other.role_of(BOB.id, 9) or other.role_of(CAROL.id, 9)]
    everybody = [each.role_of(who.id, 9) for each in (asked, other) for who in (BOB, CAROL)]
    assert everybody.count(None) == 1
    assert None not in inherited


def test_a_long_chain_is_followed_to_its_end() -> None:
    others: dict[str, Group] = {}
    values = [group(ALICE.id, str(number)) for number in range(50)]
    made_group(values[0], others, set_role(BOB.id, "writer", made_at=2))
    for parent, value in pairwise(values):
        made_group(value, others, extend(parent.id, made_at=3))
    assert others[values[-1].id].role_of(BOB.id, 4) == "writer"


def test_groups_with_two_parents_each_are_asked_once_each() -> None:
    others: dict[str, Group] = {}
    made_group(group(ALICE.id, "top"), others, set_role(BOB.id, "writer", made_at=2))
    above = [group(ALICE.id, "top").id]
    for level in range(40):  # 2^40 ways lead up.
        row = [group(ALICE.id, f"{level} {side}") for side in ("left", "right")]
        for value in row:
            made_group(value, others, *(extend(parent, made_at=3) for parent in above))
        above = [value.id for value in row]
    assert others[above[0]].role_of(BOB.id, 4) == "writer"


def test_an_agent_may_found_a_group() -> None:
    guest = Agent.named("guest")
    value = group(guest.id)
    band = Group(parse_header(value.id, value.raw), {})
    band.add_session(guest.session().id, [decoded(set_role(guest.id, "admin", made_at=1))])
    assert band.role_of(guest.id, 1) == "admin"
    assert band.role_of(EVERYONE, 1) is None
