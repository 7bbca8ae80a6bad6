"""The SQLite store is cancelled wherever it waits: no half commit, no lock, no thread is left."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Coroutine
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from server.errors import ForeignDatabase
from server.store import Range
from server.store.sqlite import SqliteStore
from tests.cancellation.cancelling import cancelled
from tests.integration.stores.making import S1, S2, A, B, appended, chunk, created, whole

pytestmark = pytest.mark.anyio

_MOST: Final = 50
_DEADLINE_S: Final = 10
Work = Callable[[SqliteStore], Coroutine[Any, Any, object]]
_WORK: Final[dict[str, Work]] = {
    "commit": lambda store: store.commit(
        [appended(A, chunk(S1, 1), chunk(S2, 0)), created(B, chunk(S1, 0))]
    ),
    "load": lambda store: store.load([A, B]),
    "read": lambda store: store.read([Range(A, S1, 0, 1)], 1_000),
    "run": lambda store: store.run(lambda connection: connection.execute("SELECT 1").fetchall()),
}


@pytest.mark.parametrize("name", _WORK)
async def test_a_cancelled_call_is_whole_or_was_none(tmp_path: Path, name: str) -> None:
    threads, at = set(threading.enumerate()), 0
    while True:
        path = str(tmp_path / f"{at}.db")
        store = await SqliteStore.open(path)
        await store.commit([created(A, chunk(S1, 0))])
        points = await cancelled(at, partial(_WORK[name], store), None)
        # Everything or nothing, and the next call finds the store as it should be.
        held = await counts(store)
        assert held in ({A: {S1: 1}}, {A: {S1: 2, S2: 1}, B: {S1: 1}})
        count = held[A][S1]
        assert await store.commit([appended(A, chunk(S1, count))]) == [True]
        await store.close()
        await (await SqliteStore.open(path)).close()
        assert_no_threads(threads)
        if points.count <= at:
            break
        at += 1
        assert at < _MOST
    assert at > 0


async def test_opening_and_closing_leave_no_lock_and_no_thread(tmp_path: Path) -> None:
    threads, at = set(threading.enumerate()), 0
    while True:
        path = str(tmp_path / f"{at}.db")
        opened: list[SqliteStore] = []

        async def work(path: str = path, opened: list[SqliteStore] = opened) -> None:
            opened.append(await SqliteStore.open(path))
            await opened.pop().close()

        points = await cancelled(at, work, None)
        for store in opened:
            await store.close()
        again = await SqliteStore.open(path)
        await again.commit([created(A)])
        await again.close()
        assert_no_threads(threads)
        if points.count <= at:
            break
        at += 1
        assert at < _MOST
    assert at > 2


async def test_an_opening_that_is_refused_leaves_no_lock_and_no_thread(tmp_path: Path) -> None:
    threads, at = set(threading.enumerate()), 0
    path = str(tmp_path / "foreign.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")

    async def work() -> None:
        with suppress(ForeignDatabase):
            await SqliteStore.open(path)

    while True:
        points = await cancelled(at, work, None)
        with pytest.raises(ForeignDatabase):
            await SqliteStore.open(path)
        assert_no_threads(threads)
        if points.count <= at:
            break
        at += 1
        assert at < _MOST
    assert at > 2


def assert_no_threads(before: set[threading.Thread]) -> None:
    """All that were started since have ended, or do so now."""
    for thread in set(threading.enumerate()) - before:
        thread.join(_DEADLINE_S)
        assert not thread.is_alive(), thread


async def counts(store: SqliteStore) -> dict[str, dict[str, int]]:
    """How many transactions can be read, by value and session."""
    return {
        value: {session: len(texts) for session, texts in (await whole(store, value)).items()}
        for value in await store.load([A, B])
    }
