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
_AT_ONCE: Final = 25
_VALUE_BYTES: Final = 200
"""Of an id, and a hash beside it, that is remembered."""


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
        size = _VALUE_BYTES * len(message.values)
        peer.arrears.add(size)
        try:
            await self._compare(peer, message)
        finally:
            peer.comparing -= 1
            peer.arrears.add(-size)

    async def _compare(self, peer: Peer, message: Reconcile) -> None:
        values = {i: digest for i, digest in message.values if is_covalue_id(i)}
        asked = await self._differing(values)
        if not asked:
            peer.tell(encode_reconcile_ack(message.id))
            return
        if not peer.closed:
            before = peer.batches.get(message.id, ())
            peer.batches[message.id] = set(asked)
            peer.arrears.add(_VALUE_BYTES * (len(asked) - len(before)))
        for covalue_id in asked:
            # What is told of one value may be large, and there may be many: none is kept in memory
            # for a peer that does not read.
            await peer.outbox.room()
            async with self._residents.held([covalue_id]) as [covalue]:
                peer.tell(encode_load(covalue_id, covalue.header is not None, covalue.durable))

    async def _differing(self, values: dict[str, str]) -> list[str]:
        """The ids of those that do not have the hash that is given for them."""
        differing: list[str] = []
        rest = list(values)
        while rest:
            ids, rest = rest[:_AT_ONCE], rest[_AT_ONCE:]
            self._residents.prefetch(ids)
            for covalue_id in ids:
                # One by one: all together may be more than may be kept in memory.
                async with self._residents.held([covalue_id]) as [covalue]:
                    await self._journal.settled(covalue.ticket)
                    await anyio.lowlevel.checkpoint()
                    if covalue.lost:
                        continue  # Nothing of it could be taken.
                    exists = covalue.header is not None
                    if not exists or sessions_hash(covalue.durable) != values[covalue_id]:
                        differing.append(covalue_id)
        return differing

    @staticmethod
    def answered(covalue: CoValue, peer: Peer) -> None:
        """The peer has said all that it has to say about `covalue`."""
        for batch in [b for b, asked in peer.batches.items() if covalue.id in asked]:
            peer.batches[batch].discard(covalue.id)
            peer.arrears.add(-_VALUE_BYTES)
            if not peer.batches[batch]:
                del peer.batches[batch]
                peer.tell(encode_reconcile_ack(batch))
