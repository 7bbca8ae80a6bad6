"""One connection, as the node sees it: what it holds, what it was told, what waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from server.outbox import CONTROL, Outbox
from server.subscription import Subscription


@dataclass(slots=True, eq=False)
class Peer:
    """A connected client. All that is remembered of it ends with the connection."""

    name: str
    """A number for logs; never a key or token."""
    outbox: Outbox
    set_reading: Callable[[bool], None]
    """Go on (`True`) or stop (`False`) reading from the connection."""
    disconnect: Callable[[int, str], None]
    """Close the connection, with a close code (RFC 6455 §7.4) and a reason."""
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    """Dependencies that this peer was asked for."""
    batches: dict[str, set[str]] = field(default_factory=dict)
    """`reconcile` batches with the ids that are still to be answered."""
    lagging: set[str] = field(default_factory=set)
    """CoValues whose live content did not fit into the outbox."""
    parked_bytes: int = 0
    held_bytes: int = 0
    """Bytes received from this peer and not yet dealt with."""
    throttled: bool = False
    """Whether nothing is read from the peer, because too much of it is not dealt with."""
    closed: bool = False

    def throttle(self, stop: bool) -> None:
        """Stop or go on reading from the peer."""
        if stop != self.throttled:
            self.throttled = stop
            self.set_reading(not stop)

    def tell(self, message: bytes) -> None:
        """Send an answer or a request, ahead of content."""
        if not self.closed:
            self.outbox.put(CONTROL, message)

    def send(self, subscription: Subscription, message: bytes) -> None:
        """Send content in the lane of its CoValue."""
        if not self.closed:
            self.outbox.put(subscription.lane, message)
