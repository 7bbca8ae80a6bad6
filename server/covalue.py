"""One CoValue in memory: what is known of it, who listens, what waits.

Transactions are not kept here; they live in the store. What is here is the header, a count per
session, and, for sessions that are being written, the running hash. A CoValue that nobody has used
for a while is let go (`release`): its record stays only as long as somebody is subscribed to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from protocol.header import Header, stored_header
from protocol.ids import parse_session_id
from protocol.known_state import Sessions
from protocol.messages import Content, Known, Load
from protocol.session_log import Chain
from server.outbox import LANE_OF_PRIORITY
from server.peer import Peer
from server.store.interface import StoredCoValue
from server.subscription import Subscription

BASE_BYTES: Final = 1_500
_SESSION_BYTES: Final = 500
_WRITER_BYTES: Final = 2_500


class Writer(NamedTuple):
    """A session that is being written: where its hash stands and who signs it."""

    chain: Chain
    signer: bytes


class Item(NamedTuple):
    """A message that a peer sent about this CoValue."""

    peer: Peer
    message: Load | Known | Content
    size: int
    """Bytes on the wire."""


@dataclass(slots=True)
class Parked:
    """Content that waits for CoValues which its sender has been asked for."""

    item: Item
    missing: set[str]
    """Empty if it only waits behind other content of the same peer."""
    deadline: float
    """On the node's clock, in s."""


Acks: TypeAlias = dict[Peer, bool]
"""Who is to be told the known state, and whether as a correction."""


class CoValue:
    """One CoValue. Created empty (`resident` is false) and filled from the store."""

    __slots__ = (
        "acks",
        "busy",
        "counts",
        "deleted",
        "dependencies",
        "durable",
        "erased",
        "header",
        "id",
        "inbox",
        "named",
        "parked",
        "pending",
        "pins",
        "resident",
        "starved",
        "subscribers",
        "ticket",
        "verdicts",
        "weight",
        "writers",
    )

    def __init__(self, covalue_id: str) -> None:
        self.id = covalue_id
        self.resident = False
        """Whether what the store knows is here."""
        self.header: Header | None = None
        """`None`: not resident, or it does not exist."""
        self.deleted = False
        self.erased = False
        """Whether it is deleted on disk, too."""
        self.counts: Sessions = {}
        """Transactions per session, those included that are not durable yet."""
        self.durable: Sessions = {}
        """Transactions per session that are on disk: all that may be acknowledged."""
        self.dependencies: set[str] = set()
        """What a peer must have before this."""
        self.named: set[str] = set()
        """Of a group: those of the dependencies that its transactions name."""
        self.writers: dict[str, Writer] = {}
        self.subscribers: dict[Peer, Subscription] = {}
        self.inbox: list[Item] = []
        self.busy = False
        """Whether a task is fetching what the inbox needs."""
        self.pending = 0
        """Changes that are appended and not settled."""
        self.ticket = 0
        """The journal's ticket of the latest change."""
        self.acks: Acks = {}
        """Of the latest pending change: told when it is durable."""
        self.parked: list[Parked] = []
        self.starved: set[Peer] = set()
        """Whose parked content was dropped: they are asked to send again once it can be used."""
        self.pins = 0
        """How many tasks need this to stay in memory."""
        self.verdicts: dict[tuple[str, int], bool] = {}
        """Who (author, madeAt in ms) may delete this, as far as content in the inbox asks."""
        self.weight = 0
        """The `size` that the node last accounted for."""

    @property
    def size(self) -> int:
        """Roughly the bytes that this takes in memory, subscribers not counted."""
        return (
            BASE_BYTES
            + _SESSION_BYTES * len(self.counts)
            + _WRITER_BYTES * len(self.writers)
            + 100 * len(self.dependencies)
        )

    @property
    def is_idle(self) -> bool:
        """Whether nothing is going on that needs what is in memory."""
        return not (
            self.busy or self.pins or self.pending or self.inbox or self.parked or self.starved
        )

    def subscribe(self, peer: Peer) -> Subscription:
        """The peer's subscription, made if there is none (and forgotten if the peer is gone)."""
        subscription = self.subscribers.get(peer)
        if subscription is None:
            subscription = Subscription()
            if not peer.closed:
                self.subscribers[peer] = subscription
                peer.subscribe(self.id, subscription)
        return subscription

    def choose_lane(self, peer: Peer) -> None:
        """Choose the lane for a peer: the priority's, or that of a later dependency."""
        assert self.header is not None
        lane = LANE_OF_PRIORITY[self.header.priority]
        for dependency in self.dependencies:
            other = peer.subscriptions.get(dependency)
            if other is not None and other.lane > lane:
                lane = other.lane
        self.subscribers[peer].lane = lane

    def fill(self, stored: StoredCoValue | None) -> None:
        """Take in what the store knows (`None`: nothing)."""
        self.resident = True
        if stored is None:
            return
        self.header = stored_header(self.id, stored.header)
        self.deleted = self.erased = stored.deleted
        self.counts = stored.sessions
        self.durable = dict(stored.sessions)
        self.named = stored.dependencies
        self.dependencies = {*self.header.dependencies, *stored.dependencies}
        for session in stored.sessions:
            author = parse_session_id(session).author
            if author.startswith("co_z"):
                self.dependencies.add(author)
        self.dependencies.discard(self.id)

    def create(self, header: Header) -> None:
        """Begin a new CoValue with a verified header."""
        self.header = header
        self.dependencies = set(header.dependencies)

    def erase(self) -> None:
        """Become a tombstone: forget every session but the delete sessions."""
        self.deleted = True
        self.counts = {s: n for s, n in self.counts.items() if parse_session_id(s).deletes}
        self.durable = {s: n for s, n in self.durable.items() if parse_session_id(s).deletes}
        self.writers.clear()

    def release(self) -> None:
        """Let go of everything that can be had again from the store."""
        self.resident = False
        self.header = None
        self.counts = {}
        self.durable = {}
        self.dependencies = set()
        self.named = set()
        self.writers = {}
