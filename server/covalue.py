"""One CoValue in memory: what is known of it, who listens, what waits.

Transactions are not kept here; they live in the store. What is here is the header, a count per
session, and, for sessions that are being written, the running hash. A CoValue that nobody has used
for a while is let go (`release`): its record stays only as long as somebody is subscribed to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

import msgspec

from protocol.errors import ProtocolError
from protocol.header import Header, stored_header
from protocol.ids import parse_session_id
from protocol.known_state import Sessions
from protocol.messages import Content, Known, Load
from protocol.session_log import Chain
from server.errors import StoreDamaged
from server.outbox import LANE_OF_PRIORITY
from server.peer import Peer
from server.store.interface import StoredCoValue
from server.subscription import Subscription

BASE_BYTES: Final = 2_000
_SESSION_BYTES: Final = 500
_WRITER_BYTES: Final = 2_500
_WRITERS: Final = 1_000
"""Sessions of one CoValue whose hashes stay in memory if there is too little of that."""
_PORTION: Final = 1_000
# Most CoValues have none of these, and an empty set of their own would be 200 bytes.
_NOTHING: Final[frozenset[str]] = frozenset()
_NOBODY: Final[frozenset[Peer]] = frozenset()


class Writer(NamedTuple):
    """A session that is being written: where its hash stands and who signs it."""

    chain: Chain
    signer: bytes


class Item(msgspec.Struct, frozen=True):
    """A message that a peer sent about this CoValue."""

    peer: Peer
    message: Load | Known | Content
    size: int
    """Bytes on the wire."""
    woken: bool = False
    """Whether it was parked: what still is parked of its peer came after it."""


class Parked(msgspec.Struct):
    """Content that waits for CoValues which its sender has been asked for."""

    item: Item
    missing: set[str]
    """Empty if it only waits behind other content of the same peer."""
    deadline: float
    """On the node's clock, in s."""


def _sound_header(covalue_id: str, stored: StoredCoValue) -> Header:
    """The header, if all that is stored beside it can be what was stored."""
    if why := stored.damaged.get(""):
        raise StoreDamaged(why)
    if not isinstance(stored.header, bytes):
        raise StoreDamaged("its header is no text")
    header = stored_header(covalue_id, stored.header)
    if stored.deleted and not stored.sessions and not stored.damaged:
        raise StoreDamaged("it is deleted, and the delete session is missing")
    return header


def _sound_authors(sessions: Iterable[str], deleted: bool) -> set[str]:
    """The accounts that wrote the sessions, if these can be what was stored."""
    authors: set[str] = set()
    for session in sessions:
        author, deletes = parse_session_id(session)
        # A deletion erases all else in the commit that stores it, so the two prove each other.
        if deletes != deleted:
            raise StoreDamaged("whether it is deleted does not fit the sessions that it has")
        if author.startswith("co_z"):
            authors.add(author)
    return authors


Acks: TypeAlias = dict[Peer, bool]
"""Who is to be told the known state, and whether as a correction."""


class CoValue:
    """One CoValue. Created empty (`resident` is false) and filled from the store."""

    __slots__ = (
        "acks",
        "busy",
        "counts",
        "cut",
        "deleted",
        "dependencies",
        "durable",
        "erased",
        "header",
        "id",
        "inbox",
        "lost",
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
        self.lost = False
        """Whether what the store has of it is damaged as a whole: nothing is sent or taken."""
        self.cut: AbstractSet[str] = _NOTHING
        """Sessions that are damaged where their count ends: sent up to there, not extended."""
        self.counts: Sessions = {}
        """Transactions per session, those included that are not durable yet."""
        self.durable: Sessions = {}
        """Transactions per session that are on disk: all that may be acknowledged."""
        self.dependencies: set[str] = set()
        """What a peer must have before this."""
        self.named: set[str] | frozenset[str] = _NOTHING
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
        self.starved: AbstractSet[Peer] = _NOBODY
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
            + (0 if self.header is None else len(self.header.canonical))
            + _SESSION_BYTES * len(self.counts)
            + _WRITER_BYTES * len(self.writers)
            + 150 * len(self.dependencies)
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
            subscription = Subscription(None if peer.closed else peer.arrears)
            if not peer.closed:
                self.subscribers[peer] = subscription
                peer.subscribe(self.id, subscription)
        return subscription

    def choose_lane(self, peer: Peer, dependencies: Iterable[str]) -> None:
        """Choose the lane for a peer: the priority's, or that of a dependency that has a later one.

        Never one before the last one's: what was sent in that may still wait there.
        """
        assert self.header is not None
        subscription = self.subscribers[peer]
        lane = LANE_OF_PRIORITY[self.header.priority]
        for dependency in dependencies:
            other = peer.subscriptions.get(dependency)
            if other is not None and other.lane > lane:
                lane = other.lane
        if lane > subscription.lane:
            subscription.lane = lane

    def filling(self, stored: StoredCoValue | None) -> Iterator[None]:
        """Take in what the store knows (`None`: nothing), a thousand sessions at a time.

        Raises `StoreDamaged`, and is lost, if that cannot be what was stored.
        """
        if stored is None:
            self.resident = True
            return
        authors: set[str] = set()
        try:
            header = _sound_header(self.id, stored)
            _sound_authors(stored.damaged, stored.deleted)
            sessions = list(stored.sessions)
            for at in range(0, len(sessions), _PORTION):
                if at:
                    yield
                authors |= _sound_authors(sessions[at : at + _PORTION], stored.deleted)
        except (ProtocolError, StoreDamaged) as error:
            self.resident = self.lost = True
            raise StoreDamaged(str(error), self.id) from None
        self.resident = True
        self.header = header
        self.cut = frozenset(stored.damaged)
        self.deleted = self.erased = stored.deleted
        self.counts = stored.sessions
        self.durable = dict(stored.sessions)
        self.named = stored.dependencies or _NOTHING
        self.dependencies = {*header.dependencies, *stored.dependencies, *authors}
        self.dependencies.discard(self.id)

    def create(self, header: Header) -> None:
        """Begin a new CoValue with a verified header."""
        self.header = header
        self.dependencies = set(header.dependencies)

    def name(self, others: set[str]) -> None:
        """Transactions of this group name these."""
        if self.named:
            self.named |= others
        elif others:
            self.named = set(others)

    def spare_writers(self) -> bool:
        """Let go of most running hashes, if there are many. Returns whether there were.

        Not while something waits for them (`busy`): they were brought back for it.
        """
        if self.busy or len(self.writers) <= 2 * _WRITERS:
            return False
        self.writers = dict(islice(self.writers.items(), len(self.writers) - _WRITERS, None))
        return True

    def erase(self) -> None:
        """Become a tombstone: forget every session but the delete sessions."""
        self.deleted = True
        self.counts = {s: n for s, n in self.counts.items() if parse_session_id(s).deletes}
        self.durable = {s: n for s, n in self.durable.items() if parse_session_id(s).deletes}
        self.writers.clear()
        self.cut = frozenset(s for s in self.cut if parse_session_id(s).deletes)

    def cut_at(self, session: str, index: int) -> None:
        """A session was found to be damaged from its transaction `index` on."""
        self.cut |= {session}
        self.writers.pop(session, None)
        for counts in (self.counts, self.durable):
            if index < counts.get(session, 0):
                counts[session] = index
            if not counts.get(session):
                counts.pop(session, None)

    def release(self) -> None:
        """Let go of everything that can be had again from the store."""
        self.resident = False
        self.header = None
        self.lost = False
        self.cut = _NOTHING
        self.counts = {}
        self.durable = {}
        self.dependencies = set()
        self.named = _NOTHING
        self.writers = {}
