"""Backpressure: who is not read from, because too much of what they sent is not dealt with.

Bytes count from their arrival until what they brought is durable, refused, skipped or parked
(parked content has a bound of its own).
"""

from __future__ import annotations

from typing import Final

from server.limits import Limits
from server.peer import Peer

_SHARE_BYTES: Final = 16 * 1024
"""In hand of a peer that is read from while there is too much of all."""


class Backpressure:
    """Accounts for bytes in hand, per peer and in total.

    While there is too much in total, only those are read from of whom next to nothing is in hand:
    who floods the server does not keep it from others' small edits. Past twice the total, nobody.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._peers: set[Peer] = set()
        self._held = 0
        self._most = limits.held_bytes
        """What may be in hand of one peer now, before it is not read from any more."""

    def join(self, peer: Peer) -> None:
        """A peer is there."""
        self._peers.add(peer)
        if self._most < 0:
            peer.throttle(True)

    def leave(self, peer: Peer) -> None:
        """A peer is gone; what it sent no longer counts."""
        self._peers.discard(peer)
        self._held -= peer.held_bytes
        peer.held_bytes = 0
        self._relax()

    def hold(self, peer: Peer, size: int) -> None:
        """Bytes arrived; stop reading from the peer, or from others, if these are too many."""
        if peer not in self._peers:
            return
        peer.held_bytes += size
        self._held += size
        if self._held > self._limits.total_held_bytes:
            hard = self._held > 2 * self._limits.total_held_bytes
            self._stop_beyond(-1 if hard else min(_SHARE_BYTES, self._limits.held_bytes))
        if peer.held_bytes > self._most:
            peer.throttle(True)

    def release(self, peer: Peer, size: int) -> None:
        """Bytes are dealt with; go on reading where that helped."""
        if peer not in self._peers:
            return
        peer.held_bytes -= size
        self._held -= size
        self._relax()
        if peer.throttled and peer.held_bytes <= self._most // 2:
            peer.throttle(False)

    def _stop_beyond(self, most: int) -> None:
        if most < self._most:
            self._most = most
            for peer in self._peers:
                if peer.held_bytes > most:
                    peer.throttle(True)

    def _relax(self) -> None:
        limits = self._limits
        if self._most < limits.held_bytes and self._held <= limits.total_held_bytes // 2:
            self._most = limits.held_bytes
            for peer in self._peers:
                if peer.held_bytes <= self._most // 2:
                    peer.throttle(False)
