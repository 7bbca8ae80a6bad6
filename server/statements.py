"""What a peer says that it holds of a CoValue, by `load` or `known`, and what it gets for it.

`load` is always answered, by content or by `known`. `known` is answered by content that lacks, and
by `known` only the first time: confirmations of confirmations would have no end.
"""

from __future__ import annotations

from collections.abc import Callable

from protocol.errors import MalformedMessage
from protocol.known_state import covers
from protocol.messages import Known, Load, decode_sessions
from server.acks import Acknowledger
from server.conduct import Conduct
from server.covalue import CoValue
from server.peer import Peer
from server.reconcile import Reconciler
from server.subscription import sensible


def is_no_news(covalue: CoValue, peer: Peer, message: Known) -> bool:
    """Whether a `known` only confirms what was sent: nearly every one does."""
    subscription = peer.subscriptions.get(covalue.id)
    return (
        subscription is not None
        and subscription.in_step
        and message.header
        and not message.isCorrection
        and not peer.batches
    )


class Statements:
    """Takes in what peers hold."""

    def __init__(
        self,
        conduct: Conduct,
        acks: Acknowledger,
        deliver: Callable[[Peer, CoValue, bool], None],
    ) -> None:
        """`deliver` brings a peer in step, and may have to answer even if that takes nothing."""
        self._conduct = conduct
        self._acks = acks
        self._deliver = deliver

    def load(self, covalue: CoValue, peer: Peer, message: Load) -> None:
        """Answer with what lacks, or with the known state if nothing does."""
        subscription = covalue.subscribe(peer)
        ahead = not covalue.deleted and not covers(covalue.counts, message.sessions)
        message.sessions = sensible(message.sessions, covalue.counts)
        subscription.replace(message.header, message.sessions)
        if covalue.header is None:
            # Who says that it holds what is not here is asked to send it.
            self._acks.ask(covalue, peer, correction=message.header and not covalue.lost)
            subscription.replace(False, {})
            return
        if covalue.deleted:
            subscription.claim_only(dict(message.sessions))
        in_step = subscription.settle(covalue.counts)
        if in_step and covalue.dependencies <= peer.subscriptions.keys():
            self._acks.ask(covalue, peer, correction=ahead)
            return
        if ahead:
            self._acks.ask(covalue, peer, correction=True)
        self._deliver(peer, covalue, not ahead)

    def known(self, covalue: CoValue, peer: Peer, message: Known) -> None:
        """Note what the peer holds and send what it lacks, but answer only the first time."""
        try:
            sessions = decode_sessions(message.sessions)
        except MalformedMessage as error:
            self._conduct.malformed(peer, error)
            return
        if peer.batches:
            Reconciler.answered(covalue, peer)
        sessions = sensible(sessions, covalue.counts)
        if covalue.header is None and not message.header:
            return
        first = covalue.id not in peer.subscriptions
        subscription = covalue.subscribe(peer)
        if covalue.deleted:
            subscription.claim(sessions)
        if message.isCorrection:
            subscription.replace(message.header, sessions)
        else:
            subscription.merge(message.header, sessions)
            subscription.shorten(covalue.counts)
        if covalue.header is None:
            return
        if subscription.settle(covalue.counts):
            if first:
                self._acks.ask(covalue, peer)
        elif subscription.tail is None and covalue.id not in peer.lagging:
            self._deliver(peer, covalue, False)
