"""Who does what it should not: counted, logged the first few times, closed if it does not stop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

from server.offences import MALFORMED
from server.peer import Peer

log: Final = structlog.get_logger(__name__)

_FREE: Final = 1_000.0
_FORGOTTEN_PER_S: Final = 1.0
_LOGGED: Final = 10


class Conduct:
    """Counts what peers do, logs the first of it, and closes who does not stop."""

    def __init__(self, counters: Counter[str], clock: Callable[[], float]) -> None:
        """`counters` are those of `/health`; `clock` gives seconds."""
        self.counters = counters
        self._clock = clock

    def note(self, peer: Peer, what: str, event: str, **shown: str) -> None:
        """Count `what`, and log it as `event` unless the peer did it ten times before."""
        self.counters[what] += 1
        counts = peer.offences.counts
        counts[what] += 1
        if counts[what] <= _LOGGED:
            log.info(event, peer=peer.name, **shown)
        elif counts[what] == _LOGGED + 1:
            log.info("peer.offends", peer=peer.name, what=what, more="is only counted")

    def malformed(self, peer: Peer, error: Exception) -> bool:
        """A line was no message. Who sends nothing else is closed. Returns whether it is."""
        self.note(peer, "malformed", "message.malformed", error=str(error))
        record, now = peer.offences, self._clock()
        record.score = max(record.score - (now - record.at) * _FORGOTTEN_PER_S, 0) + 1
        record.at = now
        if record.score <= _FREE:
            return False
        peer.disconnect(*MALFORMED)
        return True

    def left(self, peer: Peer) -> None:
        """The peer is gone: say how much there was, if not all of it was logged."""
        for what, times in peer.offences.counts.items():
            if times > _LOGGED:
                log.info("peer.offended", peer=peer.name, what=what, times=times)
        peer.offences.counts.clear()
