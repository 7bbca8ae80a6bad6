"""What waits to be sent to one peer, in order of urgency, bounded in bytes.

Four lanes, served strictly in order: answers and requests, then content of priority 0 (accounts
and groups), 3 and 6 (binary streams). Strictly, because a dependency never travels in a later lane
than what depends on it: so no value ever overtakes one that it needs. Within a lane, first come,
first served.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Literal

import anyio

from protocol.frames import FRAME_BYTES

Lane = Literal[0, 1, 2, 3]
CONTROL: Final = 0
LANE_OF_PRIORITY: Final[dict[int, Lane]] = {0: 1, 3: 2, 6: 3}


_SHARE_BYTES: Final = 64 * 1024


class Outboxes:
    """What waits in all outboxes together."""

    __slots__ = ("limit", "size")

    def __init__(self, limit: int) -> None:
        """Beyond `limit` bytes an outbox is full with 64 KB."""
        self.limit = limit
        self.size = 0


class Outbox:
    """Messages for one peer. `limit` bytes of content are its bound; see `is_full`."""

    __slots__ = ("_all", "_announced", "_lanes", "_limit", "_on_ready", "_room", "_since", "size")

    def __init__(
        self, limit: int, on_ready: Callable[[], None], all_outboxes: Outboxes | None = None
    ) -> None:
        """`on_ready` is called when messages wait and the last call's have been taken."""
        self._all = Outboxes(limit) if all_outboxes is None else all_outboxes
        # Made when needed: an empty deque has room for 64, and most connections say nothing.
        self._lanes: list[deque[bytes] | None] = [None] * 4
        self._limit = limit
        self._on_ready = on_ready
        self._announced = False
        self._room: anyio.Event | None = None
        self._since = 0.0
        self.size = 0
        """Bytes that wait."""

    @property
    def is_full(self) -> bool:
        """Whether no more content should be put in; answers still may."""
        return self.size >= self._limit or (
            self.size >= _SHARE_BYTES and self._all.size > self._all.limit
        )

    @property
    def stalled_since(self) -> float:
        """Since when somebody waits for room, on the loop's clock; infinity if nobody does."""
        return float("inf") if self._room is None else self._since

    @property
    def is_over(self) -> bool:
        """Whether not even answers should be put in, because all outboxes are beyond bounds."""
        return self.size > self._limit and self._all.size > 2 * self._all.limit

    def put(self, lane: Lane, message: bytes) -> None:
        """Queue one message."""
        waiting = self._lanes[lane]
        if waiting is None:
            waiting = self._lanes[lane] = deque()
        waiting.append(message)
        self.size += len(message)
        self._all.size += len(message)
        if not self._announced:
            self._announced = True
            self._on_ready()

    def take(self) -> bytes | None:
        """The next frame: messages joined up to about 25 kB, or one larger message alone."""
        batch: list[bytes] = []
        size = 0
        for lane in self._lanes:
            while lane:
                length = len(lane[0])
                if batch and size + length >= FRAME_BYTES:
                    return self._taken(batch, size)
                batch.append(lane.popleft())
                size += length + 1
        self._announced = False
        return self._taken(batch, size) if batch else None

    def close(self) -> None:
        """Forget what waits; nobody will take it. Whoever waits for room goes on."""
        self._lanes = [None] * 4
        self._all.size -= self.size
        self.size = 0
        self._announced = True
        if self._room is not None:
            self._room.set()
            self._room = None

    async def room(self) -> None:
        """Wait until the outbox is at most half full."""
        while self.size > self._limit // 2 or self.is_full:
            if self._room is None:
                self._room = anyio.Event()
                self._since = anyio.current_time()
            await self._room.wait()

    def _taken(self, batch: list[bytes], size: int) -> bytes:
        taken = size - len(batch)
        self.size -= taken
        self._all.size -= taken
        if self._room is not None and self.size <= self._limit // 2 and not self.is_full:
            self._room.set()
            self._room = None
        return batch[0] if len(batch) == 1 else b"\n".join(batch)
