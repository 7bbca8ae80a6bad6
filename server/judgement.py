"""May this author delete that CoValue? Reads the owning group's history and folds it."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Final

import anyio
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
_READ_BYTES: Final = 256 * 1024
_SHORT_BYTES: Final = 64 * 1024
_CHUNK_BYTES: Final = 200
"""What a chunk costs beside its data."""
_decode: Final = msgspec.json.Decoder(list[Transaction]).decode


class _Unanswerable(Exception):
    """A history is too long, or too damaged, to be judged."""


class Judge:
    """Reads groups from the store to say who had which role."""

    def __init__(
        self, residents: Residents, journal: Journal, reads: PatientReads, limit: int
    ) -> None:
        """`limit` is how many bytes of history are looked at for one verdict."""
        self._residents = residents
        self._journal = journal
        self._reads = reads
        self._limit = limit

    async def may_delete(
        self, group_id: str, questions: Collection[tuple[str, int]]
    ) -> dict[tuple[str, int], bool]:
        """Of each `(author, at)`: whether that is an admin of the group at that time (ms).

        Inherited roles included. Nobody is, of groups whose history is damaged, or too long to be
        looked at.
        """
        groups: dict[str, Group] = {}
        wanted = {group_id}
        size = 0
        try:
            while wanted and len(groups) < _GROUPS:
                covalue_id = wanted.pop()
                parents, read = await self._read(covalue_id, groups, self._limit - size)
                size += read
                wanted |= parents - groups.keys()
        except _Unanswerable as error:
            log.warning("group.unanswerable", covalue=group_id, error=str(error))
            return dict.fromkeys(questions, False)
        group = groups.get(group_id)
        if group is None:
            return dict.fromkeys(questions, False)
        ask = partial(_verdicts, group, questions)
        # Long histories take long: in a thread, they hold up nobody but who asks.
        return ask() if size <= _SHORT_BYTES else await anyio.to_thread.run_sync(ask)

    async def _read(
        self, covalue_id: str, groups: dict[str, Group], limit: int
    ) -> tuple[set[str], int]:
        """Add the group to `groups`; return what it ever named as a parent, and its bytes.

        Raises `_Unanswerable` if these are more than `limit`, or if it is damaged: what is missing
        may be what took a role away.
        """
        size = 0
        async with self._residents.held([covalue_id]) as (covalue,):
            if covalue.lost or covalue.cut:
                raise _Unanswerable(f"{covalue_id} is damaged")
            if covalue.header is None or not covalue.header.is_group:
                return set(), size
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
                        raise _Unanswerable(f"{covalue_id} is damaged")
                    for _, chunk in rows:
                        size += len(chunk.data) + _CHUNK_BYTES
                        if size > limit:
                            raise _Unanswerable(f"more than {self._limit} bytes of history")
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
            return parents, size


def _verdicts(group: Group, questions: Collection[tuple[str, int]]) -> dict[tuple[str, int], bool]:
    verdicts = dict.fromkeys(questions, False)
    try:
        for author, at in questions:
            verdicts[author, at] = group.role_of(author, at) == "admin"
    except RecursionError:
        log.warning("group.too_deep", covalue=group.header.id)
    return verdicts
