"""Texts that must have one spelling: ids, base58, canonical JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import base58
import msgspec

from protocol.base58 import b58decode, b58encode
from protocol.canonical import canonical_json, js_number
from protocol.errors import InvalidId, MalformedMessage
from protocol.ids import is_agent_id, is_covalue_id, parse_session_id, signature_bytes, signer_key


def ids(data: bytes) -> None:
    """An id that is taken is the only spelling of its bytes, as the `base58` package reads them."""
    text = data.decode(errors="replace")
    if is_covalue_id(text):
        assert text == "co_z" + _b58(base58.b58decode(text[4:]))
        assert len(base58.b58decode(text[4:])) == 19
    if is_agent_id(text):
        _signer(text)
    try:
        session = parse_session_id(text)
    except InvalidId as error:
        assert len(str(error)) < 400
    else:
        author, mark, rest = text.rpartition("_session_")
        assert (author, mark) == (session.author, "_session_")
        assert rest[0] == "d" if session.deletes else rest[0] == "z"
        assert rest.endswith("$") == session.deletes
        assert is_covalue_id(author) or is_agent_id(author)
    try:
        signature = signature_bytes(text)
    except InvalidId:
        return
    assert text == "signature_z" + _b58(signature)
    assert len(signature) == 64


def _signer(text: str) -> None:
    try:
        key = signer_key(text)
    except InvalidId:
        return
    assert len(key) == 32
    assert text.endswith("/signer_z" + _b58(key))


def _b58(data: bytes) -> str:
    return base58.b58encode(data).decode()


def base58_(data: bytes) -> None:
    """Encoded and decoded as the `base58` package does, to one length and one spelling only."""
    # Callers never let more than 100 characters through.
    data = data[:100]
    text = b58encode(data)
    assert text == _b58(data)
    assert b58decode(text, len(data)) == data
    for length in (len(data) - 1, len(data) + 1):
        if length >= 0:
            _is_refused(text, length)
    taken = data.decode("latin-1")
    try:
        theirs = base58.b58decode(taken.encode("latin-1"))
    except ValueError:
        _is_refused(taken, len(data))
        return
    if _b58(theirs) == taken:
        assert b58decode(taken, len(theirs)) == theirs
    else:
        _is_refused(taken, len(theirs))


def _is_refused(text: str, length: int) -> None:
    try:
        b58decode(text, length)
    except InvalidId:
        return
    raise AssertionError(f"{text!r} is no {length} bytes")


def canonical(data: bytes) -> None:
    """Canonical JSON says what was said, once and for all, sorted as JavaScript sorts."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return
    try:
        text = canonical_json(value)
    except MalformedMessage:
        return
    again = msgspec.json.decode(text)
    assert canonical_json(again) == text
    assert json.loads(text, parse_int=float) == _as_javascript(value)
    assert len(text) <= 25 * len(data)
    _check_order(json.loads(text, object_pairs_hook=Pairs))


class Pairs(list[tuple[str, Any]]):
    """The members of an object in the order of the text."""


def _check_order(value: Any) -> None:
    if isinstance(value, Pairs):
        keys = [key for key, _ in value]
        assert keys == sorted(set(keys), key=lambda key: key.encode("utf-16-be"))
        for _, member in value:
            _check_order(member)
    elif isinstance(value, list):
        for member in value:
            _check_order(member)


def _as_javascript(value: Any) -> Any:
    """A value as JavaScript has it: numbers are doubles, and infinite ones are written `null`."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            return None
        written = js_number(value)
        assert written == "null" or float(written) == number
        # ECMA-262, Number::toString.
        plain = number == 0 or 1e-6 <= abs(number) < 1e21
        assert written == "null" or plain == ("e" not in written)
        return number if math.isfinite(number) else None
    if isinstance(value, list):
        return [_as_javascript(member) for member in value]
    if isinstance(value, dict):
        return {key: _as_javascript(member) for key, member in value.items()}
    return value
