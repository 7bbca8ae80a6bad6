"""Deletion: what a delete session may hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from protocol.deletion import check_deletion
from protocol.errors import InvalidTransaction
from protocol.header import Header, parse_header
from tests.signing import Account, CoValue, Json, deletion, group, owned_map, private, trusting
from tests.unit.protocol.strategies import decoded, text
from tests.unit.protocol.vectors import golden

ALICE = Account.named("alice")
BAND = group(ALICE.id)
TUNE = owned_map(BAND.id)
UNOWNED = CoValue.of(TUNE.header | {"ruleset": {"type": "unsafeAllowAll"}})


def header_of(value: CoValue) -> Header:
    return parse_header(value.id, value.raw)


def check(value: CoValue, *transactions: Json, held: int = 0) -> None:
    check_deletion(header_of(value), held, [decoded(each) for each in transactions])


def test_a_tombstone_made_by_cojson_passes() -> None:
    [vector] = [each for each in golden("sessions") if each["session"].endswith("$")]
    value = CoValue.of(vector["header"])
    assert value.id == vector["id"]
    check(value, *vector["transactions"])


def test_a_map_owned_by_a_group_or_account_may_be_deleted() -> None:
    for value in (TUNE, owned_map(ALICE.id)):
        check(value, deletion(value.id, made_at=1))


@pytest.mark.parametrize("value", [BAND, ALICE], ids=["group", "account"])
def test_groups_and_accounts_may_not(value: CoValue) -> None:
    with pytest.raises(InvalidTransaction, match="group or account"):
        check(value, deletion(value.id, made_at=1))


def test_what_nobody_owns_may_not() -> None:
    with pytest.raises(InvalidTransaction, match="no owning group"):
        check(UNOWNED, deletion(UNOWNED.id, made_at=1))


def test_there_is_one_marker_and_no_more() -> None:
    marker = deletion(TUNE.id, made_at=1)
    for transactions, held in [((), 0), ((marker, marker), 0), ((marker,), 1), ((), 1)]:
        with pytest.raises(InvalidTransaction, match="exactly one"):
            check(TUNE, *transactions, held=held)


def test_the_marker_names_the_value() -> None:
    with pytest.raises(InvalidTransaction, match="without its delete marker"):
        check(TUNE, deletion(BAND.id, made_at=1))


@pytest.mark.parametrize(
    "meta",
    [
        None,
        "",
        "x",
        "null",
        "[]",
        "{}",
        '{"deleted":true}',
        '{"deleted":null}',
        f'["{TUNE.id}"]',
        f'"{TUNE.id}"',
        f'{{"deleted":["{TUNE.id}"]}}',
        f'{{"Deleted":"{TUNE.id}"}}',
        f'{{"deleted":"{TUNE.id} "}}',
        f'{{"deleted":"{TUNE.id}"',
        f'{{"deleted":"{TUNE.id}","x":NaN}}',
        "[" * 100_000,
    ],
    ids=lambda meta: repr(meta and meta[:40]),
)
def test_any_other_meta_is_no_marker(meta: Any) -> None:
    with pytest.raises(InvalidTransaction, match="without its delete marker"):
        check(TUNE, trusting([], made_at=1, meta=meta))


@given(text)
def test_no_meta_does_worse_than_be_refused(meta: str) -> None:
    with pytest.raises(InvalidTransaction):
        check(TUNE, trusting([], made_at=1, meta=meta))


def test_a_private_transaction_is_no_marker() -> None:
    meta = deletion(TUNE.id, made_at=1)["meta"]
    with pytest.raises(InvalidTransaction, match="without its delete marker"):
        check(TUNE, private("abc", made_at=1) | {"meta": meta})
