"""Reads while a commit runs, and commits whose caller is cancelled: all or nothing, always."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from server.store import Change, Range, Store, StoredCoValue
from server.store.sqlite import SqliteStore
from tests.integration.stores.conftest import Reopen
from tests.integration.stores.making import (
    DELETES,
    EVERYTHING,
    S1,
    S2,
    A,
    appended,
    chunk,
    chunks,
    created,
    erased,
    texts,
    whole,
)

pytestmark = pytest.mark.anyio

BEFORE = chunks(S1, 2)
AFTER = [chunk(S1, 2, 50, 10_000), chunk(S2, 0, 50, 10_000)]


async def test_reads_find_the_state_before_a_commit_or_the_one_after(store: Store) -> None:
    await store.commit([created(A, *BEFORE)])
    states: list[dict[str, int]] = []
    async with anyio.create_task_group() as tasks:
        done = anyio.Event()

        async def look() -> None:
            while not done.is_set():
                states.append((await store.load([A]))[A].sessions)
                rows = await store.read([Range(A, S1, 0, 52)], EVERYTHING)
                assert [c for _, c in rows] in (BEFORE, [*BEFORE, AFTER[0]])
                await checkpoint()

        tasks.start_soon(look)
        await checkpoint()
        await checkpoint()
        assert await store.commit([appended(A, *AFTER)]) == [True]
        # What is read once the commit has returned has seen it.
        assert (await store.load([A]))[A].sessions == {S1: 52, S2: 50}
        done.set()
    assert states
    assert all(each in ({S1: 2}, {S1: 52, S2: 50}) for each in states)


async def test_reads_do_not_wait_for_a_commit(sqlite: SqliteStore, path: Path) -> None:
    await sqlite.commit([created(A, *BEFORE)])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    results: list[list[bool]] = []
    async with anyio.create_task_group() as tasks:

        async def commit() -> None:
            results.append(await sqlite.commit([appended(A, *AFTER)]))

        tasks.start_soon(commit)
        await checkpoint()
        for _ in range(3):
            assert await whole(sqlite, A) == {S1: texts(*BEFORE)}
        assert results == []
        other.execute("ROLLBACK")
        other.close()
    assert results == [[True]]


async def test_load_is_one_look_at_the_file(sqlite: SqliteStore) -> None:
    """A commit that lands while `load` is under way shows in all of what it says, or in none."""
    await sqlite.commit([created(A, *BEFORE)])
    loop = asyncio.get_running_loop()
    committed: list[list[bool]] = []

    def between(statement: str) -> None:
        if "FROM sessions" in statement and not committed:
            change = erased(A, chunk(DELETES, 0))
            coroutine = sqlite.commit([change])
            committed.append(asyncio.run_coroutine_threadsafe(coroutine, loop).result(10))

    await trace_reads(sqlite, between)
    stored = (await sqlite.load([A]))[A]
    await trace_reads(sqlite, None)
    assert committed == [[True]]
    assert (stored.deleted, stored.sessions) in [(False, {S1: 2}), (True, {DELETES: 1})]
    assert (await sqlite.load([A]))[A].sessions == {DELETES: 1}


async def trace_reads(sqlite: SqliteStore, callback: Callable[[str], Any] | None) -> None:
    """Have `callback` called, in the reader's thread, before each of its statements."""
    await sqlite._reader.run(lambda connection: connection.set_trace_callback(callback))


@pytest.mark.parametrize("checkpoints", range(6))
async def test_a_cancelled_commit_is_all_or_nothing(
    store: Store, reopen: Reopen, checkpoints: int
) -> None:
    await store.commit([created(A, *BEFORE)])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.commit, [appended(A, *AFTER)])
        for _ in range(checkpoints):
            await checkpoint()
        tasks.cancel_scope.cancel()
    await assert_whole_and_usable(store, reopen)


@pytest.mark.parametrize("checkpoints", range(6))
async def test_a_commit_of_a_cancelled_asyncio_task_is_all_or_nothing(
    store: Store, reopen: Reopen, checkpoints: int
) -> None:
    """Not shielded from, as nothing can be: the thread goes on, and the next call comes later."""
    await store.commit([created(A, *BEFORE)])
    task = asyncio.create_task(store.commit([appended(A, *AFTER)]))
    for _ in range(checkpoints):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await assert_whole_and_usable(store, reopen)


async def assert_whole_and_usable(store: Store, reopen: Reopen) -> None:
    """The commit of `AFTER` was applied or was not, and a second try fits what is the case."""
    retried = await store.commit([appended(A, *AFTER)])
    assert retried in ([True], [False])
    again = await reopen()
    assert await whole(again, A) == {S1: texts(*BEFORE, AFTER[0]), S2: texts(AFTER[1])}
    assert await again.commit([appended(A, chunk(S1, 52))]) == [True]


async def test_a_commit_within_a_scope_that_is_cancelled_already(
    store: Store, reopen: Reopen
) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.commit([created(A, *BEFORE)])
    again = await reopen()
    found = await again.load([A])
    assert found.get(A, sessions_of(S1, 2)).sessions == {S1: 2}
    assert await again.commit([created(A, *BEFORE)]) == [A not in found]


def sessions_of(session: str, count: int) -> StoredCoValue:
    """A CoValue with one session."""
    return StoredCoValue(b"", False, {session: count}, set())


async def test_many_callers_at_once(store: Store) -> None:
    """Commits do not mix: each is applied as if it were alone, in the order of the calls."""
    await store.commit([created(A)])
    results: dict[int, list[bool]] = {}

    async def commit(n: int, change: Change) -> None:
        results[n] = await store.commit([change])

    async with anyio.create_task_group() as tasks:
        for n in range(50):
            tasks.start_soon(commit, n, appended(A, chunk(S1, n // 2)))
    assert results == {n: [n % 2 == 0] for n in range(50)}
    assert await whole(store, A) == {S1: texts(chunk(S1, 0, 25))}
