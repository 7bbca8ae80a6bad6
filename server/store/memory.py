"""The store that forgets: everything in dictionaries, for tests and `--in-memory`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence

from protocol.content import Chunk
from protocol.ids import parse_session_id
from server.store.interface import LOADED, Change, Loaded, Range, StoredCoValue


class MemoryStore:
    """A `Store` in memory. A commit is as durable as the process."""

    def __init__(self) -> None:
        self._covalues: dict[str, StoredCoValue] = {}
        self._chunks: dict[tuple[str, str], list[Chunk]] = {}

    async def load(self, ids: Collection[str]) -> Loaded:
        """See `Store.load`."""
        found, size, wanted = Loaded(), 0, list(ids)
        for index, covalue_id in enumerate(wanted):
            if (stored := self._covalues.get(covalue_id)) is None:
                continue
            found[covalue_id] = StoredCoValue(
                stored.header, stored.deleted, dict(stored.sessions), set(stored.dependencies)
            )
            size += stored.size
            if size >= LOADED:
                found.rest = wanted[index + 1 :]
                break
        return found

    async def read(self, ranges: Sequence[Range], limit: int) -> list[tuple[Range, Chunk]]:
        """See `Store.read`."""
        found: list[tuple[Range, Chunk]] = []
        size = 0
        for wanted in ranges:
            chunks = self._chunks.get((wanted.covalue, wanted.session), [])
            begin = max(bisect_right(chunks, wanted.start, key=lambda c: c.first) - 1, 0)
            for chunk in chunks[begin:]:
                if chunk.first >= wanted.stop:
                    break
                if chunk.first + chunk.count <= wanted.start:
                    continue
                found.append((wanted, chunk))
                size += len(chunk.data)
                if size >= limit:
                    return found
        return found

    async def commit(self, changes: Sequence[Change]) -> list[bool]:
        """See `Store.commit`."""
        return [self._apply(change) for change in changes]

    async def close(self) -> None:
        """See `Store.close`."""

    def _apply(self, change: Change) -> bool:
        stored = self._covalues.get(change.covalue)
        if (stored is None) != (change.header is not None):
            return False
        sessions = dict(stored.sessions) if stored is not None else {}
        if change.erase:
            sessions = {s: n for s, n in sessions.items() if parse_session_id(s).deletes}
        for chunk in change.chunks:
            if sessions.get(chunk.session, 0) != chunk.first:
                return False
            sessions[chunk.session] = chunk.first + chunk.count
        if stored is None:
            assert change.header is not None
            stored = StoredCoValue(change.header, False, {}, set())
            self._covalues[change.covalue] = stored
        if change.erase:
            stored.deleted = True
            for session in stored.sessions:
                if not parse_session_id(session).deletes:
                    del self._chunks[change.covalue, session]
        stored.sessions = sessions
        stored.dependencies.update(change.dependencies)
        for chunk in change.chunks:
            self._chunks.setdefault((change.covalue, chunk.session), []).append(chunk)
        return True
