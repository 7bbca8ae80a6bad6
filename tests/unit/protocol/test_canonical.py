"""Canonical JSON: the text that cojson's own stableStringify writes."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.canonical import canonical_json, js_number, needs_escape
from protocol.errors import MalformedMessage
from tests.unit.protocol.strategies import json_values, text
from tests.unit.protocol.vectors import golden, load

VECTORS = load("canonical")


@pytest.mark.parametrize(("given_text", "expected"), VECTORS["values"])
def test_writes_values_like_cojson(given_text: str, expected: str) -> None:
    assert canonical_json(msgspec.json.decode(given_text)) == expected.encode()


def test_writes_numbers_like_cojson() -> None:
    numbers = VECTORS["numbers"]
    assert len(numbers) > 3000
    ours = [[each, canonical_json(msgspec.json.decode(each)).decode()] for each, _ in numbers]
    assert [pair for pair, real in zip(ours, numbers, strict=True) if pair != real] == []


@pytest.mark.parametrize("given_text", VECTORS["unescaped"])
def test_refuses_what_cojson_would_not_escape(given_text: str) -> None:
    value = msgspec.json.decode(given_text)
    assert needs_escape(value)
    for holder in (value, [value], {"a": {"b": [value]}}):
        with pytest.raises(MalformedMessage, match="would not escape"):
            canonical_json(holder)


@pytest.mark.parametrize("vector", golden("knownStateHashes"), ids=lambda v: v["hash"])
def test_writes_the_sessions_that_reconcile_hashes(vector: Any) -> None:
    assert canonical_json(vector["sessions"]).decode() == vector["canonical"]


@given(json_values)
def test_is_a_fixed_point(value: Any) -> None:
    once = canonical_json(value)
    assert canonical_json(msgspec.json.decode(once)) == once


@given(json_values)
def test_keeps_the_value(value: Any) -> None:
    def as_doubles(part: Any) -> Any:
        """The value as JavaScript holds it: each number a double, and what is none, null."""
        if isinstance(part, dict):
            return {key: as_doubles(each) for key, each in part.items()}
        if isinstance(part, list):
            return [as_doubles(each) for each in part]
        if isinstance(part, int) and not isinstance(part, bool):
            try:
                return float(part)
            except OverflowError:
                return None
        return part

    assert as_doubles(json.loads(canonical_json(value))) == as_doubles(value)


@given(st.dictionaries(text, json_values, max_size=8), st.randoms())
def test_does_not_depend_on_the_order_of_members(value: dict[str, Any], dice: Any) -> None:
    members = list(value.items())
    dice.shuffle(members)
    assert canonical_json(dict(members)) == canonical_json(value)


@given(st.lists(text, unique=True))
def test_sorts_members_by_utf16_units(keys: list[str]) -> None:
    written = list(json.loads(canonical_json(dict.fromkeys(keys))))
    assert written == sorted(keys, key=lambda key: key.encode("utf-16-be"))


def test_an_astral_key_comes_before_the_last_of_the_basic_plane() -> None:
    assert canonical_json({"\uffff": 1, "😀": 2}) == '{"😀":2,"\uffff":1}'.encode()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_each_double_reads_back(number: float) -> None:
    assert float(js_number(number)) == number


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 10**400, -(10**400)])
def test_what_is_no_double_is_null(number: float) -> None:
    assert js_number(number) == "null"


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_refuses_what_is_nested_too_deeply(opening: str) -> None:
    value: Any = 1
    for _ in range(100_000):
        value = [value] if opening == "[" else {"a": value}
    with pytest.raises(MalformedMessage, match="too deeply"):
        canonical_json(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("encrypted_Uabc", False),
        ('encrypted_Ua"', True),
        ("binary_U\\", True),
        ("binary_U\x1f", True),
        ("binary_U\x7f\u2028é", False),
        ('encrypted_"', False),
        ('x encrypted_U"', False),
    ],
)
def test_only_unescaped_strings_with_something_to_escape_need_it(
    value: str, expected: bool
) -> None:
    assert needs_escape(value) is expected


@given(st.dictionaries(st.just('encrypted_U"') | st.just("binary_U\n"), json_values))
def test_keys_are_always_escaped(value: dict[str, Any]) -> None:
    assert msgspec.json.decode(canonical_json(value)).keys() == value.keys()
