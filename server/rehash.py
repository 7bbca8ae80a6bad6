"""Running hashes, from the store: for sessions that are written again after a while."""

from __future__ import annotations

from typing import Final

from protocol.content import split_transactions
from protocol.session_log import Chain
from server.errors import StoreDamaged
from server.store.interface import Range
from server.store.patient import PatientReads

_READ_BYTES: Final = 4 * 1024 * 1024


async def rehash(reads: PatientReads, covalue_id: str, session: str, count: int) -> Chain:
    """The hash chain of a session after its first `count` transactions, all of them durable.

    If the store does not have them all (it is damaged), the chain verifies nothing that follows.
    """
    chain, held = Chain(), 0
    while held < count:
        rows = await reads.read([Range(covalue_id, session, held, count)], _READ_BYTES)
        for _, chunk in rows:
            if chunk.first == held:
                chain.extend(split_transactions(chunk.data))
                held += chunk.count
        if not rows or rows[-1][1].first + rows[-1][1].count != held:
            reads.note(StoreDamaged("transactions are missing", covalue_id, session, held))
            break
    return chain
