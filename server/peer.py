"""One connection, as the node sees it: what it holds, what it was told, what waits for it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from server.arrears import Arrears
from server.auth.identity import Identity
from server.auth.usage import Usage
from server.offences import UNREAD, Record
from server.outbox import CONTROL, Outbox
from server.subscription import Subscription


class Peer(msgspec.Struct, eq=False):
    """A connected client. All that is remembered of it ends with the connection."""

    name: str
    """A number for logs; never a key or token."""
    outbox: Outbox
    set_reading: Callable[[bool], None]
    """Go on (`True`) or stop (`False`) reading from the connection."""
    disconnect: Callable[[int, str], None]
    """Close the connection, with a close code (RFC 6455 §7.4) and a reason."""
    identity: Identity | None = None
    """Who it is, as the handshake found out; `None` where nobody asked."""
    usage: Usage = msgspec.field(default_factory=Usage)
    """What its key has used; shared by all peers of that key."""
    subscriptions: dict[str, Subscription] = msgspec.field(default_factory=dict)
    """By CoValue, the oldest first."""
    most_subscriptions: int = 2**31
    crowded: set[Peer] = msgspec.field(default_factory=set)
    """Where the peer is put if it has more."""
    arrears: Arrears = msgspec.field(default_factory=Arrears)
    """What is remembered of what it is not in step with."""
    asked: set[str] = msgspec.field(default_factory=set)
    """Dependencies that this peer was asked for."""
    batches: dict[str, set[str]] = msgspec.field(default_factory=dict)
    """`reconcile` batches with the ids that are still to be answered."""
    lagging: set[str] = msgspec.field(default_factory=set)
    """CoValues whose live content did not fit into the outbox."""
    comparing: int = 0
    """`reconcile` batches that are being compared."""
    offences: Record = msgspec.field(default_factory=Record)
    parked_bytes: int = 0
    waiting: int = 0
    """Pairs of a CoValue and one that it waits for, because of this peer."""
    held_bytes: int = 0
    """Bytes received from this peer and not yet dealt with."""
    throttled: bool = False
    """Whether nothing is read from the peer, because too much of it is not dealt with."""
    backlogged: bool = False
    """Whether nothing is read from the peer, because it does not read what it is told."""
    closed: bool = False

    def subscribe(self, covalue_id: str, subscription: Subscription) -> None:
        """Note a new subscription."""
        self.subscriptions[covalue_id] = subscription
        if len(self.subscriptions) > self.most_subscriptions:
            self.crowded.add(self)

    def throttle(self, stop: bool) -> None:
        """Stop or go on reading from the peer, as far as what it sent is concerned."""
        if stop != self.throttled:
            self.throttled = stop
            self.set_reading(not (stop or self.backlogged))

    def drained(self) -> None:
        """The outbox has room again."""
        if self.backlogged:
            self.backlogged = False
            self.set_reading(not self.throttled)

    def tell(self, message: bytes) -> None:
        """Send an answer or a request, ahead of content.

        Who does not read the answers is not read from, so that they cannot pile up.
        """
        if self.closed:
            return
        self.outbox.put(CONTROL, message)
        if self.outbox.is_full and not self.backlogged:
            self.backlogged = True
            self.set_reading(False)
        if self.backlogged and self.outbox.is_over:
            self.disconnect(UNREAD.code, UNREAD.reason)
            self.outbox.close()

    def send(self, subscription: Subscription, message: bytes) -> None:
        """Send content in the lane of its CoValue."""
        if not self.closed:
            self.outbox.put(subscription.lane, message)
