"""Delivery: bringing one peer in step with CoValues, from the store, dependencies first.

A delivery takes what was asked for, adds the dependencies that the peer lacks, puts all of it into
`order` and sends it (`streaming`). Between two reads, requests of a more urgent lane go first, so a
large file does not hold up a small group. What is still on its way to the disk follows when it has
arrived, and holds up only what depends on it: on a sick disk that may be minutes. So does what
cannot be read.

What all deliveries take in memory is bounded (`allowance`): one for which there is no room waits,
and what takes much by itself is delivered by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import anyio

from protocol.messages import encode_known
from server.allowance import Allowance
from server.covalue import BASE_BYTES, CoValue
from server.journal import Journal
from server.needs import Needs
from server.order import Edges, in_order, reaching
from server.outbox import LANE_OF_PRIORITY
from server.peer import Peer
from server.residents import Residents
from server.store.patient import PatientReads
from server.streaming import Job, Part, Streaming

_BATCH: Final = 64
_SHARE: Final = 16
"""The part of what all deliveries may take that several CoValues together may take."""
_CLOSURE: Final = 1_000
"""CoValues that one may depend on, however small the memory."""
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
        memory_bytes: int,
        allowance: Allowance,
        large: anyio.Lock,
        on_too_deep: Callable[[Peer, str], None],
    ) -> None:
        """`answer` sends a `known`; `start` starts a task.

        `memory_bytes` is how much all deliveries may take; `on_too_deep` learns of a CoValue that
        would need more alone. `large` is held, by one delivery of all, for what takes long to plan.
        """
        self._most = max(memory_bytes // 4 // BASE_BYTES, _CLOSURE)
        self._most_bytes = max(memory_bytes, _CLOSURE * BASE_BYTES)
        self._share_bytes = memory_bytes // _SHARE
        self._allowance = allowance
        self._granted = 0
        """Bytes that were waited for."""
        self._lacking = 0
        """Bytes that are to be waited for."""
        self.taken = 0
        """Bytes of the allowance."""
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
        self._needs = Needs(peer, residents)
        self._requests: list[dict[str, bool]] = [{}, {}, {}]
        self._singly = [0, 0, 0]
        """How many of the next requests of each lane are served one by one."""
        self._aside: dict[str, dict[str, tuple[int, bool]]] = {}
        """By what cannot be read: the requests, with their lanes, of what needs it."""
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
                if self._lacking:
                    # Not in a turn: what is being sent may be what takes the memory.
                    size, self._lacking = self._lacking, 0
                    await self._allowance.wait(size)
                    self._granted = size
        finally:
            self._allowance.give_back(self._granted)
            self._granted = 0
            self._running = False

    async def _serve_lane(self, below: int) -> bool:
        """Serve a batch of the most urgent lane below `below`.

        Returns whether there was one, and room for it.
        """
        urgent = below < len(self._requests)
        for lane, requests in enumerate(self._requests[:below]):
            if requests:
                if urgent and not self._allowance.has_room:
                    return False
                count = _BATCH if lane < 2 else 1
                if self._singly[lane]:
                    self._singly[lane] -= 1
                    count = 1
                batch = {i: requests.pop(i) for i in list(requests)[:count]}
                return await self._serve(batch, lane, urgent=urgent)
        return False

    async def _serve(self, batch: dict[str, bool], lane: int, *, urgent: bool) -> bool:
        while True:
            sizes, unreadable = await self._needs.look_for(batch, self._most)
            size = sum(sizes.values())
            is_much = len(sizes) > self._most or size > self._share_bytes
            if len(batch) > 1 and (is_much or unreadable is not None):
                self._put_back(batch, lane)
                self._singly[lane] = len(batch)
                return True
            if unreadable is not None:
                self._set_aside(batch, lane, unreadable)
                return True
            if len(sizes) > self._most or size - max(sizes.values()) > self._most_bytes:
                self._refuse(batch)
                return True
            if not self._take(size, urgent=urgent):
                self._put_back(batch, lane)
                return False
            try:
                async with self._residents.held(sizes) as covalues:
                    edges = {covalue.id: self._needs.edges(covalue) for covalue in covalues}
                    # They may have got new dependencies while others were being loaded.
                    if all(d in edges for dependencies in edges.values() for d in dependencies):
                        by_id = {covalue.id: covalue for covalue in covalues}
                        await self._serve_loaded(batch, lane, by_id, edges)
                        return True
            finally:
                self._give_back(size)

    def _put_back(self, batch: dict[str, bool], lane: int) -> None:
        """Ask for these again, before the others."""
        requests = self._requests[lane]
        batch = {i: requests.pop(i, False) or answer for i, answer in batch.items()}
        self._requests[lane] = batch | requests

    def _set_aside(self, batch: dict[str, bool], lane: int, unreadable: str) -> None:
        """Ask for these again once what they need can be read. Others do not wait for that."""
        aside = self._aside.get(unreadable)
        if aside is None:
            aside = self._aside[unreadable] = {}
            self._start(lambda: self._wait_for(unreadable))
        for covalue_id, answer in batch.items():
            aside[covalue_id] = lane, answer or aside.get(covalue_id, (lane, False))[1]

    async def _wait_for(self, unreadable: str) -> None:
        async with self._residents.held([unreadable]):
            for covalue_id, (lane, answer) in self._aside.pop(unreadable).items():
                self._enqueue(lane, covalue_id, answer)

    def _refuse(self, batch: dict[str, bool]) -> None:
        """Say that these are not here: each depends on too much."""
        for covalue_id in batch:
            self._on_too_deep(self._peer, covalue_id)
            # Or each change to it would be a reason to try again.
            self._residents.forget_subscriber(covalue_id, self._peer)
            self._peer.tell(encode_known(covalue_id, False, {}))

    def _take(self, size: int, *, urgent: bool) -> bool:
        """Take so many bytes of the allowance. Returns `False` if that has to be waited for."""
        if urgent or not self._granted:
            is_taken = self._allowance.take(size)
        else:
            granted, self._granted = self._granted, 0
            is_taken = size <= granted
            self._allowance.give_back(granted - size if is_taken else granted)
        if is_taken:
            self.taken += size
        elif not urgent:
            self._lacking = size
        return is_taken

    def _give_back(self, size: int) -> None:
        self.taken -= size
        self._allowance.give_back(size)

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
        if in_turns and any(
            set(self._needs.edges(covalues[i])).difference(edges[i]) for i in order
        ):
            self._streaming.again(list(jobs.values()))
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
        size = sum([part.job.covalue.size for part in parts if not part.alone])
        self._allowance.exceed(size)
        self.taken += size
        try:
            async with self._residents.held(ids) as covalues:
                ticket = max(covalue.ticket for covalue in covalues)
                kept.set()
                await self._journal.settled(ticket)
                async with self._turn:
                    if all(d in ids for covalue in covalues for d in self._needs.edges(covalue)):
                        await self._streaming.send(parts, lane)
                    else:
                        # A dependency has to come again, or there is a new one.
                        self._streaming.again([part.job for part in parts])
        finally:
            self._give_back(size)
            self._let_go(parts)

    def _let_go(self, parts: Sequence[Part]) -> None:
        """These are on their way no more: what was blocked by them may follow."""
        self._active.difference_update(part.job.covalue.id for part in parts)
        blocked, self._blocked = self._blocked, {}
        for covalue_id, (lane, answer) in blocked.items():
            self._enqueue(lane, covalue_id, answer)
