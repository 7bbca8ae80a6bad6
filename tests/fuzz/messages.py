"""What peers say: frames, messages, headers, the content of sessions, deletion markers."""

from __future__ import annotations

import json
from typing import Any

import base58
import msgspec
from blake3 import blake3

from protocol.canonical import canonical_json
from protocol.content import split_transactions
from protocol.deletion import check_deletion
from protocol.dependencies import changes_value, group_dependencies, map_sets
from protocol.errors import InvalidHeader, InvalidTransaction, ProtocolError
from protocol.frames import FRAME_BYTES, join_frames, split_frame
from protocol.header import parse_header, stored_header
from protocol.messages import (
    Content,
    Known,
    Load,
    Reconcile,
    ReconcileAck,
    decode_message,
    decode_session_content,
    decode_sessions,
    encode_known,
    encode_load,
    encode_reconcile_ack,
)
from protocol.transaction import (
    Transaction,
    canonical_transaction,
    transaction_size,
)
from tests.signing import CoValue, canonical, owned_map

VALUE: CoValue = owned_map("co_z" + "1" * 19)


def frames(data: bytes) -> None:
    """Lines come apart and together again; frames keep to their size, and to the order."""
    lines = split_frame(data)
    assert all(line.strip() and b"\n" not in line for line in lines)
    assert b"\n".join(lines).split() == data.split()
    assert split_frame(b"\n".join(lines)) == lines
    for limit in (FRAME_BYTES, 10):
        joined = list(join_frames(lines, limit))
        assert [line for frame in joined for line in split_frame(frame)] == lines
        assert all(len(frame) <= limit or b"\n" not in frame for frame in joined)


def messages(data: bytes) -> None:
    """What is taken for a message says the same to another JSON reader, and is said again alike.

    What would be passed on (sessions, transactions) is UTF-8 and JSON whatever came in.
    """
    try:
        message = decode_message(data)
    except ProtocolError as error:
        assert len(str(error)) < 400
        return
    if isinstance(message, Load):
        again = decode_message(encode_load(message.id, message.header, message.sessions))
        assert again == message
    elif isinstance(message, ReconcileAck):
        assert decode_message(encode_reconcile_ack(message.id)) == message
    elif isinstance(message, Known):
        _known(message)
    elif isinstance(message, Content):
        for raw in message.new.values():
            session(bytes(raw))
        if isinstance(message.header, msgspec.Raw):
            header(bytes(message.header))
    said = _by_json(data)
    if said is None:
        return
    if isinstance(message, Load | Known | Content | Reconcile | ReconcileAck):
        assert said["id"] == message.id
    if isinstance(message, Load):
        assert said["sessions"] == message.sessions
    elif isinstance(message, Content):
        assert said["new"].keys() == message.new.keys()
    elif isinstance(message, Reconcile):
        assert said["values"] == [list(value) for value in message.values]


def _known(message: Known) -> None:
    try:
        sessions = decode_sessions(message.sessions)
    except ProtocolError:
        return
    said = encode_known(message.id, message.header, sessions, correction=message.isCorrection)
    again = decode_message(said)
    assert isinstance(again, Known)
    assert (again.id, again.header) == (message.id, message.header)
    assert again.isCorrection == message.isCorrection
    assert decode_sessions(again.sessions) == sessions
    assert json.loads(said)["sessions"] == sessions


def _by_json(data: bytes) -> dict[str, Any] | None:
    """The message as the standard library reads it, if it does: lone surrogates it takes alone."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        # Members that nobody looks at are not looked at.
        return None
    assert isinstance(said, dict)
    return said


def session(data: bytes) -> None:
    """A session's content: what is hashed is what another writer of canonical JSON writes."""
    try:
        content = decode_session_content(msgspec.Raw(data))
    except ProtocolError:
        return
    texts = []
    for each in content.newTransactions:
        try:
            text = canonical_transaction(each)
        except InvalidTransaction:
            continue
        members = msgspec.to_builtins(each)
        assert json.loads(text) == members
        # The standard library writes strings as JavaScript does.
        assert canonical(members) == text
        assert transaction_size(each) <= len(text)
        assert msgspec.json.decode(text, type=Transaction) == each
        texts.append(text)
    assert split_transactions(b",".join(texts)) == texts
    for name in group_dependencies(content.newTransactions):
        assert any(name in str(each.changes) for each in content.newTransactions)
    deletion(data)


def deletion(data: bytes) -> None:
    """A deletion is exactly one trusting transaction whose meta names the value."""
    try:
        content = decode_session_content(msgspec.Raw(data))
    except ProtocolError:
        return
    owned = stored_header(VALUE.id, canonical(VALUE.header))
    transactions = content.newTransactions
    try:
        check_deletion(owned, 0, transactions)
    except InvalidTransaction:
        return
    (marker,) = transactions
    assert marker.privacy == "trusting"
    assert isinstance(marker.meta, str)
    assert json.loads(marker.meta)["deleted"] == VALUE.id
    try:
        check_deletion(owned, 1, transactions)
    except InvalidTransaction:
        return
    raise AssertionError("deleted twice in one session")


def header(data: bytes) -> None:
    """A header is taken under one id only; its text is settled, and hardly longer than it came."""
    try:
        value = msgspec.json.decode(data)
        identifier = "co_z" + _short_hash(canonical_json(value))
    except (msgspec.MsgspecError, ProtocolError, RecursionError, UnicodeError):
        identifier = VALUE.id
    try:
        parsed = parse_header(identifier, data)
    except InvalidHeader:
        return
    assert parsed.id == identifier
    assert parse_header(identifier, parsed.canonical) == parsed
    assert stored_header(identifier, parsed.canonical) == parsed
    assert canonical_json(msgspec.json.decode(parsed.canonical)) == parsed.canonical
    assert len(parsed.canonical) <= 8 * len(data)
    assert json.loads(parsed.canonical).keys() <= json.loads(data).keys() | {"createdAt"}
    assert all(dependency != identifier for dependency in parsed.dependencies)
    assert parsed.priority in (0, 3, 6)
    try:
        parse_header(VALUE.id, data)
    except InvalidHeader:
        return
    assert identifier == VALUE.id, "a header under two ids"


def _short_hash(text: bytes) -> str:
    return base58.b58encode(blake3(text).digest()[:19]).decode()


def changes(data: bytes) -> None:
    """What a transaction sets is what the standard library reads of it."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    value, sets = changes_value(text), map_sets(text)
    for key, _ in sets:
        assert isinstance(key, str)
    try:
        by_json = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(value, list) and isinstance(by_json, list):
        assert len(value) == len(by_json)
        assert [key for key, _ in sets] == [
            change["key"]
            for change in by_json
            if isinstance(change, dict)
            and change.get("op") == "set"
            and isinstance(change.get("key"), str)
        ]
