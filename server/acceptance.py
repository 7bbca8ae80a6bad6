"""Acceptance: what becomes of the content for one CoValue that arrived in one turn.

Four questions, in this order: is what it depends on held (else ask the sender and park), is what is
needed to judge it in memory (else fetch it), is it verified (`intake`), and who is to learn of it
(the store, the subscribers, the sender).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Iterable
from functools import partial
from typing import Any, Final, TypeAlias

import structlog

from protocol.errors import ProtocolError
from protocol.header import Header
from protocol.ids import parse_session_id, signer_key
from protocol.messages import Content, encode_known
from server.acks import Acknowledger
from server.backpressure import Backpressure
from server.circles import beginning
from server.conduct import Conduct
from server.covalue import Acks, CoValue, Item, Writer
from server.intake import (
    Outcome,
    Parsed,
    parse_content,
    take_content,
    take_deletion,
    unhashed_sessions,
)
from server.journal import Journal
from server.judgement import Judge
from server.parking import Parking
from server.peer import Peer
from server.rehash import rehash
from server.relay import relay
from server.residents import Residents
from server.store.interface import Change
from server.store.patient import PatientReads

log: Final = structlog.get_logger(__name__)

Start = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]
Seen: TypeAlias = dict[str, bytes | None]
"""CoValues that exist, each with its signer if it is an account."""


class Acceptance:
    """Takes in content, a CoValue at a time, with the parts of the node that it is given."""

    def __init__(
        self,
        reads: PatientReads,
        residents: Residents,
        journal: Journal,
        judge: Judge,
        parking: Parking,
        acks: Acknowledger,
        backpressure: Backpressure,
        conduct: Conduct,
        *,
        deliver: Callable[[Peer, CoValue], None],
        first: Callable[[CoValue], None],
        start: Start,
    ) -> None:
        """What to do is the node's, so that this need not know it.

        `deliver` brings a peer in step, `first` has an inbox dealt with at once, `start` starts a
        task.
        """
        self._reads = reads
        self._residents = residents
        self._journal = journal
        self._judge = judge
        self._parking = parking
        self._acks = acks
        self._deliver = deliver
        self._release = backpressure.release
        self._first = first
        self._start = start
        self._conduct = conduct
        self._seen: Seen = {}
        """What exists, though it need not be in memory, of what is being dealt with just now."""
        self.counters = conduct.counters

    def take(self, covalue: CoValue, items: list[Item]) -> bool:
        """Deal with `content` for a resident CoValue.

        Returns `False` if something must be fetched first; then `items` are in the inbox again and
        the CoValue is busy until they can be dealt with.
        """
        contents = self._parse(covalue, items)
        if covalue.parked or any(content.dependencies for content in contents):
            wanted = {d for content in contents for d in content.dependencies}
            if any(d not in self._seen and not self._residents.get(d).resident for d in wanted):
                return self._later(covalue, items, wanted)
            contents = self._park(covalue, contents)
        if not contents:
            return True
        header = covalue.header or next((c.header for c in contents if c.header), None)
        if header is None:
            for content in contents:
                if content.peer not in covalue.starved:
                    content.peer.tell(encode_known(covalue.id, False, {}, correction=True))
                self._release(content.peer, content.item.size)
            return True
        if sessions := unhashed_sessions(covalue, contents):
            authors = {parse_session_id(session).author for session in sessions}
            accounts = [author for author in authors if author.startswith("co_z")]
            fetch = partial(self._rehash, covalue, sessions)
            return self._later(covalue, [c.item for c in contents], accounts, fetch)
        if questions := self._unjudged(covalue, header, contents):
            ask = partial(self._ask_judge, covalue, header, questions)
            return self._later(covalue, [c.item for c in contents], (), ask)
        self._accept(covalue, header, contents)
        return True

    def _parse(self, covalue: CoValue, items: Iterable[Item]) -> list[Parsed]:
        parsed: list[Parsed] = []
        header: Header | None = None
        for item in items:
            message = item.message
            assert isinstance(message, Content)
            try:
                content = parse_content(covalue, header, item, message)
                header = content.header
            except ProtocolError as error:
                self._refuse(covalue, item.peer, error)
                self._release(item.peer, item.size)
            else:
                parsed.append(content)
        return parsed

    def _later(
        self,
        covalue: CoValue,
        items: list[Item],
        dependencies: Collection[str],
        fetch: Callable[[Seen], Coroutine[Any, Any, None]] | None = None,
    ) -> bool:
        """Put `items` back until the dependencies were looked for and `fetch` is through."""
        covalue.inbox[:0] = items
        covalue.busy = True

        async def work() -> None:
            seen, absent = await self._look_for(dependencies)
            # What is absent is kept, so that it cannot be created and be let go of meanwhile.
            async with self._residents.held([covalue.id, *absent]):
                try:
                    if fetch is not None:
                        await fetch(seen)
                finally:
                    covalue.busy = False
                # Now, while all of it is surely here.
                self._seen = seen
                try:
                    self._first(covalue)
                finally:
                    self._seen = {}

        self._start(work)
        return False

    async def _look_for(self, ids: Collection[str]) -> tuple[Seen, list[str]]:
        """Which of these exist, with their signers, and which do not."""
        seen: Seen = {}
        absent: list[str] = []

        def look_at(covalue: CoValue) -> None:
            if covalue.header is None:
                absent.append(covalue.id)
            else:
                seen[covalue.id] = covalue.header.signer

        await self._residents.look_through(ids, look_at)
        return seen, absent

    def _park(self, covalue: CoValue, contents: Iterable[Parsed]) -> list[Parsed]:
        """Park what lacks a dependency; return the rest."""
        ready: list[Parsed] = []
        for content in contents:
            item, peer = content.item, content.peer
            missing = {d for d in content.dependencies if not self._exists(d)}
            # What was looked for first may have been created while others were.
            missing = {d for d in missing if self._residents.get(d).header is None}
            if missing or (not item.woken and self._parking.holds(covalue, peer)):
                self._release(peer, item.size)
                if peer.closed:
                    continue
                self._conduct.note(item.peer, "parked", "content.parked", covalue=covalue.id)
                self._parking.park(covalue, item, missing)
                if missing:
                    self._break_circle(covalue, content)
            else:
                ready.append(content)
        return ready

    def _exists(self, covalue_id: str) -> bool:
        if covalue_id in self._seen:
            return True
        covalue = self._residents.get(covalue_id)
        if covalue.header is None and covalue.inbox:
            # It may be created by what arrived in this very turn.
            self._first(covalue)
        return covalue.header is not None

    def _break_circle(self, covalue: CoValue, content: Parsed) -> None:
        """If a parked CoValue waits for itself, create one of the circle, without transactions."""
        if covalue.header is not None:
            return
        circle = self._parking.circle(covalue)
        first = beginning(circle, {covalue: content.header}, self._exists)
        if first is None:
            self._parking.ask_again(circle)
        elif first[0].header is None:
            created, header = first
            created.create(header)
            self._commit(created, Change(created.id, header.canonical), ())
            relay(created, Outcome(), created.dependencies, self._deliver)
            self._parking.arrived(created.id)

    def _unjudged(
        self, covalue: CoValue, header: Header, contents: Iterable[Parsed]
    ) -> set[tuple[str, int]]:
        """Who wants to delete the CoValue and has not been judged: author and time."""
        if header.group is None:
            return set()
        return {
            question
            for content in contents
            for entry in content.entries
            if entry.session[-1] == "$" and len(entry.transactions) == 1
            if (
                question := (
                    parse_session_id(entry.session).author,
                    entry.transactions[0].madeAt,
                )
            )
            not in covalue.verdicts
        }

    async def _ask_judge(
        self, covalue: CoValue, header: Header, questions: set[tuple[str, int]], seen: Seen
    ) -> None:
        assert header.group is not None
        covalue.verdicts |= await self._judge.may_delete(header.group, questions)

    async def _rehash(self, covalue: CoValue, sessions: set[str], seen: Seen) -> None:
        await self._journal.settled(covalue.ticket)
        for session in sessions:
            # An author that is no account (it cannot be, in a sound store) verifies nothing.
            author = parse_session_id(session).author
            signer = seen.get(author) or self._signer(author) or bytes(32)
            chain = await rehash(self._reads, covalue.id, session, covalue.counts.get(session, 0))
            if session not in covalue.cut:
                covalue.writers[session] = Writer(chain, signer)

    def _signer(self, author: str) -> bytes | None:
        """The public key of an author's sessions; `None` if it is no account."""
        if not author.startswith("co_z"):
            return signer_key(author)
        covalue = self._residents.peek(author)
        if covalue is None or covalue.header is None:
            return self._seen.get(author)
        return covalue.header.signer

    def _accept(self, covalue: CoValue, header: Header, contents: list[Parsed]) -> None:
        created = covalue.header is None
        if created:
            covalue.create(header)
        before = covalue.counts
        if covalue.deleted:
            contents = [self._note_claims(covalue, content) for content in contents]
        outcome = take_content(covalue, contents, self._signer)
        erased = self._delete(covalue, contents, outcome)
        covalue.verdicts.clear()
        named, fresh = self._note_dependencies(covalue, contents)
        if created:
            fresh |= covalue.dependencies
        if erased:
            for subscription in covalue.subscribers.values():
                claims = before if subscription.in_step else subscription.known
                subscription.claim_only(dict(claims or {}))
            chunks = [c for c in outcome.chunks if c.session[-1] == "$"]
        else:
            chunks = outcome.chunks
        change = Change(
            covalue.id, header.canonical if created else None, list(named), chunks, erased
        )
        if created:
            usage = contents[0].peer.usage
            usage.values += 1
            usage.bytes_stored += len(header.canonical)
        if created or chunks:
            self._commit(covalue, change, contents)
        else:
            for content in contents:
                self._release(content.peer, content.item.size)
        self.counters["transactions"] += outcome.transactions
        for peer, error in outcome.errors:
            self._refuse(covalue, peer, error)
        for content in contents:
            peer = content.peer
            if peer not in covalue.subscribers and not (
                covalue.dependencies <= peer.subscriptions.keys()
            ):
                # It is to hear of changes to what its CoValue depends on, too.
                self._deliver(peer, covalue)
            subscription = covalue.subscribe(peer)
            if not subscription.in_step:
                subscription.header = True
                subscription.settle(covalue.counts)
        relay(covalue, outcome, fresh, self._deliver)
        for peer in outcome.sent:
            # Who is starved would send again what cannot be used yet, and is corrected in time.
            gap = peer in outcome.gaps and peer not in covalue.starved
            self._acks.ask(covalue, peer, correction=gap)
        if created:
            self._parking.arrived(covalue.id)

    @staticmethod
    def _note_dependencies(
        covalue: CoValue, contents: Iterable[Parsed]
    ) -> tuple[set[str], set[str]]:
        """Note what the accepted entries depend on.

        Returns what is to be stored (named by a group's transactions, and not stored before) and
        all that the CoValue did not depend on before.
        """
        named: set[str] = set()
        authors: set[str] = set()
        for content in contents:
            if not content.dependencies:
                continue
            for entry in content.entries:
                if 0 < entry.end <= covalue.counts.get(entry.session, 0):
                    named |= entry.names
                    author = parse_session_id(entry.session).author
                    if author.startswith("co_z"):
                        authors.add(author)
        named -= covalue.named | {covalue.id}
        fresh = (named | authors) - covalue.dependencies - {covalue.id}
        covalue.name(named)
        covalue.dependencies |= fresh
        return named, fresh

    def _note_claims(self, covalue: CoValue, content: Parsed) -> Parsed:
        """Of content for a tombstone only delete sessions are looked at; the rest is claimed."""
        subscription = covalue.subscribe(content.peer)
        subscription.claim({e.session: e.end for e in content.entries if e.session[-1] != "$"})
        content.entries = [e for e in content.entries if e.session[-1] == "$"]
        return content

    def _delete(
        self,
        covalue: CoValue,
        contents: Iterable[Parsed],
        outcome: Outcome,
    ) -> bool:
        """Take the delete sessions. Returns whether one of them holds: all else is erased then."""
        erased = False
        for content in contents:
            for entry in content.entries:
                if entry.session[-1] != "$" or not entry.transactions:
                    continue
                author = parse_session_id(entry.session).author
                signer = self._signer(author)
                allowed = covalue.verdicts.get((author, entry.transactions[0].madeAt), False)
                known = entry.session in covalue.counts
                if not known and (signer is None or not allowed):
                    error = ProtocolError(f"{author} may not delete {covalue.id}")
                    outcome.errors.append((entry.peer, error))
                elif take_deletion(covalue, entry, signer or b"", outcome):
                    covalue.erase()
                    erased = True
        return erased

    def _commit(self, covalue: CoValue, change: Change, contents: Iterable[Parsed]) -> None:
        held: dict[Peer, int] = {}
        for content in contents:
            held[content.peer] = held.get(content.peer, 0) + content.item.size
        acks: Acks = {}
        covalue.acks = acks
        covalue.pending += 1
        covalue.ticket = self._journal.append(
            change, partial(self._settled, covalue, change, acks, held)
        )

    def _settled(
        self, covalue: CoValue, change: Change, acks: Acks, held: dict[Peer, int], applied: bool
    ) -> None:
        covalue.pending -= 1
        for peer, size in held.items():
            self._release(peer, size)
        if not applied:
            self._conflict(covalue)
            return
        if change.erase:
            covalue.erased = True
        for chunk in change.chunks:
            if chunk.session in covalue.cut:
                continue
            if not covalue.deleted or chunk.session[-1] == "$":
                covalue.durable[chunk.session] = chunk.first + chunk.count
        self._acks.settled(covalue, acks)

    def _conflict(self, covalue: CoValue) -> None:
        """Somebody else wrote to the database: start over with what it says now."""
        log.error("store.conflict", covalue=covalue.id)
        for peer in list(covalue.subscribers):
            peer.disconnect(1012, "try again")
        covalue.release()

    def _refuse(self, covalue: CoValue, peer: Peer, error: Exception) -> None:
        self._conduct.note(peer, "refused", "content.refused", covalue=covalue.id, error=str(error))
