"""What a store must do.

The node keeps one `Store`. It appends through `commit`, whose return means *durable*, and it reads
what is durable. Appends are conditional: each states where its sessions stand, and the store
refuses one that finds them elsewhere. So two writers can never fork a session.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from protocol.content import Chunk
from protocol.known_state import Sessions

LOADED: Final = 20_000
"""The `size` of several CoValues that are loaded in one go; one may have any."""


class StoredCoValue(msgspec.Struct):
    """All that the store knows of a CoValue, less its transactions."""

    header: bytes
    """The header's canonical text."""
    deleted: bool
    sessions: Sessions
    dependencies: set[str]
    """Members and parents named by a group's transactions; others follow from the header."""
    damaged: dict[str, str] = msgspec.field(default_factory=dict)
    """Why its sessions are damaged, from the counts in `sessions` on; under `""`, all of it."""

    @property
    def size(self) -> int:
        """Sessions and dependencies."""
        return len(self.sessions) + len(self.dependencies)


class Loaded(dict[str, StoredCoValue]):
    """What is stored of CoValues, by id."""

    rest: Sequence[str] = ()
    """Ids that were not looked at, because what was found before takes enough memory."""


class Change(msgspec.Struct):
    """What one commit does to one CoValue: all of it or nothing."""

    covalue: str
    header: bytes | None = None
    """The canonical header of a new CoValue, which must not exist; `None` for one that must."""
    dependencies: list[str] = msgspec.field(default_factory=list)
    chunks: list[Chunk] = msgspec.field(default_factory=list)
    """Each one's `first` must be the number of transactions that its session then has."""
    erase: bool = False
    """Mark the CoValue as deleted and erase all but its delete sessions, before the chunks."""

    @property
    def size(self) -> int:
        """Roughly how many bytes the change holds."""
        return len(self.header or b"") + sum(len(chunk.data) for chunk in self.chunks) + 200


class Range(NamedTuple):
    """Transactions `start` up to, not including, `stop` of a session."""

    covalue: str
    session: str
    start: int
    stop: int


class Store(Protocol):
    """Durable CoValues. One task commits at a time; reads may go on meanwhile."""

    async def load(self, ids: Collection[str]) -> Loaded:
        """The CoValues among `ids` that are stored, until their size is `LOADED`.

        At least one id is looked at. Raises `StoreUnavailable`.
        """

    async def read(self, ranges: Sequence[Range], limit: int) -> list[tuple[Range, Chunk]]:
        """Chunks that cover the ranges, in their order, until `limit` bytes are reached.

        The first chunk of a range may begin before its start and the last may end past its stop. At
        least one chunk comes back if there is any. What is damaged never comes back: chunks end
        before it. Raises `StoreDamaged` if it comes first, and `StoreUnavailable`.
        """

    async def commit(self, changes: Sequence[Change]) -> list[bool]:
        """Apply the changes in order; on return they are durable.

        Says of each whether its conditions held; one whose conditions did not hold changed nothing.
        Raises `StoreUnavailable` if none of them was applied.
        """

    async def close(self) -> None:
        """Release files and threads. Nothing else may be called afterwards."""
