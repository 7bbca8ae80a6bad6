"""Content on its way out: chunks of stored sessions, joined into messages of about 100 KB.

A chunk is a run of one session's transactions with the signature after its last one: what was
verified and stored together. A message can only end where a signature stands, so chunks are joined,
never cut, except at their front, where the receiver may hold some of it already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from protocol.header import Header
from protocol.known_state import Sessions
from protocol.session_log import PIECE_BYTES

_split: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_quote: Final = msgspec.json.Encoder().encode


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """Consecutive transactions of one session that one signature closes."""

    session: str
    first: int
    """Index of the first transaction in its session."""
    count: int
    signature: str
    """The signature after the last one."""
    data: bytes
    """The canonical texts, joined by commas."""


def split_transactions(data: bytes) -> list[bytes]:
    """The canonical texts in a chunk's data, one by one."""
    return [bytes(raw) for raw in _split(b"[" + data + b"]")]


def without_first(chunk: Chunk, count: int) -> Chunk:
    """The chunk less its first `count` transactions, for someone who holds those."""
    rest = split_transactions(chunk.data)[count:]
    return Chunk(chunk.session, chunk.first + count, len(rest), chunk.signature, b",".join(rest))


def joined(chunks: Sequence[Chunk]) -> Chunk:
    """Adjacent chunks of one session as one. The signatures between them are given up."""
    first, last = chunks[0], chunks[-1]
    if first is last:
        return first
    return Chunk(
        first.session,
        first.first,
        last.first + last.count - first.first,
        last.signature,
        b",".join([chunk.data for chunk in chunks]),
    )


def encode_content(
    header: Header,
    chunks: Iterable[Chunk],
    *,
    with_header: bool,
    expect_until: Sessions | None = None,
) -> bytes:
    """One `content` message, at most one chunk a session, as UTF-8 JSON without a newline.

    `expect_until` announces, on the first of several messages, the counts that the sessions will
    have after the last of them (cojson `newContentSince`).
    """
    opening = b'{"action":"content","id":"%b","priority":%d'
    parts = [opening % (header.id.encode(), header.priority)]
    if with_header:
        parts += [b',"header":', header.canonical]
    if expect_until is not None:
        parts += [b',"expectContentUntil":', _quote(expect_until)]
    parts.append(b',"new":{')
    for index, chunk in enumerate(chunks):
        parts += [
            b',"' if index else b'"',
            chunk.session.encode(),
            b'":{"after":%d,"newTransactions":[' % chunk.first,
            chunk.data,
            b'],"lastSignature":"',
            chunk.signature.encode(),
            b'"}',
        ]
    parts.append(b"}}")
    return b"".join(parts)


class PieceBuilder:
    """Joins chunks, given session by session in order, into messages of about 100 KB.

    A message grows until the next chunk would take it past `PIECE_BYTES`; a chunk that is larger by
    itself travels alone. Only the first message holds the header (if asked) and, if it is not the
    only one, `expectContentUntil`.
    """

    def __init__(self, header: Header, *, with_header: bool, expect_until: Sessions | None) -> None:
        self._header = header
        self._with_header = with_header
        self._expect_until = expect_until
        self._runs: list[list[Chunk]] = []
        self._size = 0

    def add(self, chunk: Chunk) -> bytes | None:
        """Take in the next chunk; return a message if one became complete before it."""
        piece = None
        if self._runs and self._size + len(chunk.data) > PIECE_BYTES:
            piece = self._emit(last=False)
        if self._runs and self._runs[-1][0].session == chunk.session:
            self._runs[-1].append(chunk)
        else:
            self._runs.append([chunk])
        self._size += len(chunk.data)
        return piece

    def header(self) -> bytes | None:
        """The header by itself, if it is still to be sent: ahead of the first chunk only."""
        return self._emit(last=not self._expect_until) if self._with_header else None

    def end(self) -> bytes | None:
        """The last message, if there is anything left to say."""
        return self._emit(last=True) if self._runs or self._with_header else None

    def _emit(self, *, last: bool) -> bytes:
        piece = encode_content(
            self._header,
            map(joined, self._runs),
            with_header=self._with_header,
            expect_until=None if last else self._expect_until,
        )
        self._runs, self._size = [], 0
        self._with_header, self._expect_until = False, None
        return piece
