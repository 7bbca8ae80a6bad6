"""Erasing: only the delete sessions stay, for ever."""

from __future__ import annotations

import pytest

from server.store import Change, Range, Store
from tests.integration.stores.conftest import Reopen
from tests.integration.stores.making import (
    DELETES,
    EVERYTHING,
    HEADER,
    S1,
    S2,
    A,
    B,
    appended,
    chunk,
    chunks,
    created,
    erased,
    texts,
    whole,
)

pytestmark = pytest.mark.anyio

MARKER = chunk(DELETES, 0, mark="deleted")


@pytest.fixture
async def tombstone(store: Store) -> Store:
    """A CoValue with two sessions that was erased, beside one that was not."""
    await store.commit([created(A, *chunks(S1, 2, 3), chunk(S2, 0)), created(B, chunk(S1, 0))])
    assert await store.commit([erased(A, MARKER)]) == [True]
    return store


async def test_only_the_delete_session_stays(tombstone: Store, reopen: Reopen) -> None:
    await assert_erased(tombstone)
    await assert_erased(await reopen())


async def assert_erased(store: Store) -> None:
    """Of A there is the header and the marker, and nothing else."""
    stored = (await store.load([A]))[A]
    assert stored.deleted
    assert stored.header == HEADER + A.encode()
    assert await whole(store, A) == {DELETES: texts(MARKER)}
    assert await store.read([Range(A, S1, 0, 5), Range(A, S2, 0, 1)], EVERYTHING) == []


async def test_others_stay_as_they_are(tombstone: Store) -> None:
    assert not (await tombstone.load([B]))[B].deleted
    assert await whole(tombstone, B) == {S1: texts(chunk(S1, 0))}


async def test_a_second_delete_session(tombstone: Store, reopen: Reopen) -> None:
    second = chunk(DELETES.replace("_session_d", "_session_d2"), 0)
    assert await tombstone.commit([erased(A, second)]) == [True]
    again = await reopen()
    assert (await again.load([A]))[A].deleted
    assert await whole(again, A) == {DELETES: texts(MARKER), second.session: texts(second)}


async def test_a_delete_session_that_is_held_is_not_written_twice(tombstone: Store) -> None:
    assert await tombstone.commit([erased(A, MARKER)]) == [False]
    assert await whole(tombstone, A) == {DELETES: texts(MARKER)}


async def test_what_was_erased_is_not_appended_to(tombstone: Store) -> None:
    assert await tombstone.commit([appended(A, chunk(S1, 5)), appended(B, chunk(S1, 1))]) == [
        False,
        True,
    ]
    assert S1 not in await whole(tombstone, A)


async def test_an_erase_that_is_refused_erases_nothing(store: Store, reopen: Reopen) -> None:
    held = chunks(S1, 2, 2)
    await store.commit([created(A, *held)])
    misplaced = chunk(DELETES, 1)
    assert await store.commit([erased(A, misplaced), erased(B, MARKER)]) == [False, False]
    again = await reopen()
    assert (await again.load([A, B])).keys() == {A}
    assert not (await again.load([A]))[A].deleted
    assert await whole(again, A) == {S1: texts(*held)}


async def test_erased_and_appended_to_in_one_batch(store: Store) -> None:
    await store.commit([created(A, chunk(S1, 0))])
    batch = [appended(A, chunk(S1, 1)), erased(A, MARKER), appended(A, chunk(S1, 2))]
    assert await store.commit(batch) == [True, True, False]
    assert await whole(store, A) == {DELETES: texts(MARKER)}


async def test_created_as_a_tombstone(store: Store, reopen: Reopen) -> None:
    change = Change(A, HEADER, [], [MARKER], erase=True)
    assert await store.commit([change]) == [True]
    again = await reopen()
    assert (await again.load([A]))[A].deleted
    assert await whole(again, A) == {DELETES: texts(MARKER)}


async def test_erasing_comes_before_the_chunks_of_the_same_change(store: Store) -> None:
    """Not that the node would, but a session that is written anew begins anew."""
    await store.commit([created(A, *chunks(S1, 1, 1))])
    new = chunk(S1, 0, 3, mark="new")
    assert await store.commit([erased(A, new, MARKER)]) == [True]
    assert await whole(store, A) == {S1: texts(new), DELETES: texts(MARKER)}
