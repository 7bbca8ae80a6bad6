"""Session logs: the chain is the same however it grew, and only the author can extend it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.ids import signer_key
from protocol.session_log import PIECE_BYTES, Chain, extended
from protocol.transaction import canonical_transaction
from tests.signing import Account, Agent, Json, Run, b58, canonical, set_role, trusting
from tests.unit.protocol.strategies import decoded, transactions
from tests.unit.protocol.vectors import golden, name_of

ALICE = Account.named("alice")
BOB = Account.named("bob")
KEY = ALICE.agent.public_key


def written(count: int = 3) -> Run:
    """A run of Alice's, from the beginning of her session."""
    return ALICE.session().append(*(trusting([n], made_at=n) for n in range(count)))


def chain_of(texts: list[bytes]) -> Chain:
    chain = Chain()
    chain.extend(texts)
    return chain


@pytest.mark.parametrize("vector", golden("sessions"), ids=name_of)
def test_real_sessions_verify(vector: Any) -> None:
    texts = [canonical_transaction(decoded(each)) for each in vector["transactions"]]
    signer = signer_key(f"sealer_z{'2' * 43}/{vector['signer']}")
    for point in vector["signed"]:
        signature, count = point["signature"], point["count"]
        assert chain_of(texts[:count]).hash() == point["hash"]
        longer = extended(Chain(), signer, texts[:count], signature)
        assert longer is not None
        assert longer.hash() == point["hash"]
        assert extended(Chain(), BOB.agent.public_key, texts[:count], signature) is None
        assert extended(Chain(), signer, texts[: count - 1], signature) is None


@pytest.mark.parametrize("vector", golden("sessions"), ids=name_of)
def test_a_flipped_byte_anywhere_fails(vector: Any) -> None:
    data = ",".join(vector["canonicalTransactions"]).encode()
    [point] = vector["signed"]
    signer = signer_key(f"sealer_z{'2' * 43}/{vector['signer']}")
    assert extended(Chain(), signer, texts_of(vector), point["signature"]) is not None
    for index in range(0, len(data), 37):
        texts = texts_of(vector)
        flipped = bytearray(texts[index % len(texts)])
        flipped[index % len(flipped)] ^= 1
        texts[index % len(texts)] = bytes(flipped)
        assert extended(Chain(), signer, texts, point["signature"]) is None


def texts_of(vector: Any) -> list[bytes]:
    return [text.encode() for text in vector["canonicalTransactions"]]


def test_the_chain_of_a_real_stream() -> None:
    [vector] = golden("streaming")
    signer = signer_key(f"sealer_z{'2' * 43}/{vector['signer']}")
    chain = Chain()
    for piece in vector["pieces"]:
        texts = [
            canonical(trusting(pattern.replace("<p*30000>", "p" * 30000), made_at=at))
            for pattern, at in zip(vector["changesPattern"], vector["madeAts"], strict=True)
        ]
        part = texts[piece["after"] : piece["after"] + piece["count"]]
        longer = extended(chain, signer, part, piece["lastSignature"])
        assert longer is not None
        assert longer.hash() == piece["hash"]
        chain = longer
    assert vector["limit"] == PIECE_BYTES


@given(st.lists(transactions, max_size=8), st.data())
def test_any_division_of_a_session_gives_the_same_chain(made: list[Json], data: Any) -> None:
    texts = [canonical(each) for each in made]
    cuts = data.draw(st.lists(st.integers(0, len(texts)), max_size=5).map(sorted))
    chain = Chain()
    for start, end in zip([0, *cuts], [*cuts, len(texts)], strict=True):
        chain.extend(texts[start:end])
    assert chain.hash() == chain_of(texts).hash() == chain_of([b"".join(texts)]).hash()


@given(st.lists(st.lists(transactions, max_size=3), min_size=1, max_size=5))
def test_each_run_extends_the_chain_of_those_before(runs: list[list[Json]]) -> None:
    session = ALICE.session()
    chain = Chain()
    for made in runs:
        run = session.append(*made)
        longer = extended(chain, KEY, run.texts, run.signature)
        assert longer is not None
        assert longer.hash() == session.hash()
        chain = longer


@given(st.lists(st.lists(transactions, max_size=3), min_size=1, max_size=5))
def test_the_last_signature_covers_all_runs(runs: list[list[Json]]) -> None:
    session = ALICE.session()
    last = [session.append(*made) for made in runs][-1]
    texts = [canonical(each) for made in runs for each in made]
    longer = extended(Chain(), KEY, texts, last.signature)
    assert longer is not None
    assert longer.hash() == session.hash()


FORGERIES: dict[str, Callable[[Run], Run]] = {
    "a flipped signature": Run.with_flipped_signature,
    "a changed transaction": Run.with_changed_transaction,
    "a transaction held back": Run.without_last,
    "another order": Run.reversed,
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
@pytest.mark.parametrize("before", [0, 2])
def test_a_forgery_never_extends_and_never_changes_the_chain(
    forge: Callable[[Run], Run], before: int
) -> None:
    session = ALICE.session()
    chain = chain_of(session.append(*(trusting([n], made_at=n) for n in range(before))).texts)
    held = chain.hash()
    honest = session.append(trusting(["a"], made_at=5), trusting(["b"], made_at=6))
    forged = forge(honest)
    assert extended(chain, KEY, forged.texts, forged.signature) is None
    assert chain.hash() == held
    after = extended(chain, KEY, honest.texts, honest.signature)
    assert after is not None
    assert after.hash() == session.hash()
    assert chain.hash() == held


@given(st.lists(transactions, min_size=1, max_size=4), st.lists(transactions, max_size=4))
def test_the_signature_of_other_transactions_never_holds(
    made: list[Json], others: list[Json]
) -> None:
    run = ALICE.session().append(*made)
    same = [canonical(each) for each in others] == run.texts
    longer = extended(Chain(), KEY, [canonical(each) for each in others], run.signature)
    assert (longer is not None) is same


def test_the_signature_of_another_session_does_not_hold() -> None:
    one, two = ALICE.session("1"), ALICE.session("2")
    one.append(set_role(BOB.id, "admin", made_at=1))
    later = one.append(set_role(BOB.id, "reader", made_at=2))
    assert extended(Chain(), KEY, later.texts, later.signature) is None
    first = two.append(set_role(BOB.id, "reader", made_at=2))
    assert first.texts == later.texts
    assert extended(Chain(), KEY, first.texts, first.signature) is not None
    assert extended(Chain(), KEY, first.texts, later.signature) is None


def test_a_run_that_was_there_already_does_not_hold_again() -> None:
    run = written()
    chain = extended(Chain(), KEY, run.texts, run.signature)
    assert chain is not None
    assert extended(chain, KEY, run.texts, run.signature) is None
    assert chain.is_signed(KEY, run.signature)


def test_somebody_elses_key_signs_nothing() -> None:
    run = written()
    assert extended(Chain(), Agent.named("mallory").public_key, run.texts, run.signature) is None


def test_the_quotes_belong_to_what_is_signed() -> None:
    run = written()
    chain = chain_of(run.texts)
    assert chain.is_signed(KEY, run.signature)
    assert not chain.is_signed(KEY, ALICE.agent.sign(chain.hash().encode()))
    assert chain.is_signed(KEY, ALICE.agent.sign(f'"{chain.hash()}"'.encode()))


@pytest.mark.parametrize(
    "signature", ["", "x", "signature_z", "signature_z0", "signature_z" + "1" * 64, "signature_z1"]
)
def test_what_is_no_signature_does_not_hold(signature: str) -> None:
    assert not chain_of(written().texts).is_signed(KEY, signature)


def test_a_key_that_is_no_point_signs_nothing() -> None:
    run = written()
    for key in (b"\0" * 32, b"\xff" * 32, b"\x01" + b"\0" * 31):
        assert not chain_of(run.texts).is_signed(key, run.signature)


def test_a_copy_goes_its_own_way() -> None:
    chain = chain_of([b"a"])
    copy = chain.copy()
    assert copy.hash() == chain.hash()
    copy.extend([b"b"])
    assert chain.hash() == chain_of([b"a"]).hash()
    assert copy.hash() == chain_of([b"ab"]).hash()


def test_the_empty_chain_is_the_hash_of_nothing() -> None:
    blake3_of_nothing = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert Chain().hash() == "hash_z" + b58(bytes.fromhex(blake3_of_nothing))
