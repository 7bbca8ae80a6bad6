"""An asyncio loop without a clock, a thread or a socket: one seed decides what runs when.

Time stands still while callbacks run and jumps to the next timer when none is left. Callbacks that
are ready at the same moment run in an order that the seed chooses (or, if `shuffles` is false, in
the order in which they became ready, as asyncio's own loop has it).
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from contextvars import Context
from itertools import count
from random import Random
from typing import Final, TypeVarTuple, Unpack

Ts = TypeVarTuple("Ts")

_STANDSTILL: Final = 200_000
_FOR_EVER_S: Final = 50_000.0


class VirtualLoop(asyncio.BaseEventLoop):
    """Everything asyncio and anyio need, in virtual time."""

    def __init__(self, random: Random, *, shuffles: bool) -> None:
        super().__init__()
        self._random = random
        self._shuffles = shuffles
        self._now = 0.0
        self._rounds = 0
        """How many rounds time has been standing still for."""
        self._soon: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = count()
        self._stopping = False
        self.faults: list[str] = []
        """What callbacks raised and nobody caught."""
        self.set_exception_handler(self._note)

    def time(self) -> float:
        """Virtual seconds since the beginning."""
        return self._now

    def spend(self, seconds: float) -> None:
        """Let time pass inside a callback, as if it computed for so long."""
        self._now += seconds

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """See `asyncio.AbstractEventLoop.call_soon`."""
        handle = asyncio.Handle(callback, args, self, context)
        self._soon.append(handle)
        return handle

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """There is one thread only."""
        return self.call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """See `asyncio.AbstractEventLoop.call_at`."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._order), handle))
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """See `asyncio.AbstractEventLoop.call_later`."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def stop(self) -> None:
        """End `run_forever` after this round."""
        self._stopping = True

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are passed over when their time comes."""

    def _run_once(self) -> None:
        """One round: all that is ready now; if nothing is, what is due first."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        if not self._soon:
            if not self._timers:
                raise RuntimeError("nothing will ever happen again")
            if self._timers[0][0] > self._now:
                self._now, self._rounds = self._timers[0][0], 0
        self._rounds += 1
        if self._rounds > _STANDSTILL:
            raise RuntimeError("something runs in a circle")
        if self._now > _FOR_EVER_S:
            raise RuntimeError("something is waited for that never comes")
        while self._timers and self._timers[0][0] <= self._now:
            self._soon.append(heapq.heappop(self._timers)[2])
        batch, self._soon = self._soon, []
        if self._shuffles and len(batch) > 1:
            self._random.shuffle(batch)
        for handle in batch:
            if not handle.cancelled():
                handle._run()

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        self.faults.append(f"{context.get('message')}: {context.get('exception')!r}")
