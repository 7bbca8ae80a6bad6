"""Percentiles, medians and ratios."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.percentiles import median, percentile, ratio

numbers = st.lists(st.floats(0, 1e6), min_size=1, max_size=50)


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 50), (99, 99), (100, 100), (1, 1), (0.1, 1), (99.1, 100)]
)
def test_the_nearest_rank_is_taken(percent: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == expected


def test_nothing_has_no_percentile_and_no_median() -> None:
    assert percentile([], 50) is None
    assert median([None, None]) is None


@given(numbers, st.floats(0.01, 100))
def test_so_many_are_not_above_a_percentile(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= percent / 100 * len(values) - 1e-9


def test_the_median_leaves_out_what_was_not_measured() -> None:
    assert median([3.0, None, 1.0, 2.0]) == 2.0


def test_a_ratio_above_one_is_better_whatever_the_unit() -> None:
    assert ratio(200, 100, higher_is_better=True) == 2
    assert ratio(50, 100, higher_is_better=False) == 2


@pytest.mark.parametrize(("value", "base"), [(None, 1.0), (1.0, None), (0.0, 1.0), (1.0, 0.0)])
def test_there_is_no_ratio_to_nothing(value: float | None, base: float | None) -> None:
    assert ratio(value, base, higher_is_better=True) is None
