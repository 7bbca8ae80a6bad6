"""The network: each connection keeps its own order, and nothing else is certain.

A connection is two wires. A wire delays, repeats, takes only so much before its writer must wait,
and can be cut anywhere: what was on it arrives up to some message, and the rest never does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random


class Wire:
    """One direction of a connection: frames in order, each after a delay."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        random: Random,
        latency_s: float,
        deliver: Callable[[bytes], None],
        on_drain: Callable[[], None] = lambda: None,
        *,
        repeats: float = 0.0,
    ) -> None:
        """`repeats` is how likely a frame of one message is to arrive once more."""
        self._loop = loop
        self._random = random
        self._latency_s = latency_s
        self._deliver = deliver
        self._on_drain = on_drain
        self._repeats = repeats
        self._frames: deque[bytes] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._reading = True
        self._cut = False
        self.size = 0
        """Bytes under way."""

    def push(self, frame: bytes) -> None:
        """Send a frame."""
        if not self._cut:
            self._frames.append(frame)
            self.size += len(frame)
            self._schedule()

    def read(self, reading: bool) -> None:
        """Whether the other end takes frames."""
        self._reading = reading
        if reading:
            self._schedule()
        elif self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def cut(self, arriving: float) -> None:
        """Nothing more is sent; of what is under way this share still arrives."""
        self._cut = True
        for _ in range(len(self._frames) - int(len(self._frames) * arriving)):
            self.size -= len(self._frames.pop())
        if not self._frames and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        if self._timer is None and self._frames and self._reading:
            delay = self._latency_s * self._random.random()
            self._timer = self._loop.call_later(delay, self._arrive)

    def _arrive(self) -> None:
        self._timer = None
        frame = self._frames.popleft()
        # Not one of several messages: an old `load` in it would belie what follows it.
        if self._repeats and b"\n" not in frame and self._random.random() < self._repeats:
            self._frames.appendleft(frame)
        else:
            self.size -= len(frame)
        self._schedule()
        self._deliver(frame)
        self._on_drain()
