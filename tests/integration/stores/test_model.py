"""Random histories: SQLite, with restarts, against the store in memory and against a model."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from protocol.content import Chunk, split_transactions
from server.store import Change, Range
from server.store.memory import MemoryStore
from server.store.sqlite import SqliteStore
from tests.integration.stores.making import (
    DELETES,
    EVERYTHING,
    HEADER,
    S1,
    S2,
    A,
    B,
    C,
    chunk,
)

T = TypeVar("T")

IDS = [A, B, C]
SESSIONS = [S1, S2, DELETES]

Model = dict[str, dict[str, list[bytes]]]
"""The transactions of each session of each CoValue."""

ranges = st.builds(
    lambda covalue, session, start, length: Range(covalue, session, start, start + length),
    st.sampled_from(IDS),
    st.sampled_from(SESSIONS),
    st.integers(0, 12),
    st.integers(1, 12),
)


class Stores(RuleBasedStateMachine):
    """The same changes to both stores and to the model."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.portal = self.stack.enter_context(start_blocking_portal("asyncio"))
        self.path = str(Path(folder) / "band.db")
        self.memory = MemoryStore()
        self.model: Model = {}
        self.deleted: set[str] = set()
        self.dependencies: dict[str, set[str]] = {}
        self.written = 0

    def run(self, function: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """Run an async function in the portal's loop."""
        return self.portal.call(function, *arguments)

    @initialize()
    def open(self) -> None:
        """Begin with an empty file."""
        self.sqlite = self.run(SqliteStore.open, self.path)

    def teardown(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "sqlite"):
            self.run(self.sqlite.close)
        self.stack.close()

    @rule()
    def restart(self) -> None:
        """Close and open the file."""
        self.run(self.sqlite.close)
        self.open()

    @rule(data=st.data(), size=st.integers(1, 4))
    def commit(self, data: st.DataObject, size: int) -> None:
        """A batch of changes, some of which do not fit."""
        expected: list[bool] = []
        batch: list[Change] = []
        for _ in range(size):
            change = self.draw_change(data)
            batch.append(change)
            expected.append(self.apply(change))
        assert self.run(self.memory.commit, batch) == expected
        assert self.run(self.sqlite.commit, batch) == expected

    def draw_change(self, data: st.DataObject) -> Change:
        """A change that fits the model, mostly."""
        covalue = data.draw(st.sampled_from(IDS))
        create = (covalue not in self.model) != (data.draw(st.integers(0, 9)) == 0)
        erase = data.draw(st.integers(0, 7)) == 0
        counts = {s: len(held) for s, held in self.model.get(covalue, {}).items()}
        if erase:
            counts = {s: n for s, n in counts.items() if s == DELETES}
        chunks: list[Chunk] = []
        for session in data.draw(st.lists(st.sampled_from(SESSIONS), max_size=3)):
            shift = data.draw(st.sampled_from([0] * 12 + [-1, 1]))
            first = max(counts.get(session, 0) + shift, 0)
            count = data.draw(st.integers(1, 4))
            self.written += 1
            chunks.append(chunk(session, first, count, mark=str(self.written)))
            counts[session] = first + count
        dependencies = data.draw(st.lists(st.sampled_from(IDS), max_size=2))
        header = HEADER + covalue.encode() if create else None
        return Change(covalue, header, dependencies, chunks, erase)

    def apply(self, change: Change) -> bool:
        """The rules of `Store.commit`, spelled out. Returns whether they let the change pass."""
        if (change.header is None) != (change.covalue in self.model):
            return False
        held = self.model.get(change.covalue, {})
        result = {s: list(texts) for s, texts in held.items() if not change.erase or s == DELETES}
        for each in change.chunks:
            texts = result.setdefault(each.session, [])
            if each.first != len(texts):
                return False
            texts += split_transactions(each.data)
        self.model[change.covalue] = result
        self.dependencies.setdefault(change.covalue, set()).update(change.dependencies)
        if change.erase:
            self.deleted.add(change.covalue)
        return True

    @rule(
        wanted=st.lists(ranges, max_size=4), limit=st.sampled_from([0, 1, 200, 1_000, EVERYTHING])
    )
    def read(self, wanted: list[Range], limit: int) -> None:
        """Both stores find the same, and as much of what the model holds as the limit allows."""
        found = self.run(self.sqlite.read, wanted, limit)
        assert found == self.run(self.memory.read, wanted, limit)
        for covalue_range, each in found:
            held = self.model[covalue_range.covalue][each.session]
            assert split_transactions(each.data) == held[each.first : each.first + each.count]
        if limit == EVERYTHING:
            for each_range in wanted:
                self.assert_covered(each_range, [c for r, c in found if r == each_range])
        else:
            assert sum(len(each.data) for _, each in found[:-1]) < max(limit, 1)

    def assert_covered(self, wanted: Range, found: list[Chunk]) -> None:
        """What is held of the range is in `found`."""
        held = self.model.get(wanted.covalue, {}).get(wanted.session, [])
        indexes = {i for each in found for i in range(each.first, each.first + each.count)}
        assert indexes >= set(range(wanted.start, min(wanted.stop, len(held))))

    @invariant()
    def both_know_the_same(self) -> None:
        """`load` says what the model says."""
        if not hasattr(self, "sqlite"):
            return
        stored = self.run(self.sqlite.load, IDS)
        assert stored == self.run(self.memory.load, IDS)
        assert {i: each.sessions for i, each in stored.items()} == {
            i: {s: len(texts) for s, texts in held.items()} for i, held in self.model.items()
        }
        assert {i for i, each in stored.items() if each.deleted} == self.deleted
        assert {i: each.dependencies for i, each in stored.items()} == self.dependencies


TestStores = Stores.TestCase
TestStores.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)
