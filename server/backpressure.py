"""Backpressure: who is not read from, because too much of what they sent is not dealt with.

Bytes count from their arrival until what they brought is durable, refused, skipped or parked
(parked content has a bound of its own).
"""

from __future__ import annotations

from server.limits import Limits
from server.peer import Peer


class Backpressure:
    """Accounts for bytes in hand, per peer and in total."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._peers: set[Peer] = set()
        self._held = 0
        self._throttled = False

    def join(self, peer: Peer) -> None:
        """A peer is there."""
        self._peers.add(peer)
        if self._throttled:
            peer.throttle(True)

    def leave(self, peer: Peer) -> None:
        """A peer is gone; what it sent no longer counts."""
        self._peers.discard(peer)
        self._held -= peer.held_bytes
        peer.held_bytes = 0
        self._relax()

    def hold(self, peer: Peer, size: int) -> None:
        """Bytes arrived; stop reading from the peer, or from all, if these are too many."""
        if peer not in self._peers:
            return
        peer.held_bytes += size
        self._held += size
        if peer.held_bytes > self._limits.held_bytes:
            peer.throttle(True)
        if self._held > self._limits.total_held_bytes and not self._throttled:
            self._throttled = True
            for other in self._peers:
                other.throttle(True)

    def release(self, peer: Peer, size: int) -> None:
        """Bytes are dealt with; go on reading where that helped."""
        if peer not in self._peers:
            return
        peer.held_bytes -= size
        self._held -= size
        if self._throttled:
            self._relax()
        elif peer.throttled and peer.held_bytes <= self._limits.held_bytes // 2:
            peer.throttle(False)

    def _relax(self) -> None:
        if self._throttled and self._held <= self._limits.total_held_bytes // 2:
            self._throttled = False
            for peer in self._peers:
                if peer.held_bytes <= self._limits.held_bytes // 2:
                    peer.throttle(False)
