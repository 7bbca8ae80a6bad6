"""Streaming: what one peer lacks of CoValues, from the store into its outbox, in pieces.

Never faster than the outbox drains. What is appended to a CoValue meanwhile is kept
(`Subscription.tail`) and follows; if that becomes too much, it is delivered in its turn. A peer
that says anew what it holds supersedes what is on its way of that CoValue, and of all behind it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import anyio

from protocol.content import Chunk, PieceBuilder, without_first
from protocol.header import Header
from protocol.known_state import Sessions, covers, lacking
from server.covalue import CoValue
from server.errors import StoreDamaged
from server.peer import Peer
from server.store.interface import Range
from server.store.patient import PatientReads
from server.subscription import Subscription

_READ_BYTES: Final = 256 * 1024
_PARTS: Final = 100
"""What is sent in one go, however little it is."""


@dataclass(slots=True, eq=False)
class Job:
    """One CoValue on its way to the peer."""

    covalue: CoValue
    header: Header
    subscription: Subscription
    known: Sessions
    """The subscription's own; another one means that the peer spoke meanwhile."""
    builder: PieceBuilder
    ranges: list[Range]
    target: Sessions
    answer: bool
    """Whether the peer is to be told the known state if nothing is sent."""
    built: Sessions = field(default_factory=dict)
    """What is in the builder and not sent yet."""
    sent: bool = False
    short: bool = False
    """Whether the store did not have all of it."""

    @property
    def is_current(self) -> bool:
        """Whether the peer has not said since what it holds."""
        return self.subscription.known is self.known


class Part(NamedTuple):
    """What is sent in one go: a job, or (`alone`) its header ahead of it."""

    job: Job
    alone: bool


class Streaming:
    """Plans and sends what one peer lacks."""

    def __init__(
        self,
        peer: Peer,
        reads: PatientReads,
        answer: Callable[[CoValue, Peer], None],
        request: Callable[[CoValue, bool], None],
        serve_urgent: Callable[[int], Awaitable[bool]],
    ) -> None:
        """What to do is the delivery's, so that this need not know it.

        `answer` sends a `known`; `request` asks for a delivery, and whether to answer at its end;
        `serve_urgent` serves something that is more urgent than a lane, if there is anything.
        """
        self._peer = peer
        self._reads = reads
        self._answer = answer
        self._request = request
        self._serve_urgent = serve_urgent

    def plan(self, covalue: CoValue, answer: bool) -> Job | None:
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
        covalue.choose_lane(self._peer, covalue.dependencies)
        known = subscription.own_known()
        missing = lacking(known, covalue.counts)
        subscription.open_tail()
        return Job(
            covalue=covalue,
            header=header,
            subscription=subscription,
            known=known,
            builder=PieceBuilder(header, with_header=not subscription.header, expect_until=missing),
            ranges=[Range(covalue.id, s, known.get(s, 0), n) for s, n in missing.items()],
            target=missing,
            answer=answer,
        )

    async def send(self, parts: Sequence[Part], lane: int) -> None:
        """Send the parts in their order, with what is more urgent than `lane` between two reads."""
        ranges = [wanted for job, alone in parts if not alone for wanted in job.ranges]
        async with aclosing(self._read(ranges, lane)) as rows:
            row = await anext(rows, None)
            for index, (job, alone) in enumerate(parts):
                if (index and index % _PARTS == 0) or self._peer.outbox.is_full:
                    # Headers alone are not read from the store, where it would wait otherwise.
                    await self._peer.outbox.room()
                    await anyio.lowlevel.checkpoint()
                for wanted in () if alone else job.ranges:
                    while row is not None and row[0] == wanted[:2] and job.is_current:
                        self._add(job, row[1])
                        row = await anext(rows, None)
                    self._check_whole(job, wanted)
                if self._peer.closed:
                    return
                if not job.is_current:
                    # What the rest depends on may have to come again, and before it.
                    self.again([part.job for part in parts[index + 1 :]])
                    return
                if alone:
                    self._send(job, job.builder.header())
                else:
                    self._finish(job)

    def again(self, jobs: Sequence[Job]) -> None:
        """Deliver these once more, from what has been sent on; what was superseded is already."""
        for job in jobs:
            if job.is_current:
                job.subscription.drop_tail()
                self._request(job.covalue, job.answer)

    async def _read(
        self, ranges: list[Range], lane: int
    ) -> AsyncGenerator[tuple[tuple[str, str], Chunk], None]:
        """The chunks of the ranges, in order, each with its CoValue and session."""
        while ranges and not self._peer.closed:
            await self._peer.outbox.room()
            while await self._serve_urgent(lane):
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

    def _add(self, job: Job, chunk: Chunk) -> None:
        held = job.built.get(chunk.session, job.known.get(chunk.session, 0))
        if self._peer.closed or not chunk.first <= held < chunk.first + chunk.count:
            return
        if chunk.first < held:
            chunk = without_first(chunk, held - chunk.first)
        self._send(job, job.builder.add(chunk))
        job.built[chunk.session] = chunk.first + chunk.count

    def _check_whole(self, job: Job, wanted: Range) -> None:
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

    def _finish(self, job: Job) -> None:
        subscription, covalue = job.subscription, job.covalue
        self._send(job, job.builder.end())
        if job.answer and not job.sent:
            self._answer(covalue, self._peer)
        # What was kept meanwhile may not follow what was sent, if that was not all.
        if subscription.tail is not None and not job.short and covers(job.known, job.target):
            for piece in subscription.tail:
                self._peer.send(subscription, piece)
            subscription.caught_up()
            return
        subscription.drop_tail()
        if not subscription.settle(covalue.counts):
            self._request(covalue, False)

    def _send(self, job: Job, piece: bytes | None) -> None:
        if piece is not None:
            job.sent = True
            job.subscription.sent(job.built)
            job.built.clear()
            self._peer.send(job.subscription, piece)
