"""Turns: inboxes that have something are dealt with once per turn of the event loop.

So what arrives together is dealt with together. A turn that takes long gives way to the sockets and
goes on in the next one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from protocol.messages import Content
from server.covalue import CoValue, Item

_TURN_S: Final = 0.02
_ITEMS: Final = 512
_SESSIONS: Final = 128
_NESTING: Final = 32


def portion(inbox: list[Item]) -> tuple[list[Item], list[Item]]:
    """What of an inbox is dealt with in one go, and the rest.

    Each session costs a signature check (about 0.1 ms), and each message may, if one is forged.
    """
    if len(inbox) <= 2:
        return inbox, []
    sessions: set[str] = set()
    for index, item in enumerate(inbox[:_ITEMS]):
        if isinstance(item.message, Content):
            sessions.update(item.message.new)
            if len(sessions) > _SESSIONS:
                return inbox[:index], inbox[index:]
    return inbox[:_ITEMS], inbox[_ITEMS:]


class Turns:
    """The CoValues whose inboxes wait, in the order of arrival."""

    def __init__(
        self,
        deal_with: Callable[[CoValue], None],
        after: Callable[[], None],
        clock: Callable[[], float],
        call_soon: Callable[[Callable[[], None]], object],
    ) -> None:
        """`deal_with` deals with an inbox, `after` is called after each turn."""
        self._deal_with = deal_with
        self._after = after
        self._clock = clock
        self._call_soon = call_soon
        self._waiting: OrderedDict[str, CoValue] = OrderedDict()
        self._due = False
        self._nesting = 0

    def add(self, covalue: CoValue) -> None:
        """Deal with the inbox of `covalue` in the next turn, if there is anything in it."""
        if covalue.inbox:
            self._waiting[covalue.id] = covalue
            self._schedule()

    def now(self, covalue: CoValue) -> None:
        """Deal with an inbox at once, because another one needs it.

        That one may need a third, and so on; past a depth it is left to the next turn.
        """
        if self._nesting >= _NESTING:
            self.add(covalue)
            return
        self._nesting += 1
        try:
            self._waiting.pop(covalue.id, None)
            self._deal_with(covalue)
        finally:
            self._nesting -= 1

    def finish(self) -> None:
        """Deal with everything that waits, however long it takes."""
        while self._waiting:
            self._run()

    def _schedule(self) -> None:
        if not self._due:
            self._due = True
            self._call_soon(self._run)

    def _run(self) -> None:
        self._due = False
        end = self._clock() + _TURN_S
        while self._waiting:
            _, covalue = self._waiting.popitem(last=False)
            self._deal_with(covalue)
            if self._waiting and self._clock() >= end:
                self._schedule()
                break
        self._after()
