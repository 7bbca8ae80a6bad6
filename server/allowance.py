"""The memory that deliveries take together: who would take more waits until others are done.

A delivery keeps the CoValues that it is about, and the plan of what it sends, as long as its peer
takes to read that. Where somebody waits in vain, it is for one who does not read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import anyio

_PATIENCE_S: Final = 10.0


class _Turn:
    def __init__(self, size: int) -> None:
        self.size = size
        self.has_come = anyio.Event()


class Allowance:
    """Bytes that are taken and given back, first come, first served."""

    def __init__(self, limit: int, on_stuck: Callable[[float], None]) -> None:
        """`limit` is in bytes; beyond it, one may be alone.

        `on_stuck` is called whenever the first in the queue has waited for ten seconds in vain, and
        told since when, on the loop's clock.
        """
        self._limit = limit
        self._on_stuck = on_stuck
        self._turns: deque[_Turn] = deque()
        self.taken = 0
        """Bytes, of everybody."""

    @property
    def has_room(self) -> bool:
        """Whether something may be taken without waiting, if it is little."""
        return not self._turns and self.taken < self._limit

    def take(self, size: int) -> bool:
        """Take so much at once if nobody waits and there is room. Returns whether it is taken."""
        if self._turns or not self._fits(size):
            return False
        self.taken += size
        return True

    def exceed(self, size: int) -> None:
        """Take so much in any case: it follows from what was taken before."""
        self.taken += size

    async def wait(self, size: int) -> None:
        """Take so much as soon as there is room and nobody has waited longer."""
        turn = _Turn(size)
        self._turns.append(turn)
        has_come = False
        try:
            self._admit()
            while not has_come:
                began = anyio.current_time()
                with anyio.move_on_after(_PATIENCE_S):
                    await turn.has_come.wait()
                has_come = turn.has_come.is_set()
                if not has_come and self._turns[0] is turn:
                    self._on_stuck(began)
        finally:
            if not has_come:
                if turn.has_come.is_set():
                    self.taken -= size
                else:
                    self._turns.remove(turn)
                self._admit()

    def give_back(self, size: int) -> None:
        """So much is not taken any more."""
        self.taken -= size
        self._admit()

    def _fits(self, size: int) -> bool:
        return not self.taken or self.taken + size <= self._limit

    def _admit(self) -> None:
        while self._turns and self._fits(self._turns[0].size):
            turn = self._turns.popleft()
            self.taken += turn.size
            turn.has_come.set()
