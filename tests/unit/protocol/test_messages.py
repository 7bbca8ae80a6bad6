"""Messages: whatever bytes come, they are a message or they are malformed."""

from __future__ import annotations

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.errors import MalformedMessage
from protocol.known_state import Sessions
from protocol.messages import (
    MAX_COUNT,
    Content,
    Done,
    Known,
    Load,
    Reconcile,
    ReconcileAck,
    decode_message,
    decode_session_content,
    decode_sessions,
    encode_known,
    encode_load,
    encode_ping,
    encode_reconcile_ack,
)
from tests.signing import Account, Json, content, group, owned_map, trusting
from tests.unit.protocol.strategies import decoded, json_values, session_counts, text, transactions

ALICE = Account.named("alice")
TUNE = owned_map(group(ALICE.id).id)

LOAD: Json = {"action": "load", "id": TUNE.id, "header": True, "sessions": {"a": 1}}
KNOWN: Json = LOAD | {"action": "known"}
CONTENT: Json = {"action": "content", "id": TUNE.id, "priority": 3, "new": {}}
RECONCILE: Json = {"action": "reconcile", "id": "b", "values": [["co_z1", "shortHash_z1"]]}
ACK: Json = {"action": "reconcile-ack", "id": "b"}
SESSION: Json = {"after": 0, "newTransactions": [], "lastSignature": "signature_z1"}


def line(message: object) -> bytes:
    return json.dumps(message).encode()


def is_malformed(data: bytes) -> bool:
    with suppress(MalformedMessage):
        decode_message(data)
        return False
    return True


def test_a_load() -> None:
    assert decode_message(line(LOAD)) == Load(TUNE.id, True, {"a": 1})


@pytest.mark.parametrize("correction", [True, False, None])
def test_a_known(correction: bool | None) -> None:
    flag = {} if correction is None else {"isCorrection": correction}
    message = decode_message(line(KNOWN | flag))
    assert isinstance(message, Known)
    assert (message.id, message.header, message.isCorrection) == (TUNE.id, True, bool(correction))
    assert decode_sessions(message.sessions) == {"a": 1}


def test_a_content_keeps_its_parts_as_bytes() -> None:
    session = ALICE.session()
    run = session.append(trusting("é😀", made_at=1))
    message = decode_message(content(TUNE, {session.id: run}, with_header=True))
    assert isinstance(message, Content)
    assert isinstance(message.header, msgspec.Raw)
    assert json.loads(bytes(message.header)) == TUNE.header
    part = decode_session_content(message.new[session.id])
    assert (part.after, part.lastSignature) == (0, run.signature)
    assert part.newTransactions == [decoded(each) for each in run.transactions]


def test_a_content_without_header() -> None:
    message = decode_message(line(CONTENT))
    assert isinstance(message, Content)
    assert (message.header, message.new) == (msgspec.UNSET, {})


def test_the_other_actions() -> None:
    assert isinstance(decode_message(b'{"action":"done"}'), Done)
    assert isinstance(decode_message(b'{"action":"done","id":[1]}'), Done)
    assert decode_message(line(RECONCILE)) == Reconcile("b", [("co_z1", "shortHash_z1")])
    assert decode_message(line(ACK)) == ReconcileAck("b")


@pytest.mark.parametrize("message", [LOAD, KNOWN, CONTENT, RECONCILE, ACK], ids=json.dumps)
def test_members_that_nobody_knows_are_passed_over(message: Json) -> None:
    more = {"more": {"a": [1]}, "asDependencyOf": "co_z1", "expectContentUntil": {"a": 1}}
    assert type(decode_message(line(more | message))) is type(decode_message(line(message)))


@pytest.mark.parametrize("message", [LOAD, KNOWN, CONTENT, RECONCILE, ACK], ids=json.dumps)
def test_a_missing_member_is_malformed(message: Json) -> None:
    for member in message.keys() - {"priority"}:
        assert is_malformed(line({k: v for k, v in message.items() if k != member}))


@pytest.mark.parametrize("message", [LOAD, CONTENT, RECONCILE, ACK], ids=json.dumps)
@pytest.mark.parametrize("other", [None, 1, 1.5, [], [1], "\ud83d\ude00", [["a"]], [["a", 1]]])
def test_a_member_of_another_type_is_malformed(message: Json, other: object) -> None:
    for member in message.keys() - {"priority"}:
        fits = type(other) is type(message[member]) and other != [1]
        if not fits or (member == "values" and other):
            assert is_malformed(line(message | {member: other}))


@pytest.mark.parametrize("header", ["null", "1", '"true"', "[]", "{}"])
def test_a_header_flag_is_true_or_false(header: str) -> None:
    for action in ("load", "known"):
        text = f'{{"action":"{action}","id":"co_z1","header":{header},"sessions":{{}}}}'
        assert is_malformed(text.encode())


COUNTS = ["-1", "1.0", "1e2", "true", "null", '"1"', "[]", str(2**53), "9" * 400, "9" * 5000]


@pytest.mark.parametrize("count", COUNTS, ids=lambda count: count[:10])
def test_a_count_is_a_whole_number_that_every_double_holds(count: str) -> None:
    sessions = f'{{"a":1,"b":{count}}}'
    assert is_malformed(line(LOAD).replace(b'{"a": 1}', sessions.encode()))
    with pytest.raises(MalformedMessage):
        decode_sessions(msgspec.Raw(sessions.encode()))
    raw = line(SESSION).replace(b'"after": 0', f'"after": {count}'.encode())
    with pytest.raises(MalformedMessage):
        decode_session_content(msgspec.Raw(raw))


def test_the_largest_count() -> None:
    assert decode_sessions(msgspec.Raw(b'{"a":%d,"b":0}' % MAX_COUNT)) == {"a": MAX_COUNT, "b": 0}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"null",
        b"true",
        b"42",
        b'"x"',
        b"[]",
        b"{}",
        b"[%s]" % line(LOAD),
        b'{"type":"ping","time":1,"dc":"x"}',
        b'{"action":null}',
        b'{"action":"unknown"}',
        b'{"action":"Load"}',
        b'{"action":["load"]}',
        b'{"action":"load","id":NaN}',
        line(LOAD)[:-1],
        line(LOAD) + b"}",
        line(LOAD) + line(LOAD),
        line(LOAD).replace(b'"', b"'"),
        b"\xef\xbb\xbf" + line(LOAD),
        line(LOAD).decode().encode("utf-16"),
        line(LOAD).replace(b"co_z", b"co_\xff"),
        line(LOAD).replace(b"co_z", b"co_\xed\xa0\x80"),
        line(LOAD).replace(b"co_z", b"co_\\ud800"),
        line(LOAD).replace(b'"a"', b'"\\udfff"'),
        line(LOAD).replace(b'"a"', b'"\xff"'),
        b'{"action":"load","action":"done"}',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"action":"done","id":%s}' % (b"[" * 100_000 + b"]" * 100_000),
        b'{"more":%s,"action":"done"}' % (b"[" * 100_000 + b"]" * 100_000),
        line(KNOWN).replace(b'{"a": 1}', b"[" * 100_000 + b"]" * 100_000),
        line(CONTENT).replace(b"{}", b'{"a":%s}' % (b"[" * 100_000)),
    ],
    ids=lambda data: repr(data[:40]),
)
def test_whatever_is_no_message_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_message(data)


@pytest.mark.parametrize("large", [b"x" * 1_000_000, b'{"action":"%s"}' % (b"x" * 1_000_000)])
def test_the_error_stays_short(large: bytes) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode_message(large)
    assert len(str(caught.value)) < 200


def test_of_members_given_twice_the_last_one_counts() -> None:
    data = b'{"action":"load","id":"a","id":"b","header":true,"sessions":{"s":1,"s":2}}'
    assert decode_message(data) == Load("b", True, {"s": 2})


MESSAGES = [LOAD, KNOWN, CONTENT, RECONCILE, ACK, {"action": "done"}]
nearly = st.builds(
    lambda message, more: msgspec.json.encode(message | more),
    st.sampled_from(MESSAGES),
    st.dictionaries(
        st.sampled_from(["action", "id", "header", "sessions", "new", "values", "isCorrection"]),
        json_values,
        max_size=3,
    ),
)
cut = st.builds(lambda data, at: data[:at], nearly, st.integers(0, 200))
damaged = st.builds(
    lambda data, at, byte: data[:at] + bytes([byte]) + data[at + 1 :],
    nearly,
    st.integers(0, 100),
    st.integers(0, 255),
)


@given(st.one_of(st.binary(), st.builds(msgspec.json.encode, json_values), nearly, cut, damaged))
@example(b'{"action":"content","id":"a","new":{"s":"\xff"}}')
@example(b'{"action":"known","id":"a","header":true,"sessions":{"\xff":1}}')
def test_no_bytes_do_worse_than_be_malformed(data: bytes) -> None:
    try:
        message = decode_message(data)
    except MalformedMessage:
        return
    assert isinstance(message, Load | Known | Content | Done | Reconcile | ReconcileAck)
    if isinstance(message, Known):
        try_sessions(message.sessions)
    if isinstance(message, Content):
        for raw in message.new.values():
            try_session_content(raw)


def try_sessions(raw: msgspec.Raw) -> None:
    try:
        sessions = decode_sessions(raw)
    except MalformedMessage:
        return
    assert all(0 <= count <= MAX_COUNT for count in sessions.values())


def try_session_content(raw: msgspec.Raw) -> None:
    try:
        part = decode_session_content(raw)
    except MalformedMessage:
        return
    assert part.after >= 0


@given(st.binary() | st.builds(msgspec.json.encode, json_values))
def test_no_part_of_a_message_does_worse(data: bytes) -> None:
    try_sessions(msgspec.Raw(data))
    try_session_content(msgspec.Raw(data))


@given(st.dictionaries(st.sampled_from(list(SESSION)), json_values), st.binary(max_size=3))
def test_no_content_of_a_session_does_worse(members: Json, tail: bytes) -> None:
    try_session_content(msgspec.Raw(msgspec.json.encode(SESSION | members) + tail))


@given(st.lists(transactions, max_size=4), st.integers(0, MAX_COUNT), text)
def test_the_content_of_a_session_is_read_as_it_was_written(
    made: list[Json], after: int, signature: str
) -> None:
    written = {"lastSignature": signature, "newTransactions": made, "after": after}
    part = decode_session_content(msgspec.Raw(json.dumps(written).encode()))
    assert (part.after, part.lastSignature) == (after, signature)
    assert part.newTransactions == [decoded(each) for each in made]


@given(text, st.booleans(), session_counts)
def test_a_load_is_read_as_it_was_written(covalue_id: str, header: bool, held: Sessions) -> None:
    data = encode_load(covalue_id, header, held)
    assert b"\n" not in data
    assert decode_message(data) == Load(covalue_id, header, held)


@given(text, st.booleans(), session_counts, st.booleans())
def test_a_known_is_read_as_it_was_written(
    covalue_id: str, header: bool, held: Sessions, correction: bool
) -> None:
    data = encode_known(covalue_id, header, held, correction=correction)
    message = decode_message(data)
    assert isinstance(message, Known)
    assert (message.id, message.header, message.isCorrection) == (covalue_id, header, correction)
    assert decode_sessions(message.sessions) == held
    assert ("isCorrection" in json.loads(data)) is correction
    assert b"\n" not in data


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encode_load("co_z1", False, {}), LOAD | {"id": "co_z1", "header": False, "sessions": {}}),
        (encode_known(TUNE.id, True, {"a": 1}), KNOWN),
        (encode_known(TUNE.id, True, {"a": 1}, correction=True), KNOWN | {"isCorrection": True}),
        (encode_reconcile_ack("b"), ACK),
        (encode_ping(1795420968497, "x"), {"type": "ping", "time": 1795420968497, "dc": "x"}),
    ],
)
def test_what_the_server_says_is_what_jazz_expects(data: bytes, expected: Json) -> None:
    assert json.loads(data) == expected
