"""The charts: well-formed, everything inside, and what belongs where."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.charts import latency_chart, memory_chart
from bench.ramp import Step
from bench.svg import Axis, Series, line_chart

_SVG = "{http://www.w3.org/2000/svg}"
positive = st.floats(0.01, 1e7)


def places(chart: str) -> list[tuple[float, float]]:
    """All points of all lines, and of the legend's."""
    found = []
    for line in ElementTree.fromstring(chart).iter(f"{_SVG}polyline"):
        for pair in line.attrib["points"].split():
            across, down = map(float, pair.split(","))
            found.append((across, down))
    return found


def texts(chart: str) -> list[str]:
    """All that is written in a chart."""
    return [each.text or "" for each in ElementTree.fromstring(chart).iter(f"{_SVG}text")]


@example([(9.9999999999, 1)], True)
@given(st.lists(st.tuples(positive, positive), min_size=1, max_size=20), st.booleans())
def test_everything_is_inside(points: list[tuple[float, float]], logarithmic: bool) -> None:
    axis = Axis("a", logarithmic)
    chart = line_chart("t", axis, axis, [Series("s", 0, False, points)])
    for across, down in places(chart):
        assert 69.9 <= across <= 736.1
        assert 55.9 <= down <= 362.1


@pytest.mark.parametrize(
    ("logarithmic", "point", "place"),
    [(False, (50, 5), (403, 223)), (True, (10, 1), (403, 223))],
)
def test_points_stand_where_the_axes_say(
    logarithmic: bool, point: tuple[float, float], place: tuple[float, float]
) -> None:
    ends = [(1, 0.1), (100, 10)] if logarithmic else [(0, 0), (100, 10)]
    axis = Axis("a", logarithmic)
    chart = line_chart("t", axis, axis, [Series("s", 0, False, [*ends, point])])
    assert places(chart)[-1] == pytest.approx(place, abs=0.1)


def test_a_title_may_hold_anything() -> None:
    chart = line_chart('<&"', Axis("a"), Axis("b"), [Series("<s>", 0, False, [(1, 1)])])
    assert '<&"' in texts(chart)
    assert "<s>" in texts(chart)


def test_the_charts_name_servers_and_units_and_leave_out_what_was_not_measured() -> None:
    steps = [
        Step(offered=100, achieved=100, p50_ms=1, p99_ms=2),
        Step(offered=200, fault="ConnectionFailed: closed"),
    ]
    latency = latency_chart({"bandstand": steps, "reference": steps[1:]})
    assert {"bandstand", "p50", "p99", "milliseconds"} <= set(texts(latency))
    assert "reference" not in texts(latency)
    memory = memory_chart({"bandstand": [(100, 50_000_000), (200, 60_000_000)]})
    assert {"bandstand", "connections", "megabytes resident"} <= set(texts(memory))
