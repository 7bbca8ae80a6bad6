"""How many CoValues each peer, and all together, are subscribed to; beyond bounds, the oldest go.

A client that asks for very many values is answered for each, but is told no longer of changes to
those that it touched first; whoever asks again, is again. That is what a client survives best: its
values stay readable, and nothing that it wrote is lost. Who makes most be remembered because it is
not in step is closed: what it holds it says when it comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from itertools import islice
from typing import Any, Final

import anyio

from server.arrears import AllArrears, Arrears
from server.conduct import Conduct
from server.limits import Limits
from server.offences import BEHIND, UNREAD, Closing
from server.peer import Peer
from server.residents import Residents

_AT_ONCE: Final = 1_000
_SHARE: Final = 10


class Interests:
    """Bounds subscriptions."""

    def __init__(
        self,
        limits: Limits,
        residents: Residents,
        conduct: Conduct,
        start: Callable[[Callable[[], Coroutine[Any, Any, None]]], None],
        expel: Callable[[Peer, Closing], None],
    ) -> None:
        """`start` starts a task; `expel` closes a peer and forgets it."""
        self._limits = limits
        self._residents = residents
        self._conduct = conduct
        self._start = start
        self._expel = expel
        self._arrears = AllArrears(limits.total_arrears_bytes, self._over)
        self._relieving = False
        self._peers: set[Peer] = set()
        self._crowded: set[Peer] = set()

    def join(self, peer: Peer) -> None:
        """A peer is there."""
        self._peers.add(peer)
        peer.most_subscriptions = self._limits.subscriptions
        peer.crowded = self._crowded
        peer.arrears = Arrears(self._arrears)

    def leave(self, peer: Peer) -> None:
        """A peer is gone: end its subscriptions, many of them not all at once."""
        self._peers.discard(peer)
        self._crowded.discard(peer)
        peer.arrears.close()
        if len(peer.subscriptions) <= _AT_ONCE:
            self._end(peer, len(peer.subscriptions))
        else:
            self._start(lambda: self._end_all(peer))

    def thin_out(self) -> None:
        """Bring the peers that have too many subscriptions below their bound."""
        while self._crowded:
            peer = self._crowded.pop()
            self._shorten(peer, min(self._limits.subscriptions // _SHARE, _AT_ONCE))

    def _over(self) -> None:
        """Arrears are beyond their bound: soon, as whoever adds to them is in the middle of it."""
        if not self._relieving:
            self._relieving = True
            self._start(self._relieve)

    async def _relieve(self) -> None:
        self._relieving = False
        while self._arrears.is_over and self._peers:
            self._expel(max(self._peers, key=lambda p: p.arrears.size), BEHIND)

    async def check_total(self) -> None:
        """Take from those that have most until the total is within its bound."""
        while (
            sum(len(peer.subscriptions) for peer in self._peers) > self._limits.total_subscriptions
        ):
            peer = max(self._peers, key=lambda p: len(p.subscriptions))
            before = len(peer.subscriptions)
            self._shorten(peer, min(max(before // _SHARE, 1), _AT_ONCE))
            if len(peer.subscriptions) == before:
                return
            await anyio.lowlevel.checkpoint()

    def _shorten(self, peer: Peer, count: int) -> None:
        """End some of the oldest of `count` subscriptions that nothing is on its way for."""
        for covalue_id in list(islice(peer.subscriptions, count)):
            subscription = peer.subscriptions[covalue_id]
            covalue = self._residents.peek(covalue_id)
            unknown = covalue is None or covalue.header is None
            idle = subscription.tail is None and covalue_id not in peer.lagging
            if subscription.in_step or (unknown and idle):
                self._residents.forget_subscriber(covalue_id, peer)
                self._conduct.note(peer, "unsubscribed", "peer.unsubscribed", covalue=covalue_id)
            else:
                # It gets its turn again as if it were the newest.
                peer.subscriptions[covalue_id] = peer.subscriptions.pop(covalue_id)
        if len(peer.subscriptions) > 2 * self._limits.subscriptions:
            peer.disconnect(*UNREAD)

    def _end(self, peer: Peer, count: int) -> None:
        for covalue_id in list(islice(peer.subscriptions, count)):
            self._residents.forget_subscriber(covalue_id, peer)

    async def _end_all(self, peer: Peer) -> None:
        while peer.subscriptions:
            self._end(peer, _AT_ONCE)
            await anyio.lowlevel.checkpoint()
