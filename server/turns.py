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
from server.peer import Peer

_TURN_S: Final = 0.01
_SHARE_S: Final = 0.001
"""Of a turn for one sender, before it is another's: so that its answers leave together."""
_ITEMS: Final = 512
_BYTES: Final = 192 * 1024
_FIRST_BYTES: Final = 128 * 1024
_SESSIONS: Final = 64
_NESTING: Final = 32


def portion(inbox: list[Item], *, first: bool) -> tuple[list[Item], list[Item]]:
    """What of an inbox is dealt with in one go, and the rest.

    Each session costs a signature check (about 0.1 ms), and each message may, if one is forged. And
    the first part of a file is to be acknowledged before its last one is read: `first` says that
    nothing of the CoValue is on its way to the disk.
    """
    if len(inbox) <= 2:
        return inbox, []
    most = _FIRST_BYTES if first else _BYTES
    if (
        len(inbox) <= _ITEMS
        and sum([item.size for item in inbox]) <= most
        and sum([len(i.message.new) for i in inbox if isinstance(i.message, Content)]) <= _SESSIONS
    ):
        return inbox, []
    sessions: set[str] = set()
    size = 0
    for index, item in enumerate(inbox[:_ITEMS]):
        size += item.size
        if isinstance(item.message, Content):
            sessions.update(item.message.new)
        if index and (len(sessions) > _SESSIONS or size > most):
            return inbox[:index], inbox[index:]
    return inbox[:_ITEMS], inbox[_ITEMS:]


class Turns:
    """The CoValues whose inboxes wait, in the order of arrival; senders take turns.

    So whoever sends to thousands of CoValues at once is not ahead of who sends to one.
    """

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
        self._waiting: dict[str, Peer] = {}
        """CoValue → whose turn it is dealt with in: that of the first in its inbox."""
        self._queues: OrderedDict[Peer, OrderedDict[str, CoValue]] = OrderedDict()
        self._rest: list[CoValue] = []
        self._due = False
        self._nesting = 0

    def add(self, covalue: CoValue) -> None:
        """Deal with the inbox of `covalue` in the next turn, if there is anything in it."""
        if covalue.inbox and covalue.id not in self._waiting:
            peer = self._waiting[covalue.id] = covalue.inbox[0].peer
            queue = self._queues.get(peer)
            if queue is None:
                queue = self._queues[peer] = OrderedDict()
            queue[covalue.id] = covalue
            self._schedule()

    def later(self, covalue: CoValue) -> None:
        """Deal with the rest of its inbox in a turn of its own: what was taken is to be stored."""
        self._rest.append(covalue)
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
            peer = self._waiting.pop(covalue.id, None)
            if peer is not None:
                del self._queues[peer][covalue.id]
                if not self._queues[peer]:
                    del self._queues[peer]
            self._deal_with(covalue)
        finally:
            self._nesting -= 1

    def finish(self) -> None:
        """Deal with everything that waits, however long it takes."""
        while self._waiting or self._rest:
            self._run()

    def _schedule(self) -> None:
        if not self._due:
            self._due = True
            self._call_soon(self._run)

    def _run(self) -> None:
        self._due = False
        rest, self._rest = self._rest, []
        for covalue in rest:
            self.add(covalue)
        end = self._clock() + _TURN_S
        while self._waiting:
            peer = next(iter(self._queues))
            now = self._clock()
            share = min(now + _SHARE_S, end)
            while peer in self._queues and now < share:
                self._deal_with(self._take(peer))
                now = self._clock()
            if peer in self._queues:
                self._queues.move_to_end(peer)
            if self._waiting and now >= end:
                self._schedule()
                break
        self._after()

    def _take(self, peer: Peer) -> CoValue:
        """The next CoValue of the peer."""
        queue = self._queues[peer]
        covalue_id, covalue = queue.popitem(last=False)
        del self._waiting[covalue_id]
        if not queue:
            del self._queues[peer]
        return covalue
