"""Reconciliation (0.20): a client lists what it has stored, and is asked for what differs.

Each value that is unknown here or differs is asked for with `load`; the batch is acknowledged once
each of those was answered by content (accepted and durable) or `known` (cojson `sync.ts`,
`handleReconcile`).
"""

from __future__ import annotations

from typing import Final

import anyio
import structlog

from protocol.ids import is_covalue_id, sessions_hash
from protocol.messages import Reconcile, encode_load, encode_reconcile_ack
from server.covalue import CoValue
from server.journal import Journal
from server.peer import Peer
from server.residents import Residents

log: Final = structlog.get_logger(__name__)

_VALUES: Final = 1_000
_ID_LENGTH: Final = 256


class Reconciler:
    """Answers `reconcile` messages."""

    def __init__(self, residents: Residents, journal: Journal, open_batches: int) -> None:
        """`open_batches` is how many batches one peer may have open."""
        self._residents = residents
        self._journal = journal
        self._open_batches = open_batches

    def accepts(self, peer: Peer, message: Reconcile) -> bool:
        """Whether the batch is of a size, and the peer has few enough open, to be worked on.

        If so, `compare` must follow.
        """
        if peer.comparing + len(peer.batches) >= self._open_batches:
            return False
        if len(message.values) > _VALUES or len(message.id) > _ID_LENGTH:
            return False
        peer.comparing += 1
        return True

    async def compare(self, peer: Peer, message: Reconcile) -> None:
        """Ask the peer for what differs, and acknowledge at once if nothing does."""
        try:
            await self._compare(peer, message)
        finally:
            peer.comparing -= 1

    async def _compare(self, peer: Peer, message: Reconcile) -> None:
        asked: list[CoValue] = []
        values = {i: digest for i, digest in message.values if is_covalue_id(i)}
        async with self._residents.held(values) as covalues:
            await self._journal.settled(max((c.ticket for c in covalues), default=0))
            for covalue in covalues:
                await anyio.lowlevel.checkpoint()
                if covalue.lost:
                    continue  # Nothing of it could be taken.
                exists = covalue.header is not None
                if not exists or sessions_hash(covalue.durable) != values[covalue.id]:
                    asked.append(covalue)
            if asked and not peer.closed:
                peer.batches[message.id] = {covalue.id for covalue in asked}
            for covalue in asked:
                # What is told of one value may be large, and there may be many.
                await peer.outbox.room()
                exists = covalue.header is not None
                peer.tell(encode_load(covalue.id, exists, covalue.durable))
        if not asked:
            peer.tell(encode_reconcile_ack(message.id))

    @staticmethod
    def answered(covalue: CoValue, peer: Peer) -> None:
        """The peer has said all that it has to say about `covalue`."""
        for batch in [b for b, asked in peer.batches.items() if covalue.id in asked]:
            peer.batches[batch].discard(covalue.id)
            if not peer.batches[batch]:
                del peer.batches[batch]
                peer.tell(encode_reconcile_ack(batch))
