"""Ids: each has one spelling, and whatever else is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.base58 import ALPHABET
from protocol.errors import InvalidId
from protocol.ids import (
    is_agent_id,
    is_covalue_id,
    parse_session_id,
    sessions_hash,
    short_hash,
    signature_bytes,
    signer_key,
)
from tests.signing import Account, Agent, b58, delete_session_id, session_id
from tests.unit.protocol.vectors import golden, name_of

ALICE = Account.named("alice")

hashes = st.binary(min_size=19, max_size=19)
keys = st.binary(min_size=32, max_size=32)
small_hashes = st.builds(lambda n, rest: (b"\0" * n + rest)[:19], st.integers(0, 19), hashes)
other_characters = st.characters().filter(lambda c: c not in ALPHABET)


def agent_of(sealer: bytes, signer: bytes) -> str:
    return f"sealer_z{b58(sealer)}/signer_z{b58(signer)}"


def misspelt(text: str) -> list[str]:
    """What is nearly `text`."""
    changed = [text + " ", " " + text, text + "\n", text + "\0", text + "1", text.upper(), ""]
    changed += [text[:-3], text[1:], text.replace("_z", "_z1", 1), text.replace("_z", "_U", 1)]
    changed += [text + "0", text + "é", text * 2]
    return [each for each in changed if each != text]


@given(hashes | small_hashes)
def test_19_bytes_are_the_id_of_a_covalue(value: bytes) -> None:
    assert is_covalue_id("co_z" + b58(value))


@given(st.binary(max_size=40).filter(lambda b: len(b) != 19))
def test_other_lengths_are_not(value: bytes) -> None:
    assert not is_covalue_id("co_z" + b58(value))


@pytest.mark.parametrize("text", misspelt(ALICE.id))
def test_a_misspelt_covalue_id_is_none(text: str) -> None:
    assert not is_covalue_id(text)


@given(st.integers(4, 29), other_characters)
def test_a_foreign_character_makes_it_none(index: int, other: str) -> None:
    text = ALICE.id
    assert not is_covalue_id(text[:index] + other + text[index + 1 :])


@pytest.mark.parametrize("vector", golden("headers"), ids=name_of)
def test_real_covalue_ids_are_ids(vector: Any) -> None:
    assert is_covalue_id(vector["id"])


@given(keys, keys)
def test_an_agent_gives_its_signing_key(sealer: bytes, signer: bytes) -> None:
    agent = agent_of(sealer, signer)
    assert is_agent_id(agent)
    assert signer_key(agent) == signer


@given(st.binary(max_size=40).filter(lambda b: len(b) != 32))
def test_a_signing_key_of_another_length_is_refused(signer: bytes) -> None:
    with pytest.raises(InvalidId):
        signer_key(agent_of(b"\x07" * 32, signer))


@pytest.mark.parametrize(
    "text",
    [
        *misspelt(ALICE.agent.id),
        ALICE.agent.id.replace("/", "//"),
        ALICE.agent.id.replace("/", ""),
        ALICE.agent.id.partition("/")[2],
        "/".join(reversed(ALICE.agent.id.split("/"))),
        ALICE.id,
    ],
)
def test_a_misspelt_agent_is_refused(text: str) -> None:
    with pytest.raises(InvalidId):
        signer_key(text)


@given(st.binary(min_size=64, max_size=64))
def test_a_signature_gives_its_bytes(value: bytes) -> None:
    assert signature_bytes("signature_z" + b58(value)) == value


@given(st.binary(max_size=80).filter(lambda b: len(b) != 64))
def test_a_signature_of_another_length_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidId):
        signature_bytes("signature_z" + b58(value))


@pytest.mark.parametrize(
    "text",
    [*misspelt("signature_z" + b58(b"\x09" * 64)), "signature_z" + "2" * 1_000_000, b58(b"9" * 64)],
    ids=lambda text: repr(text[:30]),
)
def test_a_misspelt_signature_is_refused(text: str) -> None:
    with pytest.raises(InvalidId):
        signature_bytes(text)


def test_a_session_names_its_account() -> None:
    assert parse_session_id(session_id(ALICE.id)) == (ALICE.id, False)


def test_a_session_names_its_agent() -> None:
    assert parse_session_id(session_id(ALICE.agent.id)) == (ALICE.agent.id, False)


@pytest.mark.parametrize("author", [ALICE.id, ALICE.agent.id])
def test_a_delete_session_says_so(author: str) -> None:
    assert parse_session_id(delete_session_id(author)) == (author, True)


@pytest.mark.parametrize("vector", golden("sessions"), ids=name_of)
def test_real_sessions_name_their_authors(vector: Any) -> None:
    session = parse_session_id(vector["session"])
    assert session.author == vector["author"]
    assert session.deletes is vector["session"].endswith("$")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "_session_z1",
        ALICE.id,
        f"{ALICE.id}_session",
        f"{ALICE.id}_session_z",
        f"{ALICE.id}_session_z0",
        f"{ALICE.id}_session_z1$",
        f"{ALICE.id}_session_d1",
        f"{ALICE.id}_session_d$",
        f"{ALICE.id}_session_d1$$",
        f"{ALICE.id}_session_x1",
        f"{ALICE.id}_session_z1\n",
        f"{ALICE.id}_session_d1$\n",
        f" {ALICE.id}_session_z1",
        f"{ALICE.id}_session_z{'1' * 65}",
        f"{ALICE.id}_session_z1_session_z1",
        f"{ALICE.id}/{ALICE.id}_session_z1",
        f"{ALICE.id}1_session_z1",
        f"{ALICE.id[:-3]}_session_z1",
        f"co_z{'z' * 26}_session_z1",
        f"{ALICE.agent.id}_session_z1/x",
        f"sealer_z{'z' * 44}/signer_z{'z' * 44}_session_z1",
        f"sealer_z{'2' * 43}/signer_z{'1' * 33}_session_z1",
        "\ud800_session_z1",
    ],
)
def test_whatever_is_no_session_is_refused(text: str) -> None:
    with pytest.raises(InvalidId):
        parse_session_id(text)


fragments = [*"co_zsealr/ignd$1A0 \n", "_session_z", "_session_d", ALICE.id, ALICE.agent.id]


@given(st.lists(st.sampled_from(fragments), max_size=6).map("".join))
def test_a_session_is_read_as_one_spelling_only(text: str) -> None:
    try:
        author, deletes = parse_session_id(text)
    except InvalidId:
        return
    rest = text.removeprefix(author)
    assert is_covalue_id(author) or is_agent_id(author)
    assert rest[:10] == ("_session_d" if deletes else "_session_z")
    assert rest.endswith("$") is deletes
    assert set(rest[10:].removesuffix("$")) <= set(ALPHABET)


@pytest.mark.parametrize("vector", golden("knownStateHashes"), ids=lambda v: v["hash"])
def test_known_states_hash_as_in_reconcile(vector: Any) -> None:
    assert sessions_hash(vector["sessions"]) == vector["hash"]


@pytest.mark.parametrize("vector", golden("headers"), ids=name_of)
def test_the_short_hash_of_a_header_is_its_id(vector: Any) -> None:
    assert "co_z" + short_hash(vector["canonical"].encode()) == vector["id"]


def test_agents_of_two_names_differ() -> None:
    assert signer_key(Agent.named("a").id) != signer_key(Agent.named("b").id)
