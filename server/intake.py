"""Taking in content: from messages to verified chunks, for one CoValue and one turn.

All content for one session that waits together is taken together: the hash chain is extended over
all of it and only the last signature is checked, which covers everything before it. Only if that
fails is each message checked by itself, so that a forged one costs nobody but its sender. What is
kept ends at a signature about every 100 KB, because a session can be sent onwards only up to a
signature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

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
from protocol.transaction import Transaction, canonical_transactions
from server.covalue import CoValue, Item, Writer
from server.peer import Peer

_NOTHING: Final[AbstractSet[str]] = frozenset()
_DEPENDENCIES: Final = 10_000
"""That one message may bring; Jazz's have a few, as they end at about 100 KB."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One message's part about one session."""

    peer: Peer
    session: str
    after: int
    end: int
    """The number of transactions that the sender holds of this session."""
    transactions: list[Transaction]
    canonical: list[bytes]
    signature: str
    names: AbstractSet[str]
    """Members and parents that transactions of a group name."""


class Parsed(msgspec.Struct):
    """One `content` message, decoded. Sessions that make no sense are left out."""

    item: Item
    header: Header | None
    entries: list[Entry]
    dependencies: AbstractSet[str]
    """What it may bring that its CoValue did not depend on before, and what its header names."""
    errors: list[ProtocolError]
    headless: bool = False
    """Whether it came before the header of its CoValue: nothing of it can be taken."""

    @property
    def peer(self) -> Peer:
        """Who sent it."""
        return self.item.peer


class Outcome(msgspec.Struct):
    """What became of the content of one turn."""

    chunks: list[Chunk] = msgspec.field(default_factory=list)
    """What is new, verified, in the order of its acceptance."""
    sent: dict[Peer, Sessions] = msgspec.field(default_factory=dict)
    """Up to where each peer proved to hold each session."""
    gaps: set[Peer] = msgspec.field(default_factory=set)
    """Whose content began after the end of what is held."""
    errors: list[tuple[Peer, ProtocolError]] = msgspec.field(default_factory=list)
    transactions: int = 0


def parse_content(covalue: CoValue, header: Header | None, item: Item, message: Content) -> Parsed:
    """Decode a message against what is known of its CoValue.

    `header` is the one that earlier content of this turn brought. Raises `InvalidHeader` if the
    CoValue is new and the message's header is not its own, and `ProtocolError` if what is stored
    of it is damaged, or if it names too many others.
    """
    if covalue.lost:
        raise ProtocolError("what is stored of it is damaged: nothing can be added")
    known = covalue.header
    if known is None:
        if header is None and isinstance(message.header, msgspec.Raw):
            header = parse_header(covalue.id, bytes(message.header))
        known = header
    parsed = Parsed(item, header, [], set(header.dependencies) if header else _NOTHING, [])
    if known is None:
        parsed.headless = True
        return parsed
    for session, raw in message.new.items():
        try:
            if session in covalue.cut:
                raise ProtocolError(f"{session} is damaged: nothing can be added")
            entry = _parse_session(covalue, item.peer, session, raw, known.is_group)
        except ProtocolError as error:
            parsed.errors.append(error)
            continue
        parsed.entries.append(entry)
        if entry.names:
            parsed.dependencies |= entry.names
        if session not in covalue.counts:
            dependency = session_dependency(session)
            if dependency is not None:
                parsed.dependencies |= {dependency}
    if covalue.id in parsed.dependencies:
        parsed.dependencies -= {covalue.id}
    if len(parsed.dependencies) > _DEPENDENCIES:
        raise ProtocolError(f"{len(parsed.dependencies)} others are named in one message")
    return parsed


def _parse_session(
    covalue: CoValue, peer: Peer, session: str, raw: msgspec.Raw, is_group: bool
) -> Entry:
    if session not in covalue.counts:
        parse_session_id(session)
    content = decode_session_content(raw)
    transactions = content.newTransactions
    return Entry(
        peer,
        session,
        content.after,
        content.after + len(transactions),
        transactions,
        canonical_transactions(transactions),
        content.lastSignature,
        group_dependencies(transactions) if is_group else _NOTHING,
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


def take_content(
    covalue: CoValue, parsed: Sequence[Parsed], signer_of: Callable[[str], bytes | None]
) -> Outcome:
    """Verify and accept what the messages bring, advancing the CoValue's counts and hashes.

    Live sessions only; delete sessions go through `take_deletion`. `signer_of` gives the public key
    of an author's sessions; `None` says that it is no account, and nothing of it is accepted.
    """
    outcome = Outcome()
    sessions: dict[str, list[Entry]] = {}
    for item in parsed:
        outcome.sent.setdefault(item.peer, {})
        if item.headless:
            outcome.gaps.add(item.peer)
        if item.errors:
            outcome.errors += [(item.peer, error) for error in item.errors]
        for entry in item.entries:
            if entry.session[-1] != "$":
                sessions.setdefault(entry.session, []).append(entry)
    for session, entries in sessions.items():
        writer = covalue.writers.get(session)
        if writer is None and not covalue.counts.get(session):
            signer = signer_of(parse_session_id(session).author)
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
        texts: list[bytes] = []
        size, end, signature, stop = 0, held, "", index
        for entry in entries[index:] if index else entries:
            if entry.after <= end < entry.end:
                fresh = entry.canonical
                if entry.after < end:
                    fresh = fresh[end - entry.after :]
                length = len(fresh[0]) if len(fresh) == 1 else sum(map(len, fresh))
                if texts and size + length > PIECE_BYTES:
                    break
                texts += fresh
                size += length
                end = entry.end
                signature = entry.signature
            elif entry.after > end:
                # What closes the gap may follow in this very run; it was not taken all the same.
                outcome.gaps.add(entry.peer)
            stop += 1
            if size >= PIECE_BYTES:
                break
        run = entries[index:stop]
        index = stop
        if texts and writer is not None:
            writer = _extend(covalue, writer, session, texts, signature, run, outcome)
            if covalue.counts.get(session, 0) == held and len(run) > 1:
                # One of them is forged; each for itself, as their overlaps may differ now.
                for entry in run:
                    writer = _take_one(covalue, session, writer, entry, outcome)
                continue
        _note(covalue, session, run, outcome)


def _take_one(
    covalue: CoValue, session: str, writer: Writer, entry: Entry, outcome: Outcome
) -> Writer:
    held = covalue.counts.get(session, 0)
    if entry.after <= held < entry.end:
        texts = entry.canonical[held - entry.after :]
        writer = _extend(covalue, writer, session, texts, entry.signature, [entry], outcome)
    _note(covalue, session, [entry], outcome)
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


def _note(covalue: CoValue, session: str, entries: list[Entry], outcome: Outcome) -> None:
    """Remember what the entries, all of one session, say about their senders."""
    held = covalue.counts.get(session, 0)
    for entry in entries:
        if entry.after > held:
            outcome.gaps.add(entry.peer)
        elif entry.end <= held:
            sent = outcome.sent[entry.peer]
            if entry.end > sent.get(session, -1):
                sent[session] = entry.end


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
    _note(covalue, entry.session, [entry], outcome)
    return len(outcome.chunks) > before
