"""Delivery: bringing one peer in step with CoValues, from the store, dependencies first.

A delivery takes what was asked for, adds the dependencies that the peer lacks, reads what is
missing and sends it in pieces, never faster than the outbox drains. What is appended meanwhile is
kept (`Subscription.tail`) and follows. Between two reads, requests of a more urgent lane go first,
so a large file does not hold up a small group. What is still on its way to the disk follows when it
has arrived, and holds up only what depends on it: on a sick disk that may be minutes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import structlog

from protocol.content import Chunk, PieceBuilder, without_first
from protocol.known_state import Sessions, lacking
from protocol.messages import encode_known
from server.arrears import weight
from server.covalue import CoValue
from server.errors import StoreDamaged
from server.journal import Journal
from server.outbox import LANE_OF_PRIORITY
from server.peer import Peer
from server.residents import Residents
from server.store.interface import Range
from server.store.patient import PatientReads
from server.subscription import Subscription

log: Final = structlog.get_logger(__name__)

_BATCH: Final = 64
_READ_BYTES: Final = 256 * 1024
_WALK: Final = 250


@dataclass(slots=True)
class _Job:
    """One CoValue on its way to the peer."""

    covalue: CoValue
    subscription: Subscription
    known: Sessions
    """The subscription's own; another one means that the peer spoke meanwhile."""
    builder: PieceBuilder
    ranges: list[Range]
    target: Sessions
    answer: bool
    weight: int
    """Of `ranges` and `target`, in bytes."""
    built: Sessions = field(default_factory=dict)
    """What is in the builder and not sent yet."""
    sent: bool = False
    short: bool = False
    """Whether the store did not have all of it."""

    @property
    def is_current(self) -> bool:
        """Whether the peer has not said since what it holds."""
        return self.subscription.known is self.known


class Delivery:
    """The deliveries to one peer. A task runs only while there is something to deliver."""

    def __init__(
        self,
        peer: Peer,
        residents: Residents,
        journal: Journal,
        reads: PatientReads,
        answer: Callable[[CoValue, Peer], None],
        start: Callable[[Callable[[], Coroutine[Any, Any, None]]], None],
        *,
        most: int,
        on_too_deep: Callable[[Peer, str], None],
    ) -> None:
        """`answer` sends a `known`; `start` starts a task.

        `most` is how many CoValues may be held in memory for one; `on_too_deep` learns of one that
        would need more.
        """
        self._most = most
        self._on_too_deep = on_too_deep
        self._peer = peer
        self._residents = residents
        self._journal = journal
        self._reads = reads
        self._answer = answer
        self._start = start
        self._requests: tuple[dict[str, bool], ...] = ({}, {}, {})
        self._active: set[str] = set()
        self._blocked: dict[str, tuple[int, bool]] = {}
        """Requests, with their lanes, that wait for something of `_active`."""
        self._streaming = anyio.Lock()
        self._running = False

    def request(self, covalue: CoValue, *, answer: bool = False) -> None:
        """Bring the peer in step with `covalue`; if that takes nothing, `answer` all the same."""
        if self._peer.closed:
            return
        priority = 3 if covalue.header is None else covalue.header.priority
        self._enqueue(LANE_OF_PRIORITY[priority] - 1, covalue.id, answer)

    def _enqueue(self, lane: int, covalue_id: str, answer: bool) -> None:
        requests = self._requests[lane]
        requests[covalue_id] = requests.get(covalue_id, False) or answer
        if not self._running:
            self._running = True
            self._start(self._run)

    async def _run(self) -> None:
        try:
            while any(self._requests) and not self._peer.closed:
                async with self._streaming:
                    await self._serve_lane(len(self._requests))
        finally:
            self._running = False

    async def _serve_lane(self, below: int) -> bool:
        """Serve a batch of the most urgent lane below `below`. Returns whether there was one."""
        for lane, requests in enumerate(self._requests[:below]):
            batch = list(requests)[: _BATCH if lane < 2 else 1]
            if batch:
                await self._serve({i: requests.pop(i) for i in batch}, lane)
                return True
        return False

    async def _serve(self, batch: dict[str, bool], lane: int) -> None:
        needed = dict.fromkeys(batch)
        while True:
            needed |= await self._lacking(list(needed))
            if len(needed) > self._most:
                return await self._serve_less(batch, lane)
            async with self._residents.held(needed) as covalues:
                # They may have got new dependencies while others were being loaded.
                if all(d in needed for c in covalues for d in self._edges(c)):
                    return await self._serve_loaded(batch, lane, covalues)

    async def _serve_less(self, batch: dict[str, bool], lane: int) -> None:
        """Serve one by one what depends on too much together; what does so alone is not served."""
        if len(batch) > 1:
            for covalue_id, answer in batch.items():
                await self._serve({covalue_id: answer}, lane)
            return
        for covalue_id in batch:
            self._on_too_deep(self._peer, covalue_id)
            # Or each change to it would be a reason to try again.
            self._residents.forget_subscriber(covalue_id, self._peer)
            self._peer.tell(encode_known(covalue_id, False, {}))

    async def _serve_loaded(self, batch: dict[str, bool], lane: int, loaded: list[CoValue]) -> None:
        covalues = self._in_order(list(batch), loaded)
        # On its way already, in a delivery that waits for this one or for the disk.
        blocked = self._reaching(covalues, lambda c: c.id in self._active)
        for covalue_id, answer in batch.items():
            if covalue_id in blocked:
                waiting = self._blocked.get(covalue_id, (lane, False))[1]
                self._blocked[covalue_id] = lane, answer or waiting
        covalues = [c for c in covalues if c.id not in blocked]
        late = self._reaching(covalues, lambda c: c.ticket > self._journal.committed)
        jobs = [job for c in covalues if (job := self._plan(c, batch.get(c.id, False)))]
        self._active.update(job.covalue.id for job in jobs)
        later = [job for job in jobs if job.covalue.id in late]
        if later:
            kept = anyio.Event()
            self._start(lambda: self._follow(later, lane, kept))
            await kept.wait()
        now = [job for job in jobs if job.covalue.id not in late]
        if now:
            try:
                await self._stream(now, lane)
            finally:
                self._let_go(now)

    async def _follow(self, jobs: list[_Job], lane: int, kept: anyio.Event) -> None:
        """Deliver what was planned once it is on the disk; what comes after is in the tails."""
        ids = {job.covalue.id for job in jobs}
        try:
            async with self._residents.held(ids) as covalues:
                ticket = max(covalue.ticket for covalue in covalues)
                kept.set()
                await self._journal.settled(ticket)
                async with self._streaming:
                    if all(d in ids for covalue in covalues for d in self._edges(covalue)):
                        await self._stream(jobs, lane)
                    else:
                        # A dependency has to come again, or there is a new one.
                        self._request_again(jobs)
        finally:
            self._let_go(jobs)

    def _request_again(self, jobs: list[_Job]) -> None:
        for job in jobs:
            if job.is_current:
                job.subscription.drop_tail()
                self.request(job.covalue, answer=job.answer)

    def _let_go(self, jobs: list[_Job]) -> None:
        """These are on their way no more: what was blocked by them may follow."""
        self._active.difference_update(job.covalue.id for job in jobs)
        self._peer.arrears.add(-sum(job.weight for job in jobs))
        blocked, self._blocked = self._blocked, {}
        for covalue_id, (lane, answer) in blocked.items():
            self._enqueue(lane, covalue_id, answer)

    def _reaching(self, covalues: list[CoValue], what: Callable[[CoValue], bool]) -> set[str]:
        """The ids of those, in order, that are `what`, or that depend on one of these."""
        found: set[str] = set()
        for covalue in covalues:
            if what(covalue) or any(d in found for d in self._edges(covalue)):
                found.add(covalue.id)
        return found

    async def _lacking(self, ids: list[str]) -> dict[str, None]:
        """The dependencies of the ids, and theirs, that the peer is not in step with."""
        found: dict[str, None] = {}
        frontier = ids
        walked = 0
        while frontier:
            async with self._residents.held(frontier) as covalues:
                edges = {d for covalue in covalues for d in self._edges(covalue)}
            frontier = [d for d in edges if d not in found]
            found |= dict.fromkeys(frontier)
            if len(found) > self._most:
                break
            walked += len(frontier)
            if walked > _WALK:
                # Where all of them are in memory, nothing else would give way to others.
                walked = 0
                await anyio.lowlevel.checkpoint()
        return found

    def _in_order(self, ids: list[str], loaded: list[CoValue]) -> list[CoValue]:
        """What was loaded for the ids, each after its dependencies."""
        by_id = {covalue.id: covalue for covalue in loaded}
        order: dict[str, CoValue] = {}
        entered: set[str] = set()
        stack = list(reversed(ids))
        while stack:
            covalue_id = stack[-1]
            if covalue_id not in entered:
                entered.add(covalue_id)
                stack += [d for d in self._edges(by_id[covalue_id]) if d not in entered]
            else:
                stack.pop()
                order[covalue_id] = by_id[covalue_id]
        return list(order.values())

    def _edges(self, covalue: CoValue) -> list[str]:
        return [d for d in covalue.dependencies if not self._is_in_step_with(d)]

    def _is_in_step_with(self, covalue_id: str) -> bool:
        subscription = self._peer.subscriptions.get(covalue_id)
        return subscription is not None and subscription.in_step

    def _plan(self, covalue: CoValue, answer: bool) -> _Job | None:
        """What to send of `covalue`, from here on; `None` if the peer is in step already."""
        if self._peer.closed:
            return None
        subscription = covalue.subscribe(self._peer)
        self._peer.lagging.discard(covalue.id)
        header = covalue.header
        if header is None or subscription.settle(covalue.counts):
            if answer:
                self._answer(covalue, self._peer)
            return None
        covalue.choose_lane(self._peer)
        known = subscription.own_known()
        missing = lacking(known, covalue.counts)
        subscription.open_tail()
        self._peer.arrears.add(weight(missing))
        return _Job(
            covalue=covalue,
            subscription=subscription,
            known=known,
            builder=PieceBuilder(header, with_header=not subscription.header, expect_until=missing),
            ranges=[Range(covalue.id, s, known.get(s, 0), n) for s, n in missing.items()],
            target=missing,
            answer=answer,
            weight=weight(missing),
        )

    async def _stream(self, jobs: list[_Job], lane: int) -> None:
        rows = self._read([wanted for job in jobs for wanted in job.ranges], lane)
        row = await anext(rows, None)
        superseded = False
        for job in jobs:
            for wanted in job.ranges:
                while row is not None and row[0] == wanted[:2]:
                    if not superseded:
                        self._add(job, row[1])
                    row = await anext(rows, None)
                if not superseded:
                    self._check_whole(job, wanted)
            if self._peer.closed:
                break
            if superseded:
                # What it depends on may have to come again, and before it.
                self._request_again([job])
            elif job.is_current:
                self._finish(job)
            else:
                superseded = True
        await rows.aclose()

    async def _read(
        self, ranges: list[Range], lane: int
    ) -> AsyncGenerator[tuple[tuple[str, str], Chunk], None]:
        """The chunks of the ranges, in order, each with its CoValue and session.

        Read as the outbox takes them, and with more urgent requests between two reads.
        """
        while ranges and not self._peer.closed:
            await self._peer.outbox.room()
            while await self._serve_lane(lane):
                pass
            rows = await self._reads.read(ranges, _READ_BYTES)
            for wanted, chunk in rows:
                yield (wanted.covalue, wanted.session), chunk
            if not rows:
                return  # What is missing is noted by whoever waits for it.
            last, chunk = rows[-1]
            del ranges[: ranges.index(last)]
            if chunk.first + chunk.count < last.stop:
                ranges[0] = last._replace(start=chunk.first + chunk.count)
            else:
                del ranges[0]

    def _add(self, job: _Job, chunk: Chunk) -> None:
        if not job.is_current or self._peer.closed:
            return
        held = job.built.get(chunk.session, job.known.get(chunk.session, 0))
        if chunk.first + chunk.count <= held:
            return
        if chunk.first > held:
            return
        if chunk.first < held:
            chunk = without_first(chunk, held - chunk.first)
        self._send(job, job.builder.add(chunk))
        job.built[chunk.session] = chunk.first + chunk.count

    def _finish(self, job: _Job) -> None:
        subscription, covalue = job.subscription, job.covalue
        self._send(job, job.builder.end())
        if job.answer and not job.sent:
            self._answer(covalue, self._peer)
        complete = not lacking(job.known, job.target)
        if job.short:
            # What was kept meanwhile may not follow what was sent; and what does is in the store.
            subscription.drop_tail()
            if not subscription.settle(covalue.counts):
                self.request(covalue)
        elif complete and subscription.tail is not None:
            for piece in subscription.tail:
                self._peer.send(subscription, piece)
            subscription.caught_up()
        elif subscription.settle(covalue.counts):
            pass
        elif complete or covalue.deleted:
            self.request(covalue)
        else:
            subscription.drop_tail()

    def _check_whole(self, job: _Job, wanted: Range) -> None:
        """Note if the store did not have all of a range, because it is damaged.

        What was announced of it, and has not been sent yet, is taken back.
        """
        covalue, session = job.covalue, wanted.session
        held = job.built.get(session, job.known.get(session, 0))
        if held >= wanted.stop or covalue.deleted or self._peer.closed or not job.is_current:
            return
        if held < covalue.counts.get(session, 0):
            why = "transactions are missing"
            self._reads.note(StoreDamaged(why, covalue.id, session, held))
        job.short = True
        if held > wanted.start:
            job.target[session] = held
        else:
            job.target.pop(session, None)

    def _send(self, job: _Job, piece: bytes | None) -> None:
        if piece is not None:
            job.sent = True
            job.subscription.sent(job.built)
            job.built.clear()
            self._peer.send(job.subscription, piece)
