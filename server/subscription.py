"""What a peer holds of one CoValue."""

from __future__ import annotations

from typing import Final

from protocol.known_state import Sessions, covers, merge
from server.arrears import Arrears, weight
from server.outbox import Lane

_TAIL_BYTES: Final = 256 * 1024
_STRANGE: Final = 1_000
"""Sessions that a peer may claim at once beyond those that are held here."""
_CLAIMS: Final = 10_000
"""The same, over time."""


def sensible(claimed: Sessions, counts: Sessions) -> Sessions:
    """What is worth remembering of what a peer claims to hold.

    It may hold sessions that are not held here, but not so many that they fill the memory.
    """
    if len(claimed) <= len(counts) + _STRANGE:
        return claimed
    return {session: count for session, count in claimed.items() if session in counts}


class Subscription:
    """A peer's interest in one CoValue, and what it holds of it.

    Nearly always the peer is *in step*: it holds (or is being sent, which on one ordered connection
    is the same) all that there is. Only while it is not does `known` say what it holds.
    """

    __slots__ = (
        "_arrears",
        "_counted",
        "_shared",
        "_tail_size",
        "claims",
        "header",
        "known",
        "lane",
        "tail",
    )

    def __init__(self, arrears: Arrears | None = None) -> None:
        """`arrears` are the peer's."""
        self._arrears = Arrears() if arrears is None else arrears
        self._counted = 0
        self._shared = False
        """Whether `known` is other peers', too, and must not be changed."""
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

    def replace(self, header: bool, sessions: Sessions, *, shared: bool = False) -> None:
        """The peer holds exactly this. What is `shared` is not changed here, but copied first."""
        self.header, self.known, self._shared = header, sessions, shared
        self.drop_tail()
        self._count()

    def merge(self, header: bool, sessions: Sessions) -> None:
        """The peer says that it holds at least this."""
        if self.known is not None:
            self.header = self.header or header
            merge(self.own_known(), sessions)
            self._count()

    def own_known(self) -> Sessions:
        """What the peer holds, while it is not in step: a dictionary of its own."""
        assert self.known is not None
        if self._shared:
            self.known, self._shared = dict(self.known), False
        return self.known

    def sent(self, sessions: Sessions) -> None:
        """A delivery has sent these, and the header."""
        self.header = True
        merge(self.own_known(), sessions)
        self._count()

    def caught_up(self) -> None:
        """The peer is in step."""
        self.known = None
        self.drop_tail()
        self._count()

    def claim(self, sessions: Sessions) -> None:
        """The peer says that it holds these of a deleted CoValue."""
        claims = dict(self.claims or {})
        merge(claims, sessions)
        self.claim_only(claims if len(claims) <= len(sessions) + _CLAIMS else sessions)

    def claim_only(self, sessions: Sessions) -> None:
        """These are all that the peer says that it holds of a deleted CoValue."""
        self.claims = sessions
        self._count()

    def shorten(self, counts: Sessions) -> None:
        """Forget what cannot be sensible of what was merged bit by bit."""
        if self.known is not None and len(self.known) > len(counts) + _CLAIMS:
            self.known, self._shared = sensible(self.known, counts), False
            self._count()

    def settle(self, counts: Sessions) -> bool:
        """Note that the peer is in step if it holds `counts`. Returns whether it is."""
        if self.known is not None and self.header and covers(self.known, counts):
            self.caught_up()
        return self.known is None

    def open_tail(self) -> None:
        """From now on keep what is appended, until the delivery under way has caught up."""
        self.drop_tail()
        self.tail = []

    def extend_tail(self, pieces: list[bytes]) -> None:
        """Keep pieces for after the delivery; give up (deliver again) if they become too many."""
        if self.tail is not None:
            self.tail += pieces
            self._tail_size += sum(map(len, pieces))
            self._count()
            if self._tail_size > _TAIL_BYTES or not self._arrears.has_room:
                self.drop_tail()

    def drop_tail(self) -> None:
        """Keep nothing for after a delivery: what it does not reach is delivered once more."""
        self.tail = None
        if self._tail_size:
            self._tail_size = 0
            self._count()

    def end(self) -> None:
        """The subscription has ended: whatever a delivery still says of it is not counted."""
        self._arrears.add(-self._counted)
        self._arrears = Arrears()

    def _count(self) -> None:
        size = weight(self.known) + weight(self.claims) + self._tail_size
        self._arrears.add(size - self._counted)
        self._counted = size
