"""Reads of transactions for callers that could do nothing else than wait for the store to recover.

What is damaged does not recover: it is passed over, said in the log once, and remembered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Final, TypeVar

import anyio
import structlog

from protocol.content import Chunk
from server.errors import StoreDamaged, StoreUnavailable
from server.store.interface import Loaded, Range, Store

T = TypeVar("T")

log: Final = structlog.get_logger(__name__)

_RETRY_S: Final = 1.0
_PLACES: Final = 10_000


class PatientReads:
    """`load` and `read` of a store; `read` tried again every second while it is unavailable."""

    def __init__(
        self, store: Store, on_damage: Callable[[StoreDamaged], None] = lambda damage: None
    ) -> None:
        """`on_damage` is called whenever damage is met."""
        self._store = store
        self._on_damage = on_damage
        self.damaged: set[tuple[str, str]] = set()
        """CoValues and sessions (empty: all of it) in which damage was met, 10,000 at most."""
        self.waiting = 0
        """How many callers of `read` wait for the store to be readable again."""

    async def load(self, ids: Collection[str]) -> Loaded:
        """See `Store.load`. Not tried again: other values may well be readable."""
        return await self._store.load(ids)

    async def read(self, ranges: Sequence[Range], limit: int) -> list[tuple[Range, Chunk]]:
        """See `Store.read`. Sessions that are damaged where they were to be read are left out."""
        while True:
            try:
                return await self._again_and_again(partial(self._store.read, ranges, limit))
            except StoreDamaged as damage:
                self.note(damage)
                where = (damage.covalue, damage.session)
                ranges = [each for each in ranges if each[:2] != where]

    def note(self, damage: StoreDamaged) -> None:
        """Remember damage that was met."""
        where = (damage.covalue, damage.session)
        if where not in self.damaged and len(self.damaged) < _PLACES:
            self.damaged.add(where)
            log.error(
                "store.damaged",
                covalue=damage.covalue,
                session=damage.session or None,
                index=damage.index,
                error=str(damage),
            )
        self._on_damage(damage)

    async def _again_and_again(self, call: Callable[[], Awaitable[T]]) -> T:
        failed = False
        try:
            while True:
                try:
                    return await call()
                except StoreUnavailable as error:
                    log.error("store.unreadable", error=str(error))
                    self.waiting += not failed
                    failed = True
                    await anyio.sleep(_RETRY_S)
        finally:
            self.waiting -= failed
