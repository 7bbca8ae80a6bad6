"""The journal: group commit in front of the store.

While one batch is being synced to disk the next one gathers, so under load many appends share one
sync and without load an append waits for one sync only. A batch that the store cannot take now
(disk full, I/O error) is tried again until it can: nothing of it was acknowledged, and nothing
behind it overtakes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import anyio
import structlog

from server.errors import StoreUnavailable
from server.store import Change, Store

log: Final = structlog.get_logger(__name__)

_RETRY_S: Final = (0.1, 0.5, 1.0, 2.0)
_BATCH_BYTES: Final = 1024 * 1024
"""What is committed at once, about: the first part of a file is not to wait for its last."""


class _Entry(NamedTuple):
    change: Change
    done: Callable[[bool], None]


class Journal:
    """Gathers changes, commits them in batches, and says when each is durable."""

    def __init__(
        self,
        store: Store,
        on_batch: Callable[[], None],
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        """`on_batch` is called after the `done` of all changes of a batch were called.

        `clock` gives seconds: anyio's, if by a shorter way.
        """
        self._store = store
        self._clock = clock
        self._on_batch = on_batch
        self._gathered: list[_Entry] = []
        self._work: anyio.Event | None = None
        self._committed: anyio.Event | None = None
        self._closing = False
        self.appended = 0
        """How many changes were ever appended: the ticket of the latest."""
        self.committed = 0
        """How many of them are settled: durable, or refused by the store."""
        self.failure: StoreUnavailable | None = None
        """Why the store does not take the current batch, while that lasts."""
        self.committing_since: float | None = None
        """When the current batch was first given to the store, on anyio's clock."""

    @property
    def undurable(self) -> int:
        """How many changes are appended and not settled."""
        return self.appended - self.committed

    def append(self, change: Change, done: Callable[[bool], None]) -> int:
        """Queue a change; `done` learns, later, whether it was applied and is durable.

        Returns the ticket to give to `settled`.
        """
        self._gathered.append(_Entry(change, done))
        if self._work is not None:
            self._work.set()
        self.appended += 1
        return self.appended

    async def settled(self, ticket: int) -> None:
        """Wait until the change with that ticket, and all before it, are settled."""
        while self.committed < ticket:
            if self._committed is None:
                self._committed = anyio.Event()
            await self._committed.wait()

    def close(self) -> None:
        """Let `run` return once everything appended so far is settled."""
        self._closing = True
        if self._work is not None:
            self._work.set()

    async def run(self) -> None:
        """Commit batches until `close` is called and nothing is left."""
        while True:
            if self._gathered:
                await self._settle(self._take_batch())
            elif self._closing:
                return
            else:
                self._work = anyio.Event()
                await self._work.wait()
                self._work = None

    def _take_batch(self) -> list[_Entry]:
        size = 0
        for index, entry in enumerate(self._gathered):
            size += entry.change.size
            if size > _BATCH_BYTES and index:
                batch = self._gathered[:index]
                del self._gathered[:index]
                return batch
        batch, self._gathered = self._gathered, []
        return batch

    async def _settle(self, batch: list[_Entry]) -> None:
        self.committing_since = self._clock()
        results = await self._commit([entry.change for entry in batch])
        self.committing_since = None
        self.committed += len(batch)
        for entry, applied in zip(batch, results, strict=True):
            entry.done(applied)
        self._on_batch()
        if self._committed is not None:
            self._committed.set()
            self._committed = None

    async def _commit(self, changes: list[Change]) -> list[bool]:
        attempt = 0
        while True:
            try:
                results = await self._store.commit(changes)
            except StoreUnavailable as error:
                if self.failure is None:
                    log.error("store.unavailable", error=str(error), changes=len(changes))
                self.failure = error
                await anyio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
            else:
                if self.failure is not None:
                    log.info("store.recovered", attempts=attempt)
                self.failure = None
                return results
