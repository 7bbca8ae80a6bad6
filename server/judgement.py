"""May this author delete that CoValue? Reads the owning group's history and folds it."""

from __future__ import annotations

from typing import Final

import msgspec
import structlog

from protocol.dependencies import map_sets
from protocol.roles import Group
from protocol.transaction import Transaction
from server.errors import StoreDamaged
from server.journal import Journal
from server.residents import Residents
from server.store.interface import Range
from server.store.patient import PatientReads

log: Final = structlog.get_logger(__name__)

_GROUPS: Final = 1_000
_READ_BYTES: Final = 4 * 1024 * 1024
_decode: Final = msgspec.json.Decoder(list[Transaction]).decode


class Judge:
    """Reads groups from the store to say who had which role."""

    def __init__(self, residents: Residents, journal: Journal, reads: PatientReads) -> None:
        self._residents = residents
        self._journal = journal
        self._reads = reads

    async def may_delete(self, group_id: str, author: str, at: int) -> bool:
        """Whether `author` was an admin of the group at `at` (ms), inherited roles included."""
        groups: dict[str, Group] = {}
        wanted = {group_id}
        while wanted and len(groups) < _GROUPS:
            covalue_id = wanted.pop()
            parents = await self._read(covalue_id, groups)
            if parents is None:
                return False
            wanted |= parents - groups.keys()
        group = groups.get(group_id)
        try:
            return group is not None and group.role_of(author, at) == "admin"
        except RecursionError:
            log.warning("group.too_deep", covalue=group_id, groups=len(groups))
            return False

    async def _read(self, covalue_id: str, groups: dict[str, Group]) -> set[str] | None:
        """Add the group to `groups`; return what it ever named as a parent.

        `None` if it is damaged: what is missing may be what took a role away.
        """
        async with self._residents.held([covalue_id]) as (covalue,):
            if covalue.lost or covalue.cut:
                return None
            if covalue.header is None or not covalue.header.is_group:
                return set()
            await self._journal.settled(covalue.ticket)
            group = groups[covalue_id] = Group(covalue.header, groups)
            parents: set[str] = set()
            for session, count in list(covalue.durable.items()):
                transactions: list[Transaction] = []
                while len(transactions) < count:
                    rows = await self._reads.read(
                        [Range(covalue_id, session, len(transactions), count)], _READ_BYTES
                    )
                    if not rows:
                        index = len(transactions)
                        why = "transactions are missing"
                        self._reads.note(StoreDamaged(why, covalue_id, session, index))
                        return None
                    for _, chunk in rows:
                        texts = _decode(b"[" + chunk.data + b"]")
                        transactions += texts[len(transactions) - chunk.first :]
                group.add_session(session, transactions)
                for transaction in transactions:
                    if isinstance(transaction.changes, str) and "parent_" in transaction.changes:
                        parents |= {
                            key.removeprefix("parent_")
                            for key, _ in map_sets(transaction.changes)
                            if key.startswith("parent_")
                        }
            return parents
