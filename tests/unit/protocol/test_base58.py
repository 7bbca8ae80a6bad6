"""Base58: the same text as the `base58` package, and one spelling for each value."""

from __future__ import annotations

import base58
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.base58 import ALPHABET, b58decode, b58encode
from protocol.errors import InvalidId

data = st.binary(max_size=80)
with_leading_zeros = st.builds(lambda n, rest: b"\0" * n + rest, st.integers(0, 5), data)


def test_the_alphabet_is_bitcoins() -> None:
    assert ALPHABET.encode() == base58.BITCOIN_ALPHABET


@given(data | with_leading_zeros)
@example(b"")
@example(b"\0" * 32)
@example(b"\xff" * 64)
def test_encodes_like_the_reference(value: bytes) -> None:
    assert b58encode(value) == base58.b58encode(value).decode()


@given(data | with_leading_zeros)
@example(b"")
@example(b"\0")
def test_decodes_what_the_reference_encoded(value: bytes) -> None:
    assert b58decode(base58.b58encode(value).decode(), len(value)) == value


@given(st.text(ALPHABET, max_size=90))
def test_decodes_every_text_like_the_reference(text: str) -> None:
    value = base58.b58decode(text)
    assert b58decode(text, len(value)) == value
    assert b58encode(value) == text


@given(with_leading_zeros, st.integers(0, 90))
def test_refuses_every_other_length(value: bytes, length: int) -> None:
    text = b58encode(value)
    if length == len(value):
        assert b58decode(text, length) == value
    else:
        with pytest.raises(InvalidId):
            b58decode(text, length)


@pytest.mark.parametrize("zeros", ["1", "11"])
def test_refuses_one_leading_zero_too_many(zeros: str) -> None:
    with pytest.raises(InvalidId):
        b58decode(zeros + b58encode(b"\x05" * 19), 19)


def test_refuses_a_number_that_needs_one_more_byte() -> None:
    too_large = b58encode(b"\x01" + b"\0" * 19)
    with pytest.raises(InvalidId):
        b58decode(too_large, 19)


@given(
    st.text(ALPHABET, max_size=20),
    st.characters().filter(lambda c: c not in ALPHABET),
    st.text(ALPHABET, max_size=20),
)
@example("", "0", "")
@example("a", "O", "")
@example("ab", "I", "c")
@example("", "l", "abc")
@example("a", " ", "a")
@example("", "１", "")
def test_refuses_a_character_outside_the_alphabet(before: str, other: str, after: str) -> None:
    for length in (0, 1, 19, len(before + after)):
        with pytest.raises(InvalidId):
            b58decode(before + other + after, length)


def test_the_error_names_the_text_but_not_all_of_it() -> None:
    with pytest.raises(InvalidId, match=r"not 19 bytes in base58: '0{50,}… \(\d+ characters\)"):
        b58decode("0" * 100_000, 19)
