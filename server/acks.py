"""Acknowledgements: one `known` per CoValue and commit to everybody who waits for it.

An acknowledgement covers only what is durable. What is asked for while changes are on their way to
the disk is answered when the latest of them has arrived.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from protocol.known_state import merge
from protocol.messages import encode_known
from server.covalue import Acks, CoValue
from server.peer import Peer

_LARGE: Final = 1_000
"""Sessions with which one `known` is so large that not every commit's should be sent."""
_OWED: Final = 4


class Acknowledger:
    """Sends `known` messages, batched per commit."""

    def __init__(self, on_told: Callable[[CoValue, Peer], None]) -> None:
        """`on_told` is called after a peer was told a known state."""
        self._on_told = on_told
        self._due: dict[CoValue, Acks] = {}
        self._owed: dict[Peer, dict[CoValue, bool]] = {}
        """Large ones, for those who have not read others: the latest says all of it."""

    def ask(self, covalue: CoValue, peer: Peer, *, correction: bool = False) -> None:
        """Tell the peer the known state, now or with the next commit that concerns it.

        `correction` makes the peer forget what it believes of this server and send what lacks.
        """
        if covalue.pending:
            covalue.acks[peer] = covalue.acks.get(peer, False) or correction
        else:
            self._tell(covalue, {peer: correction})

    def settled(self, covalue: CoValue, acks: Acks) -> None:
        """The change that these acknowledgements waited for is durable."""
        if covalue.deleted and not covalue.erased:
            # What a tombstone makes void is acknowledged with the tombstone, not before.
            for peer, correction in acks.items():
                covalue.acks[peer] = covalue.acks.get(peer, False) or correction
            return
        due = self._due.setdefault(covalue, {})
        for peer, correction in acks.items():
            due[peer] = due.get(peer, False) or correction

    def flush(self) -> None:
        """Send what `settled` gathered: called once a commit."""
        due, self._due = self._due, {}
        for covalue, acks in due.items():
            self._tell(covalue, acks)

    def drained(self, peer: Peer) -> None:
        """The peer has read what waited for it."""
        for covalue, correction in self._owed.pop(peer, {}).items():
            covalue.pins -= 1
            self.ask(covalue, peer, correction=correction)

    def forget(self, peer: Peer) -> None:
        """The peer is gone."""
        for covalue in self._owed.pop(peer, ()):
            covalue.pins -= 1

    def _owe(self, covalue: CoValue, peer: Peer, correction: bool) -> bool:
        """Tell the peer later, if it does not get on with reading. Returns whether it is."""
        if not peer.backlogged or len(covalue.durable) <= _LARGE:
            return False
        owed = self._owed.setdefault(peer, {})
        if covalue not in owed:
            if len(owed) >= _OWED:
                return False
            covalue.pins += 1
        owed[covalue] = owed.get(covalue, False) or correction
        return True

    def _tell(self, covalue: CoValue, acks: Acks) -> None:
        exists = covalue.header is not None
        encoded: dict[bool, bytes] = {}
        for peer, correction in acks.items():
            if peer.closed or self._owe(covalue, peer, correction):
                continue
            if covalue.deleted:
                message = self._of_deleted(covalue, peer)
            elif (message := encoded.get(correction, b"")) == b"":
                message = encoded[correction] = encode_known(
                    covalue.id, exists, covalue.durable, correction=correction
                )
            peer.tell(message)
            self._on_told(covalue, peer)

    @staticmethod
    def _of_deleted(covalue: CoValue, peer: Peer) -> bytes:
        """Never a correction, and it covers all the peer ever claimed: old clients keep quiet.

        See cojson `coValueCore.ts`, `stopSyncingKnownStateMessage`.
        """
        subscription = peer.subscriptions.get(covalue.id)
        sessions = dict(covalue.durable)
        if subscription is not None and subscription.claims:
            merge(sessions, subscription.claims)
        return encode_known(covalue.id, True, sessions)
