"""Transactions: which ones are accepted, and the text that is hashed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis.strategies import lists

from protocol.canonical import canonical_json
from protocol.errors import InvalidTransaction, MalformedMessage
from protocol.messages import decode_session_content
from protocol.session_log import Chain
from protocol.transaction import (
    MAX_MADE_AT,
    Transaction,
    canonical_transaction,
    canonical_transactions,
    transaction_size,
)
from tests.signing import Json, private, trusting
from tests.unit.protocol.strategies import decoded, transactions
from tests.unit.protocol.vectors import golden, name_of

TRUSTING = trusting([], made_at=1)
PRIVATE = private("abc", made_at=1, meta="def")


def accepted(wire: str) -> Transaction | None:
    """What the server makes of one transaction in a `content`, `None` if it refuses."""
    raw = f'{{"after":0,"newTransactions":[{wire}],"lastSignature":"signature_z1"}}'
    try:
        [transaction] = decode_session_content(msgspec.Raw(raw.encode())).newTransactions
        canonical_transactions([transaction])
    except (MalformedMessage, InvalidTransaction):
        return None
    return transaction


@pytest.mark.parametrize("vector", golden("acceptance"), ids=name_of)
def test_takes_what_every_release_takes_and_nothing_else(vector: Any) -> None:
    transaction = accepted(vector["wire"])
    assert (transaction is not None) is all(vector["acceptedBy"].values())
    if transaction is not None:
        text = canonical_transaction(transaction)
        chain = Chain()
        chain.extend([text])
        assert text.decode() == vector["hashedText"]
        assert chain.hash() == vector["hash"]


@pytest.mark.parametrize("vector", golden("sessions"), ids=name_of)
def test_writes_real_transactions_as_jazz_hashes_them(vector: Any) -> None:
    texts = [canonical_transaction(decoded(each)).decode() for each in vector["transactions"]]
    assert texts == vector["canonicalTransactions"]


@given(transactions)
def test_the_text_is_canonical_json(transaction: Json) -> None:
    assert canonical_transaction(decoded(transaction)) == canonical_json(transaction)


@given(lists(transactions))
def test_many_have_the_texts_that_each_has(made: list[Json]) -> None:
    each = [decoded(transaction) for transaction in made]
    assert canonical_transactions(each) == [canonical_transaction(one) for one in each]


@given(transactions)
def test_the_text_reads_back_as_the_transaction(transaction: Json) -> None:
    text = canonical_transaction(decoded(transaction)).decode()
    assert msgspec.to_builtins(accepted(text)) == transaction


@pytest.mark.parametrize("made_at", ["0", "1", str(MAX_MADE_AT), "-0"])
def test_takes_whole_numbers_that_every_double_holds(made_at: str) -> None:
    transaction = accepted(f'{{"privacy":"trusting","madeAt":{made_at},"changes":"[]"}}')
    assert transaction is not None
    assert transaction.madeAt == int(made_at)


@pytest.mark.parametrize(
    "made_at",
    ["-1", str(2**53), "1.5", "1.0", "1e3", "null", "true", '"1"', "9" * 5000, "1e999", "NaN"],
)
def test_refuses_any_other_time(made_at: str) -> None:
    assert accepted(f'{{"privacy":"trusting","madeAt":{made_at},"changes":"[]"}}') is None


@pytest.mark.parametrize("valid", [TRUSTING, TRUSTING | {"meta": "{}"}, PRIVATE])
def test_refuses_a_missing_or_foreign_member(valid: Json) -> None:
    def verdict(transaction: Json) -> bool:
        return accepted(msgspec.json.encode(transaction).decode()) is not None

    assert verdict(valid)
    for member in valid.keys() - {"meta"}:
        assert not verdict({key: value for key, value in valid.items() if key != member})
    for member in ("changes", "encryptedChanges", "keyUsed"):
        if member not in valid:
            assert not verdict(valid | {member: "encrypted_Uabc"})
    assert not verdict(valid | {"more": 1})
    assert not verdict(valid | {"privacy": "public"})


@pytest.mark.parametrize("valid", [TRUSTING, TRUSTING | {"meta": "{}"}, PRIVATE])
@pytest.mark.parametrize("other", [None, 1, True, [], {}])
def test_refuses_members_that_are_no_text(valid: Json, other: object) -> None:
    for member in valid.keys() - {"madeAt"}:
        wire = msgspec.json.encode(valid | {member: other}).decode()
        assert accepted(wire) is None


@pytest.mark.parametrize("member", ["encryptedChanges", "keyUsed", "meta"])
@pytest.mark.parametrize("text", ['encrypted_Ua"', "binary_Ua\\", "encrypted_U\n"])
def test_refuses_encrypted_text_that_releases_write_differently(member: str, text: str) -> None:
    wrong = decoded(PRIVATE | {member: text})
    with pytest.raises(InvalidTransaction, match="to escape"):
        canonical_transaction(wrong)
    with pytest.raises(InvalidTransaction, match="to escape"):
        canonical_transactions([decoded(TRUSTING), wrong])


@pytest.mark.parametrize("member", ["changes", "meta"])
def test_refuses_it_in_trusting_transactions_too(member: str) -> None:
    with pytest.raises(InvalidTransaction, match="to escape"):
        canonical_transaction(decoded(TRUSTING | {member: 'encrypted_U"'}))


@pytest.mark.parametrize("text", ["\\ud800", "a\\udfffb", "\\ud83dx"])
def test_refuses_half_a_surrogate_pair(text: str) -> None:
    assert accepted(f'{{"privacy":"trusting","madeAt":1,"changes":"{text}"}}') is None


@pytest.mark.parametrize(
    ("text", "size"), [("", 0), ("abc", 3), ("é\u2028", 2), ("😀", 2), ("a😀\uffff", 4)]
)
def test_the_size_counts_utf16_units_of_the_changes(text: str, size: int) -> None:
    assert transaction_size(decoded(trusting(text, made_at=1, meta="long meta"))) == size
    assert transaction_size(decoded(PRIVATE | {"encryptedChanges": text})) == size


def test_the_size_of_a_transaction_in_the_streaming_vector() -> None:
    [vector] = golden("streaming")
    for pattern, size in zip(vector["changesPattern"], vector["sizes"], strict=True):
        changes = pattern.replace("<p*30000>", "p" * 30000)
        assert transaction_size(decoded(trusting(changes, made_at=1))) == size
