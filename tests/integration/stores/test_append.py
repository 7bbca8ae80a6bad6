"""Creating and appending: conditional, in order, each change all or nothing."""

from __future__ import annotations

import pytest

from server.store import Change, Store
from tests.integration.stores.conftest import Reopen
from tests.integration.stores.making import (
    HEADER,
    S1,
    S2,
    S3,
    A,
    B,
    C,
    appended,
    chunk,
    chunks,
    created,
    texts,
    whole,
)

pytestmark = pytest.mark.anyio


async def test_what_was_never_stored_is_not_there(store: Store) -> None:
    assert await store.load([]) == {}
    assert await store.load([A, B]) == {}


async def test_load_finds_those_that_are_there(store: Store) -> None:
    assert await store.commit([created(A), created(B, chunk(S1, 0, 2))]) == [True, True]
    found = await store.load([A, C, B, A])
    assert found.keys() == {A, B}
    assert found[A].header == HEADER + A.encode()
    assert found[A].sessions == {}
    assert not found[A].deleted
    assert found[B].sessions == {S1: 2}


async def test_load_brings_no_more_in_one_go_than_fits(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("memory", "sqlite"):
        monkeypatch.setattr(f"server.store.{module}.LOADED", 2)
    large = created(A, *chunks(S1, 1), *chunks(S2, 1), *chunks(S3, 1))
    named = created(B, dependencies=[A, C])
    assert await store.commit([large, named, created(C, *chunks(S1, 1))]) == [True] * 3
    first = await store.load([C, A, B])
    assert (set(first), first.rest) == ({C, A}, [B])
    assert len(first[A].sessions) == 3
    second = await store.load([B, C])
    assert (set(second), second.rest) == ({B}, [C])
    assert second[B].dependencies == {A, C}
    assert (await store.load([C, "co_z1"])).rest == ()


async def test_nothing_to_commit(store: Store) -> None:
    assert await store.commit([]) == []


async def test_what_was_committed_is_there_after_a_restart(store: Store, reopen: Reopen) -> None:
    held = [*chunks(S1, 1, 3), *chunks(S2, 2)]
    assert await store.commit([created(A, *held, dependencies=[B])]) == [True]
    again = await reopen()
    stored = (await again.load([A]))[A]
    assert (stored.sessions, stored.dependencies) == ({S1: 4, S2: 2}, {B})
    assert await whole(again, A) == {S1: texts(*held[:2]), S2: texts(held[2])}


async def test_several_chunks_and_sessions_in_one_change(store: Store) -> None:
    held = [chunk(S1, 0, 2), chunk(S2, 0), chunk(S1, 2), chunk(S3, 0, 5), chunk(S2, 1)]
    assert await store.commit([created(A, *held)]) == [True]
    assert await whole(store, A) == {
        S1: texts(held[0], held[2]),
        S2: texts(held[1], held[4]),
        S3: texts(held[3]),
    }


async def test_appends_over_several_commits(store: Store) -> None:
    held = chunks(S1, 1, 2, 3)
    assert await store.commit([created(A, held[0])]) == [True]
    assert await store.commit([appended(A, held[1])]) == [True]
    assert await store.commit([appended(A, held[2], chunk(S2, 0))]) == [True]
    assert await whole(store, A) == {S1: texts(*held), S2: texts(chunk(S2, 0))}


async def test_changes_of_a_batch_are_applied_in_their_order(store: Store) -> None:
    held = chunks(S1, 1, 1, 1, 1)
    batch = [created(A, held[0]), appended(A, held[1]), created(B), appended(A, *held[2:])]
    assert await store.commit(batch) == [True] * 4
    assert await whole(store, A) == {S1: texts(*held)}


async def test_a_batch_in_the_wrong_order_is_refused_where_it_is_wrong(store: Store) -> None:
    held = chunks(S1, 1, 1)
    batch = [appended(A, held[0]), created(A, held[0]), appended(A, held[1])]
    assert await store.commit(batch) == [False, True, True]
    assert await whole(store, A) == {S1: texts(*held)}


@pytest.mark.parametrize(
    "refused",
    [
        pytest.param(appended(A, chunk(S1, 1)), id="begins before the end"),
        pytest.param(appended(A, chunk(S1, 0, 3)), id="begins again"),
        pytest.param(appended(A, chunk(S1, 3)), id="leaves a gap"),
        pytest.param(appended(A, chunk(S2, 1)), id="new session not from 0"),
        pytest.param(appended(A, chunk(S1, 2), chunk(S1, 4)), id="gap inside the change"),
        pytest.param(appended(A, chunk(S1, 2), chunk(S1, 2)), id="twice in the change"),
        pytest.param(appended(A, chunk(S2, 0), chunk(S1, 5)), id="good chunk before a bad one"),
        pytest.param(created(A), id="created twice"),
        pytest.param(created(A, chunk(S1, 2)), id="created twice with what would fit"),
        pytest.param(appended(C, chunk(S1, 0)), id="absent"),
        pytest.param(appended(C), id="absent, nothing to append"),
        pytest.param(created(C, chunk(S1, 1)), id="new, not from 0"),
    ],
)
async def test_refused_without_a_trace_and_without_harm(
    store: Store, reopen: Reopen, refused: Change
) -> None:
    refused.dependencies.append(B)
    assert await store.commit([created(A, chunk(S1, 0, 2))]) == [True]
    batch = [
        created(B, chunk(S1, 0)),
        refused,
        appended(B, chunk(S1, 1)),
        appended(A, chunk(S1, 2, 2)),
    ]
    assert await store.commit(batch) == [True, False, True, True]
    again = await reopen()
    stored = await again.load([A, B, C])
    assert stored.keys() == {A, B}
    assert stored[A].header == HEADER + A.encode()
    assert stored[A].dependencies == set()
    assert await whole(again, A) == {S1: texts(chunk(S1, 0, 4))}
    assert await whole(again, B) == {S1: texts(chunk(S1, 0, 2))}


async def test_several_of_a_batch_are_refused(store: Store) -> None:
    batch = [
        created(A),
        created(A),
        appended(A, chunk(S1, 1)),
        appended(A, chunk(S1, 0)),
        appended(B),
        appended(A, chunk(S1, 1)),
        appended(A, chunk(S1, 1)),
    ]
    assert await store.commit(batch) == [True, False, False, True, False, True, False]
    assert await whole(store, A) == {S1: texts(chunk(S1, 0, 2))}


async def test_two_that_append_at_the_same_place_cannot_fork_a_session(store: Store) -> None:
    await store.commit([created(A)])
    mine, yours = chunk(S1, 0, mark="mine"), chunk(S1, 0, mark="yours")
    assert await store.commit([appended(A, mine), appended(A, yours)]) == [True, False]
    assert await whole(store, A) == {S1: texts(mine)}


async def test_sessions_of_the_same_name_in_other_covalues_are_others(store: Store) -> None:
    await store.commit([created(A, chunk(S1, 0, 3)), created(B, chunk(S1, 0))])
    assert await store.commit([appended(B, chunk(S1, 1)), appended(A, chunk(S1, 1))]) == [
        True,
        False,
    ]


async def test_dependencies_gather(store: Store, reopen: Reopen) -> None:
    await store.commit([created(A, dependencies=[B])])
    await store.commit([appended(A, dependencies=[C, B, C])])
    await store.commit([appended(A, chunk(S1, 0))])
    again = await reopen()
    assert (await again.load([A]))[A].dependencies == {B, C}


async def test_what_load_returned_is_the_callers_own(store: Store) -> None:
    await store.commit([created(A, chunk(S1, 0), dependencies=[B])])
    mine = (await store.load([A]))[A]
    mine.sessions[S1] = 17
    mine.dependencies.clear()
    mine.deleted = True
    stored = (await store.load([A]))[A]
    assert (stored.sessions, stored.dependencies, stored.deleted) == ({S1: 1}, {B}, False)


async def test_more_ids_than_a_statement_takes_parameters(store: Store) -> None:
    ids = [f"{A[:-6]}{n:06}" for n in range(40_000)]
    assert await store.commit([created(ids[7]), created(ids[39_999])]) == [True, True]
    assert (await store.load(ids)).keys() == {ids[7], ids[39_999]}
