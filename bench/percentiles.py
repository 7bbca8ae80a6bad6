"""Percentiles and medians, as the tables show them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The nearest-rank percentile: the smallest value that `percent` of all are not above.

    `percent` is between 0 (exclusive) and 100. `None` if there are no values.
    """
    if not values:
        return None
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(rank, 1) - 1]


def median(values: Iterable[float | None]) -> float | None:
    """The median of those that are there; `None` if none is."""
    present = [value for value in values if value is not None]
    return statistics.median(present) if present else None


def ratio(value: float | None, base: float | None, *, higher_is_better: bool) -> float | None:
    """How many times better `value` is than `base`: above 1 is better, whatever the unit."""
    if not value or not base:
        return None
    return value / base if higher_is_better else base / value
