"""Dependencies: what must be held before a CoValue."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from protocol.dependencies import (
    changes_value,
    group_dependencies,
    map_sets,
    session_dependency,
)
from protocol.errors import InvalidId
from tests.signing import Account, Agent, extend, group, private, set_role, trusting
from tests.unit.protocol.strategies import decoded, json_values, text

ALICE = Account.named("alice")
BOB = Account.named("bob")
BAND = group(ALICE.id)
ID = ALICE.id


def named_by(changes: object) -> set[str]:
    return group_dependencies([decoded(trusting(changes, made_at=1))])


def test_an_account_is_needed_for_its_session() -> None:
    assert session_dependency(ALICE.session().id) == ALICE.id
    assert session_dependency(ALICE.delete_session().id) == ALICE.id


def test_an_agents_session_needs_nobody() -> None:
    assert session_dependency(Agent.named("invite").session().id) is None


def test_what_is_no_session_is_refused() -> None:
    with pytest.raises(InvalidId):
        session_dependency("co_z1_session_z1")


def test_members_and_parents_are_needed() -> None:
    made = [
        set_role(ALICE.id, "admin", made_at=1),
        set_role(BOB.id, "revoked", made_at=2),
        extend(BAND.id, made_at=3),
        set_role("everyone", "reader", made_at=4),
        set_role(Agent.named("invite").id, "writerInvite", made_at=5),
    ]
    assert group_dependencies(map(decoded, made)) == {ALICE.id, BOB.id, BAND.id}


def test_every_change_of_a_transaction_counts() -> None:
    changes = [
        {"op": "set", "key": ALICE.id, "value": "admin"},
        {"op": "set", "key": f"parent_{BAND.id}", "value": "revoked"},
    ]
    assert named_by(changes) == {ALICE.id, BAND.id}


@pytest.mark.parametrize(
    "key",
    [
        f"key_z1_for_{ID}",
        f"writeKeyFor_{ID}",
        f"child_{ID}",
        f"parent_parent_{ID}",
        f"Parent_{ID}",
        f" {ID}",
        f"{ID} ",
        f"{ID}1",
        f"{ID[:-3]}",
        f"parent_{ID}0",
        "co_z1",
        "parent_co_z1",
        "parent_",
        "profile",
        "",
    ],
)
def test_other_keys_name_nothing(key: str) -> None:
    assert named_by([{"op": "set", "key": key, "value": ID}]) == set()


@pytest.mark.parametrize(
    "changes",
    [
        "",
        "co_z",
        f'"{ID}"',
        f'{{"op":"set","key":"{ID}"}}',
        f'[{{"op":"set","key":"{ID}"}}',
        f'["{ID}"]',
        f'[["set","{ID}"]]',
        f'[{{"op":"del","key":"{ID}"}}]',
        f'[{{"key":"{ID}"}}]',
        f'[{{"op":"set","key":["{ID}"]}}]',
        f'[{{"op":"set","key":null,"value":"{ID}"}}]',
        f'[{{"op":"set","value":"{ID}"}}]',
        f'[{{"op":"set","key":"{ID}","x":NaN}}]',
        f'[{{"op":"set","key":"{ID}","x":{"[" * 100_000}',
    ],
    ids=lambda changes: repr(changes[:50]),
)
def test_what_sets_no_key_names_nothing(changes: str) -> None:
    assert named_by(changes) == set()


@pytest.mark.parametrize("rest", ["", ',"value":null', ',"x":"\\ud800"', ',"x":1e999', ',"y":[{}]'])
def test_whatever_javascript_reads_names_its_key(rest: str) -> None:
    assert named_by(f'[null,1,{{"op":"set","key":"{ID}"{rest}}}]') == {ID}


def test_private_transactions_name_nothing() -> None:
    assert group_dependencies([decoded(private(ID, made_at=1))]) == set()


def test_sets_keep_their_order_and_values() -> None:
    changes = '[{"op":"set","key":"b","value":1},{"op":"set","key":"a"},{"op":"del","key":"b"}]'
    assert map_sets(changes) == [("b", 1), ("a", None)]


@given(json_values)
def test_changes_are_read_as_json(value: object) -> None:
    assert changes_value(json.dumps(value)) == json.loads(json.dumps(value))


@given(text.filter(lambda changes: "NaN" not in changes and "Infinity" not in changes))
def test_a_text_is_read_as_json_or_is_nothing(changes: str) -> None:
    try:
        expected = json.loads(changes)
    except ValueError:
        expected = None
    assert changes_value(changes) == expected


@pytest.mark.parametrize(
    "changes", ["NaN", "[Infinity]", "[-Infinity]", "\ufeff1", "01", "1.", "'a'"]
)
def test_what_javascript_does_not_read_is_nothing(changes: str) -> None:
    assert changes_value(changes) is None
