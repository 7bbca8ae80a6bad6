"""Known states form a lattice: `merge` is its join, `covers` its order."""

from __future__ import annotations

from hypothesis import given

from protocol.known_state import Sessions, covers, lacking, merge
from tests.unit.protocol.strategies import session_counts


def joined(*states: Sessions) -> Sessions:
    """All states merged, none of them changed."""
    result: Sessions = {}
    for state in states:
        before = dict(state)
        merge(result, state)
        assert state == before
    return result


def same(a: Sessions, b: Sessions) -> bool:
    """Whether both say the same: a session that is not there counts as 0."""
    return all(a.get(key, 0) == b.get(key, 0) for key in a.keys() | b.keys())


def test_merging_takes_the_larger_count_of_each_session() -> None:
    state = {"a": 1, "b": 5}
    merge(state, {"a": 3, "b": 2, "c": 4})
    assert state == {"a": 3, "b": 5, "c": 4}


def test_merging_adds_no_empty_session() -> None:
    state: Sessions = {"a": 1}
    merge(state, {"b": 0})
    assert state == {"a": 1}


@given(session_counts, session_counts)
def test_merging_is_commutative(a: Sessions, b: Sessions) -> None:
    assert same(joined(a, b), joined(b, a))


@given(session_counts, session_counts, session_counts)
def test_merging_is_associative(a: Sessions, b: Sessions, c: Sessions) -> None:
    assert same(joined(joined(a, b), c), joined(a, joined(b, c)))


@given(session_counts, session_counts)
def test_merging_is_idempotent(a: Sessions, b: Sessions) -> None:
    assert same(joined(a, a), a)
    assert joined(a, b, b, a) == joined(a, b)


@given(session_counts, session_counts, session_counts)
def test_the_merged_state_is_the_least_that_covers_both(
    a: Sessions, b: Sessions, other: Sessions
) -> None:
    assert covers(joined(a, b), a)
    assert covers(joined(a, b), b)
    assert covers(other, joined(a, b)) is (covers(other, a) and covers(other, b))


@given(session_counts, session_counts)
def test_covering_is_the_order_of_merging(a: Sessions, b: Sessions) -> None:
    assert covers(a, b) is same(joined(a, b), a)
    assert (covers(a, b) and covers(b, a)) is same(a, b)


@given(session_counts, session_counts, session_counts)
def test_covering_is_reflexive_and_transitive(a: Sessions, b: Sessions, c: Sessions) -> None:
    assert covers(a, a)
    assert not (covers(a, b) and covers(b, c)) or covers(a, c)


def test_covering_needs_every_session_in_full() -> None:
    assert covers({"a": 2, "b": 1}, {"a": 2})
    assert not covers({"a": 2}, {"a": 3})
    assert not covers({"a": 2}, {"a": 1, "b": 1})
    assert covers({}, {"a": 0})


@given(session_counts, session_counts)
def test_nothing_is_lacking_exactly_where_all_is_covered(held: Sessions, target: Sessions) -> None:
    assert (lacking(held, target) == {}) is covers(held, target)


@given(session_counts, session_counts)
def test_what_is_lacking_has_the_counts_of_the_target(held: Sessions, target: Sessions) -> None:
    missing = lacking(held, target)
    assert missing.items() <= target.items()
    assert covers(joined(held, missing), target)
    assert all(held.get(session, 0) < count for session, count in missing.items())


def test_lacking_names_shorter_and_absent_sessions() -> None:
    assert lacking({"a": 2, "b": 5}, {"a": 3, "b": 5, "c": 1, "d": 0}) == {"a": 3, "c": 1}
