"""Targets and what a run says about them; the tables that stand in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.meter import Measurement
from bench.readme import BEGIN, END, tables, write_between_markers
from bench.report import target_table
from bench.rounds import Plan, Result
from bench.scenarios import SCENARIOS
from bench.targets import TARGETS, Target, checks


def result(server: str, number: int, value: float, cpu_us: float, generator: float = 0) -> Result:
    """One round of one server."""
    measured = Measurement(
        name="rooms", value=value, unit="deliveries/s", cpu_us=cpu_us, generator=generator
    )
    return Result(scenario="rooms", server=server, round=number, measurements=[measured], fault="")


ROUNDS = [
    *(result("bandstand", at, value, 1) for at, value in enumerate((900, 2_000, 3_000))),
    *(result("reference", at, 100, 8) for at in range(3)),
]


def test_ratios_are_quotients_of_the_same_round_and_the_median_counts() -> None:
    rate, cpu = checks(ROUNDS)
    assert (rate.found, rate.low, rate.high, rate.met) == (20, 9, 30, True)
    assert (cpu.found, cpu.met) == (0.125, False)


@pytest.mark.parametrize(
    ("relation", "bound", "met"), [("≥", 20, True), ("≥", 21, False), ("≤", 20, True)]
)
def test_a_bound_is_kept_from_its_side(relation: str, bound: float, met: bool) -> None:
    target = Target("rooms", "result", relation, bound)  # type: ignore[arg-type]
    assert [check.met for check in checks(ROUNDS, [target])] == [met]


def test_a_figure_can_be_bounded_by_itself() -> None:
    (check,) = checks(ROUNDS[:3], [Target("rooms", "result", "≤", 1_000, None)])
    assert (check.found, check.met) == (2_000, False)


def test_what_was_not_measured_is_not_judged() -> None:
    assert checks(ROUNDS[:3]) == []
    assert checks(ROUNDS, [Target("rooms", "p99", "≤", 1)]) == []


def test_a_miss_of_a_busy_generator_says_so() -> None:
    rounds = [result("bandstand", 0, 100, 1, 0.97), result("reference", 0, 100, 1)]
    rate, _ = checks(rounds)
    assert rate.verdict == "missed, generator busy"


def test_the_table_shows_target_and_figure() -> None:
    table = target_table(ROUNDS)
    assert "| rooms | result | ≥ 10× reference | 20× (9–30) | met |" in table
    assert "| rooms | CPU | ≤ 0.1× reference | 0.125× | missed |" in table


def test_each_target_belongs_to_a_scenario() -> None:
    for target in TARGETS:
        assert any(target.measurement.startswith(name) for name in SCENARIOS), target


def test_the_tables_are_put_between_the_markers(tmp_path: Path) -> None:
    plan = Plan(scenarios=[], servers=[], url=None, repeats=3, seconds=2, processes=1)
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_between_markers(page, tables(plan, ROUNDS))
    lines = page.read_text().splitlines()
    assert lines[:2] == ["before", BEGIN]
    assert lines[2].startswith("`python -m bench --repeats 3 --seconds 2` on ")
    assert lines[-2:] == [END, "after"]
    assert "old" not in lines


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{END}\n")
    with pytest.raises(ValueError, match="has no lines"):
        write_between_markers(page, "x")
    assert page.read_text() == f"{END}\n"
