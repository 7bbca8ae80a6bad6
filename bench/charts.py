"""The two charts of `bench/README.md`: latency against load, memory against connections."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.crowd import Point, gather_crowd
from bench.loop import run
from bench.progress import Progress
from bench.ramp import Ramp, Step, climb
from bench.servers import COMMANDS, fresh
from bench.svg import Axis, Series, line_chart

LATENCY: Final = "latency.svg"
MEMORY: Final = "memory.svg"
COUNTS: Final = (100, 500, 1_000, 2_000, 3_000, 4_000, 5_000)
_MEGA: Final = 1e6
_COLOURS: Final = {name: at for at, name in enumerate(COMMANDS)}


def climb_all(servers: Sequence[str], ramp: Ramp, tag: str) -> dict[str, list[Step]]:
    """The ramp of each server, on a fresh database."""
    progress = Progress(sys.stderr)
    found = {}
    for name in servers:
        with fresh(name) as server:
            progress.begin(f"ramp, {name}")
            found[name] = run(climb(server, ramp, tag, lambda _step: None, progress.count))
        progress.clear()
    return found


def gather_all(servers: Sequence[str], counts: Sequence[int]) -> dict[str, list[Point]]:
    """The memory of each server with so many connections."""
    progress = Progress(sys.stderr)
    found = {}
    for name in servers:
        with fresh(name) as server:
            progress.begin(f"connections, {name}")
            found[name] = run(gather_crowd(server, counts, progress.count))
        progress.clear()
    return found


def latency_chart(ramps: Mapping[str, Sequence[Step]]) -> str:
    """p50 and p99 of each server over what was offered to it."""
    series = [
        Series(name, _COLOURS[name], which == "p99", points)
        for name, steps in ramps.items()
        for which, points in (
            ("p50", [(step.offered, step.p50_ms) for step in steps if step.p50_ms]),
            ("p99", [(step.offered, step.p99_ms) for step in steps if step.p99_ms]),
        )
        if points
    ]
    return line_chart(
        "From sending an edit to its acknowledgement",
        Axis("edits a second, over 50 connections", logarithmic=True),
        Axis("milliseconds", logarithmic=True),
        series,
        ("p50", "p99"),
    )


def memory_chart(crowds: Mapping[str, Sequence[Point]]) -> str:
    """The memory of each server over its connections."""
    series = [
        Series(name, _COLOURS[name], False, [(count, size / _MEGA) for count, size in points])
        for name, points in crowds.items()
        if points
    ]
    return line_chart(
        "Memory with idle connections", Axis("connections"), Axis("megabytes resident"), series
    )


def draw(
    folder: Path, ramps: Mapping[str, Sequence[Step]], crowds: Mapping[str, Sequence[Point]]
) -> None:
    """Write both charts into `folder`."""
    (folder / LATENCY).write_text(latency_chart(ramps), encoding="utf-8")
    (folder / MEMORY).write_text(memory_chart(crowds), encoding="utf-8")
