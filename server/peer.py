"""One connection, as the node sees it: what it holds, what it was told, what waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from protocol.known_state import Sessions, covers, merge
from server.covalue import CoValue
from server.outbox import CONTROL, LANE_OF_PRIORITY, Lane, Outbox

_TAIL_BYTES: Final = 256 * 1024


class Subscription:
    """A peer's interest in one CoValue, and what it holds of it.

    Nearly always the peer is *in step*: it holds (or is being sent, which on one ordered connection
    is the same) all that there is. Only while it is not does `known` say what it holds.
    """

    __slots__ = ("_tail_size", "claims", "header", "known", "lane", "tail")

    def __init__(self) -> None:
        self.known: Sessions | None = {}
        """`None`: in step. Else what the peer holds or has been sent."""
        self.header = False
        """Whether the peer holds the header; meant while it is not in step."""
        self.claims: Sessions | None = None
        """Of a deleted CoValue: what the peer ever said that it holds."""
        self.lane: Lane = 1
        """The outbox lane of this CoValue: never before that of a dependency."""
        self.tail: list[bytes] | None = None
        """While content is being delivered: what was appended since, to follow it."""
        self._tail_size = 0

    @property
    def in_step(self) -> bool:
        """Whether the peer holds, or is being sent, all that there is."""
        return self.known is None

    def replace(self, header: bool, sessions: Sessions) -> None:
        """The peer says exactly what it holds."""
        self.header, self.known, self.tail = header, sessions, None

    def merge(self, header: bool, sessions: Sessions) -> None:
        """The peer says that it holds at least this."""
        if self.known is not None:
            self.header = self.header or header
            merge(self.known, sessions)

    def settle(self, covalue: CoValue) -> bool:
        """Note that the peer is in step if it is. Returns whether it is."""
        if self.known is not None and self.header and covers(self.known, covalue.counts):
            self.known = self.tail = None
        return self.known is None

    def open_tail(self) -> None:
        """From now on keep what is appended, until the delivery under way has caught up."""
        self.tail, self._tail_size = [], 0

    def extend_tail(self, pieces: list[bytes]) -> None:
        """Keep pieces for after the delivery; give up (deliver again) if they become too many."""
        if self.tail is not None:
            self.tail += pieces
            self._tail_size += sum(map(len, pieces))
            if self._tail_size > _TAIL_BYTES:
                self.tail = None


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

    def subscribe(self, covalue: CoValue) -> Subscription:
        """The subscription to `covalue`, made if there is none (and forgotten if all is over)."""
        subscription = self.subscriptions.get(covalue.id)
        if subscription is None:
            subscription = Subscription()
            if not self.closed:
                self.subscriptions[covalue.id] = covalue.subscribers[self] = subscription
        return subscription

    def set_lane(self, covalue: CoValue, subscription: Subscription) -> None:
        """Choose the lane for the content: its priority's, or a dependency's later one."""
        assert covalue.header is not None
        lane = LANE_OF_PRIORITY[covalue.header.priority]
        for dependency in covalue.dependencies:
            other = self.subscriptions.get(dependency)
            if other is not None and other.lane > lane:
                lane = other.lane
        subscription.lane = lane
