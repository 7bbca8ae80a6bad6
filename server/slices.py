"""Large messages, a slice at a time, in turns among their senders.

So that somebody's megabytes of small messages hold up nobody else's single one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

_TURN_S: Final = 0.005


class Sender(Protocol):
    """Who has slices."""

    def take_slice(self) -> bool:
        """Deal with one. Returns whether to come again."""


class Slices:
    """The senders whose slices wait, each for its turn."""

    def __init__(
        self,
        clock: Callable[[], float],
        call_soon: Callable[[Callable[[], None]], object],
    ) -> None:
        """`clock` gives seconds, `call_soon` runs a function in the loop's next turn."""
        self._clock = clock
        self._call_soon = call_soon
        self._waiting: OrderedDict[Sender, None] = OrderedDict()
        self._due = False

    def add(self, sender: Sender) -> None:
        """Take slices of `sender` until it has no more."""
        self._waiting[sender] = None
        self._schedule()

    def _schedule(self) -> None:
        if not self._due and self._waiting:
            self._due = True
            self._call_soon(self._run)

    def _run(self) -> None:
        self._due = False
        end = self._clock() + _TURN_S
        while self._waiting:
            sender, _ = self._waiting.popitem(last=False)
            if sender.take_slice():
                self._waiting[sender] = None
            if self._clock() >= end:
                break
        self._schedule()
