"""The tables: medians of the rounds, ratios of the same round, and what went wrong."""

from __future__ import annotations

import msgspec

from bench.meter import Measurement
from bench.report import lines, raw, scenario_table, summary
from bench.rounds import Plan, Result


def result(server: str, number: int, value: float, cpu_us: float, fault: str = "") -> Result:
    """One round of one server."""
    measured = Measurement(name="ack", value=value, unit="tx/s", cpu_us=cpu_us, p50_ms=1.5)
    return Result(scenario="ack", server=server, round=number, measurements=[measured], fault=fault)


ROUNDS = [
    result("bandstand", 0, 100, 10),
    result("reference", 0, 50, 40),
    result("bandstand", 1, 400, 20),
    result("reference", 1, 100, 40),
    result("bandstand", 2, 300, 30),
    result("reference", 2, 300, 30, fault="Stalled: nothing moves"),
]


def test_figures_are_medians_and_ratios_are_those_of_the_same_round() -> None:
    bandstand, reference = lines(ROUNDS)
    assert (bandstand.value, bandstand.low, bandstand.high, bandstand.cpu_us) == (300, 100, 400, 20)
    assert (bandstand.faster, bandstand.leaner) == (2, 2)
    assert bandstand.faster_range == (1, 4)
    assert (reference.faster, reference.leaner) == (1, 1)


def test_the_table_says_what_went_wrong() -> None:
    table = scenario_table("ack", ROUNDS)
    assert "| bandstand | 300 tx/s | 1.50 |" in table
    assert "- reference, round 3: Stalled: nothing moves" in table


def test_the_summary_has_a_column_for_each_server() -> None:
    assert "| ack | tx/s | 300 · 20.0 | 100 · 40.0 | 2.0× (1–4) | 2.0× |" in summary(ROUNDS)


def test_a_server_alone_has_no_ratio() -> None:
    assert "| ack | tx/s | 100 · 10.0 |" in summary(ROUNDS[:1])


def test_raw_results_hold_every_round_and_no_address() -> None:
    plan = Plan(
        scenarios=["ack"], servers=[], url="ws://h/?key=s3cret", repeats=1, seconds=1, processes=1
    )
    text = raw(plan, ROUNDS)
    assert b"s3cret" not in text
    assert len(msgspec.json.decode(text)["results"]) == 6
