"""Reads of transactions that wait for the store to recover, as callers could do nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, TypeVar

import anyio
import structlog

from protocol.content import Chunk
from server.errors import StoreUnavailable
from server.store.interface import Range, Store, StoredCoValue

T = TypeVar("T")

log: Final = structlog.get_logger(__name__)

_RETRY_S: Final = 1.0


class PatientReads:
    """`load` and `read` of a store; `read` tried again every second while it is unavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.waiting = 0
        """How many callers of `read` wait for the store to be readable again."""

    async def load(self, ids: Collection[str]) -> dict[str, StoredCoValue]:
        """See `Store.load`. Not tried again: other values may well be readable."""
        return await self._store.load(ids)

    async def read(self, ranges: Sequence[Range], limit: int) -> list[tuple[Range, Chunk]]:
        """See `Store.read`."""
        return await self._again_and_again(lambda: self._store.read(ranges, limit))

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
