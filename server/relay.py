"""Live relay: who is sent what, right after something new was accepted.

Every subscriber that was in step gets the same message, encoded once. Whoever cannot take it now
(the outbox is full), or lacks a dependency that came with it, or has something else than the rest,
falls back to what it is known to hold, and a delivery from the store brings it in step again.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from functools import cached_property

from protocol.content import PieceBuilder
from protocol.known_state import Sessions
from server.covalue import CoValue
from server.intake import Outcome
from server.peer import Peer
from server.subscription import Subscription

Deliver = Callable[[Peer, CoValue], None]


def relay(
    covalue: CoValue, outcome: Outcome, fresh_dependencies: set[str], deliver: Deliver
) -> None:
    """Bring every subscriber in step after `outcome`, or ask for a delivery to it."""
    news = _News(covalue, outcome)
    for peer, subscription in covalue.subscribers.items():
        sent = outcome.sent.get(peer)
        if fresh_dependencies and subscription.in_step:
            covalue.choose_lane(peer, fresh_dependencies)
        lacks = bool(fresh_dependencies) and not all(_holds(peer, d) for d in fresh_dependencies)
        if sent:
            _after_sending(covalue, news, peer, subscription, sent, lacks, deliver)
        elif not subscription.in_step:
            if subscription.tail is None:
                if covalue.id not in peer.lagging:
                    deliver(peer, covalue)
            elif fresh_dependencies:
                # In its turn, as the lane may be another one then.
                subscription.drop_tail()
            else:
                subscription.extend_tail(news.pieces())
        elif not outcome.chunks:
            continue
        elif lacks:
            subscription.replace(True, news.before, shared=True)
            deliver(peer, covalue)
        elif peer.outbox.is_full:
            subscription.replace(True, news.before, shared=True)
            peer.lagging.add(covalue.id)
        else:
            for piece in news.pieces():
                peer.send(subscription, piece)


def _holds(peer: Peer, covalue_id: str) -> bool:
    """Whether the peer holds a CoValue, or is being sent it ahead of what comes now.

    Not the header alone, which may be ahead of what an account is verified by (see `order`).
    """
    subscription = peer.subscriptions.get(covalue_id)
    if subscription is None or subscription.in_step:
        return subscription is not None
    return subscription.header and bool(subscription.known)


def _after_sending(
    covalue: CoValue,
    news: _News,
    peer: Peer,
    subscription: Subscription,
    sent: Sessions,
    lacks: bool,
    deliver: Deliver,
) -> None:
    """The sender holds what it sent, and is brought whatever else there is."""
    if subscription.in_step:
        own = news.sessions & sent.keys()
        complete = all(sent[session] == covalue.counts[session] for session in own)
        if complete and own == news.sessions:
            if lacks:
                deliver(peer, covalue)
            return
        if complete and not lacks and not peer.outbox.is_full:
            # Others wrote in the same turn, in sessions of their own.
            for piece in news.pieces(without=own):
                peer.send(subscription, piece)
            return
        subscription.replace(True, news.before, shared=True)
        subscription.merge(True, sent)
    else:
        # What follows a delivery under way would be an echo.
        subscription.drop_tail()
        subscription.merge(True, sent)
        if subscription.settle(covalue.counts) and not lacks:
            return
    deliver(peer, covalue)


class _News:
    """What the outcome added, encoded when first asked for."""

    def __init__(self, covalue: CoValue, outcome: Outcome) -> None:
        self._covalue = covalue
        self._outcome = outcome
        self._pieces: dict[frozenset[str], list[bytes]] = {}
        self.sessions = {c.session for c in outcome.chunks if c.session in covalue.counts}

    @cached_property
    def before(self) -> Sessions:
        """The counts without what the outcome added. Many may share it: not to be changed."""
        counts = dict(self._covalue.counts)
        for chunk in reversed(self._outcome.chunks):
            if chunk.session in counts:
                counts[chunk.session] = chunk.first
        return {session: count for session, count in counts.items() if count}

    def pieces(self, without: AbstractSet[str] = frozenset()) -> list[bytes]:
        """The new transactions as `content` messages, nearly always one.

        `without` names sessions to leave out, because the receiver wrote them.
        """
        key = frozenset(without)
        pieces = self._pieces.get(key)
        if pieces is None:
            assert self._covalue.header is not None
            builder = PieceBuilder(self._covalue.header, with_header=False, expect_until=None)
            wanted = self.sessions - key
            made = [builder.add(c) for c in self._outcome.chunks if c.session in wanted]
            pieces = [p for p in (*made, builder.end()) if p is not None]
            self._pieces[key] = pieces
        return pieces
