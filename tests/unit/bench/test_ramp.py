"""The ramp, on a server of our own and on none; the crowd; where the knee is."""

from __future__ import annotations

import socket

import pytest

from bench.crowd import gather_crowd
from bench.faults import NotMeasured
from bench.loop import run
from bench.ramp import Ramp, Step, climb, knee
from bench.servers import Server, fresh

GOOD = Step(offered=100, achieved=99, p50_ms=1, p99_ms=10)
LATE = Step(offered=200, achieved=199, p50_ms=1, p99_ms=300)
SLOW = Step(offered=200, achieved=150, p50_ms=1, p99_ms=10)
FAILED = Step(offered=200, achieved=199, p50_ms=1, p99_ms=10, fault="3 edits not acknowledged")


def test_a_server_is_loaded_step_by_step_and_gets_a_crowd() -> None:
    ramp = Ramp(connections=3, start=50, factor=2, bound_ms=60_000, seconds=0.4, steps=2)
    told: list[Step] = []
    with fresh("bandstand") as server:
        steps = run(climb(server, ramp, "t", told.append, lambda _: None))
        crowd = run(gather_crowd(server, [2, 5], lambda _: None))
    assert steps == told
    assert [step.offered for step in steps] == [50, 100]
    assert [step.fault for step in steps] == ["", ""]
    for step in steps:
        assert step.achieved > 0
        assert step.p50_ms is not None
        assert step.cpu_us is not None
    assert [count for count, _ in crowd] == [2, 5]
    assert all(size > 1_000_000 for _, size in crowd)


def test_a_server_that_refuses_ends_the_ramp() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server = Server("url", f"ws://127.0.0.1:{taken.getsockname()[1]}")
        ramp = Ramp(connections=1, seconds=0.1)
        (step,) = run(climb(server, ramp, "t", lambda _: None, lambda _: None))
    assert step.fault.startswith("ConnectionFailed: cannot connect")


def test_the_memory_of_a_server_elsewhere_is_not_guessed() -> None:
    with pytest.raises(NotMeasured):
        run(gather_crowd(Server("url", "ws://127.0.0.1:1"), [1], lambda _: None))


@pytest.mark.parametrize(
    ("bad", "why"), [(LATE, "p99 300 ms"), (SLOW, "at 150/s"), (FAILED, "3 edits")]
)
def test_the_knee_is_before_what_was_late_slow_or_failed(bad: Step, why: str) -> None:
    said = knee([GOOD, bad], 100)
    assert "keeps up with 100 edits/s with p99 10.0 ms, not with 200" in said
    assert why in said


def test_there_may_be_no_knee() -> None:
    assert knee([GOOD], 100).startswith("No knee found")
    assert knee([LATE], 100) == "The server does not keep up with the first step."
