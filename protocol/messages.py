"""Messages: what peers say to each other (cojson `sync.ts`, `SyncMessage`).

Decoding is two-staged, because most of a message is not looked at most of the time: the envelope is
typed here, headers, sessions of a `known` and the content of each session stay bytes until someone
needs them. So one bad session never takes the rest of its message with it, either.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from protocol.errors import MalformedMessage, shown
from protocol.known_state import Sessions
from protocol.transaction import Transaction

MAX_COUNT: Final = 2**53 - 1
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]


class Load(msgspec.Struct, tag_field="action", tag="load", gc=False):
    """I want this CoValue, and this is what I hold of it."""

    id: str
    header: bool
    sessions: dict[str, Count]


class Known(msgspec.Struct, tag_field="action", tag="known", gc=False):
    """This is what I hold: an answer to `load`, an acknowledgement, or a correction."""

    id: str
    header: bool
    sessions: msgspec.Raw
    isCorrection: bool = False  # noqa: N815


class _OutgoingKnown(msgspec.Struct, tag_field="action", tag="known", gc=False, omit_defaults=True):
    id: str
    header: bool
    sessions: Sessions
    isCorrection: bool = False  # noqa: N815


class Content(msgspec.Struct, tag_field="action", tag="content", gc=False, omit_defaults=True):
    """New transactions, per session, and the header if the receiver may lack it."""

    id: str
    new: dict[str, msgspec.Raw]
    header: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Done(msgspec.Struct, tag_field="action", tag="done", gc=False):
    """Legacy; means nothing."""

    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Reconcile(msgspec.Struct, tag_field="action", tag="reconcile", gc=False):
    """0.20: here are values that I have stored, each with the hash of its known sessions."""

    id: str
    values: list[tuple[str, str]]


class ReconcileAck(msgspec.Struct, tag_field="action", tag="reconcile-ack", gc=False):
    """0.20: each value of that batch was answered."""

    id: str


class SessionContent(msgspec.Struct, gc=False):
    """One session's part of a `content`: transactions from index `after` on."""

    after: Count
    newTransactions: list[Transaction]  # noqa: N815
    lastSignature: str  # noqa: N815


Message: TypeAlias = Load | Known | Content | Done | Reconcile | ReconcileAck

_decode_message: Final = msgspec.json.Decoder(Message).decode
_decode_session: Final = msgspec.json.Decoder(SessionContent).decode
_decode_sessions: Final = msgspec.json.Decoder(dict[str, Count]).decode
_encode: Final = msgspec.json.Encoder().encode
_MALFORMED: Final = (msgspec.MsgspecError, RecursionError, UnicodeError)


def decode_message(line: bytes) -> Message:
    """Read one message. Raises `MalformedMessage` for anything else, an unknown action included."""
    try:
        message: Message = _decode_message(line)
    except _MALFORMED as error:
        raise MalformedMessage(f"not a message: {shown(str(error))}") from None
    return message


def decode_session_content(raw: msgspec.Raw) -> SessionContent:
    """Read one session's part of a `content`. Raises `MalformedMessage`."""
    try:
        return _decode_session(raw)
    except _MALFORMED as error:
        raise MalformedMessage(f"not the content of a session: {shown(str(error))}") from None


def decode_sessions(raw: msgspec.Raw) -> Sessions:
    """Read the sessions of a `known`. Raises `MalformedMessage`."""
    try:
        return _decode_sessions(raw)
    except _MALFORMED as error:
        raise MalformedMessage(f"not a known state: {shown(str(error))}") from None


def split_content(message: Content, sessions: int) -> list[Content]:
    """The message as several of at most so many sessions each, which together say the same."""
    ids = list(message.new)
    return [
        Content(message.id, {i: message.new[i] for i in ids[at : at + sessions]}, message.header)
        for at in range(0, len(ids), sessions)
    ]


def encode_load(covalue_id: str, header: bool, sessions: Sessions) -> bytes:
    """A `load`, as UTF-8 JSON without a newline."""
    return _encode(Load(covalue_id, header, sessions))


def encode_known(
    covalue_id: str, header: bool, sessions: Sessions, *, correction: bool = False
) -> bytes:
    """A `known`, as UTF-8 JSON without a newline."""
    return _encode(_OutgoingKnown(covalue_id, header, sessions, correction))


def encode_reconcile_ack(batch: str) -> bytes:
    """A `reconcile-ack` for the batch with that id."""
    return _encode(ReconcileAck(batch))


def encode_ping(time_ms: int, origin: str) -> bytes:
    """A ping: `time_ms` since the epoch (clients may set their clock by it) and who sent it."""
    kind: Literal["ping"] = "ping"
    return _encode({"type": kind, "time": time_ms, "dc": origin})
