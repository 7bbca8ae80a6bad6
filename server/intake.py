"""Taking in content: from messages to verified chunks, for one CoValue and one turn.

All content for one session that waits together is taken together: the hash chain is extended over
all of it and only the last signature is checked, which covers everything before it. Only if that
fails is each message checked by itself, so that a forged one costs nobody but its sender. What is
kept ends at a signature about every 100 KB, because a session can be sent onwards only up to a
signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from protocol.content import Chunk
from protocol.deletion import check_deletion
from protocol.dependencies import group_dependencies, session_dependency
from protocol.errors import ProtocolError
from protocol.header import Header, parse_header
from protocol.ids import parse_session_id
from protocol.known_state import Sessions
from protocol.messages import Content, decode_session_content
from protocol.session_log import PIECE_BYTES, Chain, extended
from protocol.transaction import Transaction, canonical_transaction, check_transaction
from server.covalue import CoValue, Writer
from server.peer import Peer

_NOTHING: Final[set[str]] = set()
_DEPENDENCIES: Final = 10_000
"""That one message may bring; Jazz's have a few, as they end at about 100 KB."""


class Entry(NamedTuple):
    """One message's part about one session."""

    peer: Peer
    session: str
    after: int
    transactions: list[Transaction]
    canonical: list[bytes]
    signature: str
    names: set[str]
    """Members and parents that transactions of a group name."""

    @property
    def end(self) -> int:
        """The number of transactions that the sender holds of this session."""
        return self.after + len(self.canonical)


@dataclass(slots=True)
class Parsed:
    """One `content` message, decoded. Sessions that make no sense are left out."""

    peer: Peer
    header: Header | None
    entries: list[Entry]
    dependencies: set[str]
    errors: list[ProtocolError]
    size: int


@dataclass(slots=True)
class Outcome:
    """What became of the content of one turn."""

    chunks: list[Chunk] = field(default_factory=list)
    """What is new, verified, in the order of its acceptance."""
    sent: dict[Peer, Sessions] = field(default_factory=dict)
    """Up to where each peer proved to hold each session."""
    gaps: set[Peer] = field(default_factory=set)
    """Whose content began after the end of what is held."""
    errors: list[tuple[Peer, ProtocolError]] = field(default_factory=list)
    transactions: int = 0


def parse_content(
    covalue: CoValue, header: Header | None, peer: Peer, message: Content, size: int
) -> Parsed:
    """Decode a message against what is known of its CoValue.

    `header` is the one that earlier content of this turn brought. Raises `InvalidHeader` if the
    CoValue is new and the message's header is not its own, and `ProtocolError` if it names too many
    others.
    """
    if covalue.header is None and header is None and isinstance(message.header, msgspec.Raw):
        header = parse_header(covalue.id, bytes(message.header))
    known = covalue.header or header
    parsed = Parsed(peer, header, [], set(header.dependencies) if header else set(), [], size)
    if known is None:
        return parsed
    for session, raw in message.new.items():
        try:
            entry = _parse_session(peer, session, raw, known)
            if session not in covalue.counts:
                dependency = session_dependency(session)
                if dependency is not None:
                    parsed.dependencies.add(dependency)
            parsed.dependencies |= entry.names
            parsed.entries.append(entry)
        except ProtocolError as error:
            parsed.errors.append(error)
    parsed.dependencies.discard(covalue.id)
    if len(parsed.dependencies) > _DEPENDENCIES:
        raise ProtocolError(f"{len(parsed.dependencies)} others are named in one message")
    return parsed


def _parse_session(peer: Peer, session: str, raw: msgspec.Raw, header: Header) -> Entry:
    parse_session_id(session)
    content = decode_session_content(raw)
    for transaction in content.newTransactions:
        check_transaction(transaction)
    canonical = [canonical_transaction(t) for t in content.newTransactions]
    return Entry(
        peer,
        session,
        content.after,
        content.newTransactions,
        canonical,
        content.lastSignature,
        group_dependencies(content.newTransactions) if header.is_group else _NOTHING,
    )


def unhashed_sessions(covalue: CoValue, parsed: Sequence[Parsed]) -> set[str]:
    """Sessions that the content extends and whose running hash is not in memory."""
    counts, writers = covalue.counts, covalue.writers
    return {
        entry.session
        for item in parsed
        for entry in item.entries
        if entry.session in counts
        and entry.session not in writers
        and entry.after <= counts[entry.session] < entry.end
    }


def take_content(covalue: CoValue, parsed: Sequence[Parsed], signers: dict[str, bytes]) -> Outcome:
    """Verify and accept what the messages bring, advancing the CoValue's counts and hashes.

    Live sessions only; delete sessions go through `take_deletion`. `signers` maps each author to
    the public key of its sessions; authors that are absent are not accounts, and nothing of theirs
    is accepted.
    """
    outcome = Outcome()
    sessions: dict[str, list[Entry]] = {}
    for item in parsed:
        outcome.sent.setdefault(item.peer, {})
        outcome.errors += [(item.peer, error) for error in item.errors]
        for entry in item.entries:
            if entry.session[-1] != "$":
                sessions.setdefault(entry.session, []).append(entry)
    for session, entries in sessions.items():
        writer = covalue.writers.get(session)
        if writer is None and not covalue.counts.get(session):
            signer = signers.get(parse_session_id(session).author)
            if signer is None:
                error = ProtocolError(f"{session} is not authored by an account or agent")
                outcome.errors += [(entry.peer, error) for entry in entries]
                continue
            writer = Writer(Chain(), signer)
        _take_session(covalue, session, writer, entries, outcome)
    return outcome


def _take_session(
    covalue: CoValue, session: str, writer: Writer | None, entries: list[Entry], outcome: Outcome
) -> None:
    """Accept what fits of the entries, in their order; a run of them at a time."""
    index = 0
    while index < len(entries):
        held = covalue.counts.get(session, 0)
        run: list[Entry] = []
        texts: list[bytes] = []
        size, end, signature = 0, held, ""
        while index + len(run) < len(entries) and size < PIECE_BYTES:
            entry = entries[index + len(run)]
            run.append(entry)
            if entry.after <= end < entry.end:
                fresh = entry.canonical[end - entry.after :]
                length = sum(map(len, fresh))
                if texts and size + length > PIECE_BYTES:
                    run.pop()
                    break
                texts += fresh
                size += length
                end = entry.end
                signature = entry.signature
        if texts and writer is not None:
            writer = _extend(covalue, writer, session, texts, signature, run, outcome)
            if covalue.counts.get(session, 0) == held and len(run) > 1:
                # One of them is forged; each for itself, as their overlaps may differ now.
                for entry in run:
                    writer = _take_one(covalue, session, writer, entry, outcome)
                index += len(run)
                continue
        for entry in run:
            _note(covalue, entry, outcome)
        index += len(run)


def _take_one(
    covalue: CoValue, session: str, writer: Writer, entry: Entry, outcome: Outcome
) -> Writer:
    held = covalue.counts.get(session, 0)
    if entry.after <= held < entry.end:
        texts = entry.canonical[held - entry.after :]
        writer = _extend(covalue, writer, session, texts, entry.signature, [entry], outcome)
    _note(covalue, entry, outcome)
    return writer


def _extend(
    covalue: CoValue,
    writer: Writer,
    session: str,
    texts: list[bytes],
    signature: str,
    run: list[Entry],
    outcome: Outcome,
) -> Writer:
    """Append `texts` if `signature` holds over them; else leave everything as it is."""
    chain = extended(writer.chain, writer.signer, texts, signature)
    if chain is None:
        if len(run) == 1:
            error = ProtocolError(f"the signature over {session} does not hold")
            outcome.errors.append((run[0].peer, error))
        return writer
    held = covalue.counts.get(session, 0)
    data = b",".join(texts)
    outcome.chunks.append(Chunk(session, held, len(texts), signature, data))
    outcome.transactions += len(texts)
    usage = run[-1].peer.usage
    usage.transactions += len(texts)
    usage.bytes_stored += len(data)
    covalue.counts[session] = held + len(texts)
    writer = covalue.writers[session] = Writer(chain, writer.signer)
    return writer


def _note(covalue: CoValue, entry: Entry, outcome: Outcome) -> None:
    """Remember what the entry says about its sender."""
    held = covalue.counts.get(entry.session, 0)
    if entry.after > held:
        outcome.gaps.add(entry.peer)
    elif entry.end <= held:
        sent = outcome.sent[entry.peer]
        sent[entry.session] = max(entry.end, sent.get(entry.session, 0))


def take_deletion(covalue: CoValue, entry: Entry, signer: bytes, outcome: Outcome) -> bool:
    """Verify a delete session by an admin. Returns whether the CoValue is now to be erased.

    A delete session that is held already counts as sent and changes nothing.
    """
    assert covalue.header is not None
    held = covalue.counts.get(entry.session, 0)
    if held and entry.end <= held:
        outcome.sent[entry.peer][entry.session] = entry.end
        return False
    try:
        check_deletion(covalue.header, held, entry.transactions)
    except ProtocolError as error:
        outcome.errors.append((entry.peer, error))
        return False
    writer = Writer(Chain(), signer)
    before = len(outcome.chunks)
    _extend(covalue, writer, entry.session, entry.canonical, entry.signature, [entry], outcome)
    _note(covalue, entry, outcome)
    return len(outcome.chunks) > before
