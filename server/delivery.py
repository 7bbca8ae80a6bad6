"""Delivery: bringing one peer in step with CoValues, from the store, dependencies first.

A delivery takes what was asked for, adds the dependencies that the peer lacks, puts all of it into
`order` and sends it (`streaming`). Between two reads, requests of a more urgent lane go first, so a
large file does not hold up a small group. What is still on its way to the disk follows when it has
arrived, and holds up only what depends on it: on a sick disk that may be minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import anyio

from protocol.messages import encode_known
from server.covalue import CoValue
from server.journal import Journal
from server.order import Edges, in_order, reaching
from server.outbox import LANE_OF_PRIORITY
from server.peer import Peer
from server.residents import Residents
from server.store.patient import PatientReads
from server.streaming import Job, Part, Streaming

_BATCH: Final = 64
_WALK: Final = 250
"""CoValues that are looked at in one go."""
_SESSIONS: Final = 5_000
"""Of one CoValue, which are planned beside what others do."""


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
        large: anyio.Lock,
        on_too_deep: Callable[[Peer, str], None],
    ) -> None:
        """`answer` sends a `known`; `start` starts a task.

        `most` is how many CoValues may be held in memory for one; `on_too_deep` learns of one that
        would need more. `large` is held, by one delivery of all, for what takes long to plan.
        """
        self._most = most
        self._large = large
        self._on_too_deep = on_too_deep
        self._peer = peer
        self._residents = residents
        self._journal = journal
        self._start = start
        self._streaming = Streaming(
            peer,
            reads,
            answer,
            lambda covalue, answer: self.request(covalue, answer=answer),
            self._serve_lane,
        )
        self._requests: tuple[dict[str, bool], ...] = ({}, {}, {})
        self._active: set[str] = set()
        """What was planned and is not finished."""
        self._blocked: dict[str, tuple[int, bool]] = {}
        """Requests, with their lanes, that wait for something of `_active`."""
        self._turn = anyio.Lock()
        """Held by what is being sent, so that nothing comes between but what is more urgent."""
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
                async with self._turn:
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
                edges = {covalue.id: self._edges(covalue) for covalue in covalues}
                # They may have got new dependencies while others were being loaded.
                if all(d in edges for dependencies in edges.values() for d in dependencies):
                    by_id = {covalue.id: covalue for covalue in covalues}
                    return await self._serve_loaded(batch, lane, by_id, edges)

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

    async def _serve_loaded(
        self, batch: dict[str, bool], lane: int, covalues: dict[str, CoValue], edges: Edges
    ) -> None:
        # On its way already, in a delivery that waits for this one or for the disk.
        blocked = reaching(edges, [i for i in edges if i in self._active])
        for covalue_id, answer in batch.items():
            if covalue_id in blocked:
                waiting = self._blocked.get(covalue_id, (lane, False))[1]
                self._blocked[covalue_id] = lane, answer or waiting
        parts = await self._plan(batch, blocked, covalues, edges)
        self._active.update(part.job.covalue.id for part in parts)
        undurable = [i for i, c in covalues.items() if c.ticket > self._journal.committed]
        late = reaching(edges, undurable)
        later = [part for part in parts if part.job.covalue.id in late]
        if later:
            kept = anyio.Event()
            self._start(lambda: self._follow(later, lane, kept))
            await kept.wait()
        now = [part for part in parts if part.job.covalue.id not in late]
        if now:
            try:
                await self._streaming.send(now, lane)
            finally:
                self._let_go(now)

    async def _plan(
        self, batch: dict[str, bool], blocked: set[str], covalues: dict[str, CoValue], edges: Edges
    ) -> list[Part]:
        """What to send for the batch, in order, without what is blocked.

        Very much is planned in turns; nothing, and all of it asked for again, if meanwhile the peer
        lacks more of what something depends on.
        """
        order, has_circle = in_order(batch, edges)
        jobs: dict[str, Job] = {}
        in_turns = False
        for index, covalue_id in enumerate(order):
            if index and index % _WALK == 0:
                in_turns = True
                await anyio.lowlevel.checkpoint()
            if covalue_id in blocked:
                continue
            covalue, answer = covalues[covalue_id], batch.get(covalue_id, False)
            if len(covalue.counts) <= _SESSIONS:
                job = self._streaming.plan(covalue, answer)
            else:
                async with self._large:
                    await anyio.lowlevel.checkpoint()
                    job = self._streaming.plan(covalue, answer)
                in_turns = True
            if job is not None:
                jobs[covalue_id] = job
        if in_turns and any(set(self._edges(covalues[i])).difference(edges[i]) for i in order):
            self._streaming.again(list(jobs.values()))
            self._streaming.let_go(list(jobs.values()))
            return []
        if not has_circle or not jobs:
            return [Part(job, alone=False) for job in jobs.values()]
        edges = {i: [d for d in job.header.dependencies if d in jobs] for i, job in jobs.items()}
        headers, _ = in_order(jobs, edges)
        # One lane for all, so that nothing overtakes anything.
        lane = max([job.subscription.lane for job in jobs.values()])
        for job in jobs.values():
            job.subscription.lane = lane
        rest = sorted(
            jobs.values(), key=lambda job: (not job.header.signer, not job.header.is_group)
        )
        return [
            *(Part(jobs[covalue_id], alone=True) for covalue_id in headers),
            *(Part(job, alone=False) for job in rest),
        ]

    async def _follow(self, parts: Sequence[Part], lane: int, kept: anyio.Event) -> None:
        """Deliver what was planned once it is on the disk; what comes after is in the tails."""
        ids = {part.job.covalue.id for part in parts}
        try:
            async with self._residents.held(ids) as covalues:
                ticket = max(covalue.ticket for covalue in covalues)
                kept.set()
                await self._journal.settled(ticket)
                async with self._turn:
                    if all(d in ids for covalue in covalues for d in self._edges(covalue)):
                        await self._streaming.send(parts, lane)
                    else:
                        # A dependency has to come again, or there is a new one.
                        self._streaming.again([part.job for part in parts])
        finally:
            self._let_go(parts)

    def _let_go(self, parts: Sequence[Part]) -> None:
        """These are on their way no more: what was blocked by them may follow."""
        self._active.difference_update(part.job.covalue.id for part in parts)
        self._streaming.let_go([part.job for part in parts])
        blocked, self._blocked = self._blocked, {}
        for covalue_id, (lane, answer) in blocked.items():
            self._enqueue(lane, covalue_id, answer)

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

    def _edges(self, covalue: CoValue) -> list[str]:
        return [d for d in covalue.dependencies if not self._is_in_step_with(d)]

    def _is_in_step_with(self, covalue_id: str) -> bool:
        subscription = self._peer.subscriptions.get(covalue_id)
        return subscription is not None and subscription.in_step
