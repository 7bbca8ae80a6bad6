"""The rounds of a run: each scenario, each repeat, each server in turn."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

from bench import procfs
from bench.faults import Fault, NotMeasured
from bench.loop import run
from bench.meter import Measurement
from bench.progress import Progress
from bench.scenarios import SCENARIOS
from bench.scenarios.scenario import Scenario, Site
from bench.servers import COMMANDS, LocalServer, Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run."""

    scenarios: Sequence[str]
    servers: Sequence[str]
    """Of `servers.COMMANDS`; ignored with `url`."""
    url: str | None
    repeats: int
    seconds: float
    processes: int
    profiled: bool = False
    """Whether to see where the CPU time of the servers goes, which slows them a little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one server did with one scenario in one round."""

    scenario: str
    server: str
    round: int
    measurements: Sequence[Measurement]
    fault: str
    """Why there are no measurements, or what the server complained of; mostly empty."""
    failed: bool = False
    """Whether the scenario could not be completed because of the server."""


def run_all(plan: Plan, on_scenario: Callable[[str, list[Result], float], None]) -> list[Result]:
    """Run everything; `on_scenario` is told each scenario's results and time, s."""
    everything: list[Result] = []
    for name in plan.scenarios:
        begun = perf_counter()
        scenario = SCENARIOS[name]()
        progress = Progress(sys.stderr)
        progress.show(f"{name}: signing")
        scenario.prepare(os.urandom(6).hex())
        # What was just made lives to the end: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        results: list[Result] = []
        for number in range(plan.repeats):
            for server in ["url"] if plan.url else _turned(plan.servers, number):
                progress.begin(f"{name}, round {number + 1} of {plan.repeats}, {server}")
                results.append(_measure(scenario, server, number, plan, progress))
        progress.clear()
        gc.unfreeze()
        everything += results
        on_scenario(name, results, perf_counter() - begun)
    return everything


def _turned(servers: Sequence[str], by: int) -> list[str]:
    """The servers, another one first each round: being first is no advantage then."""
    at = by % len(servers)
    return [*servers[at:], *servers[:at]]


def _measure(scenario: Scenario, name: str, number: int, plan: Plan, progress: Progress) -> Result:
    if plan.url:
        site = Site(Server(name, plan.url), plan.seconds, plan.processes, progress.count)
        found, fault = _try(scenario, site)
        return Result(
            scenario=scenario.name,
            server=name,
            round=number,
            measurements=found,
            fault=fault,
            failed=_failed(found, fault),
        )
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    server = LocalServer(name, COMMANDS[name], folder)
    site = Site(server, plan.seconds, plan.processes, progress.count)
    found, faults = [], []
    try:
        server.profiled = plan.profiled
        server.start()
        found, fault = _try(scenario, site)
        faults.append(fault)
        if server.pid is not None:
            peak = procfs.peak_memory(server.pid)
            for each in found:
                each.peak_bytes = each.peak_bytes or peak
        server.stop()
        for each in found:
            each.database_bytes = server.database_bytes()
    except (Fault, FileNotFoundError) as error:
        faults.append(str(error))
    finally:
        server.kill()
        faults.append(server.trouble())
        shutil.rmtree(folder, ignore_errors=True)
    return Result(
        scenario=scenario.name,
        server=name,
        round=number,
        measurements=found,
        fault="; ".join(filter(None, faults)),
        failed=_failed(found, faults[0]),
    )


def _failed(found: Sequence[Measurement], fault: str) -> bool:
    return not found and not fault.startswith(NotMeasured.__name__)


def _try(scenario: Scenario, site: Site) -> tuple[list[Measurement], str]:
    try:
        return run(scenario.measure(site)), ""
    except Fault as error:
        return [], f"{type(error).__name__}: {error}"


DEFAULT_PROCESSES: Final = max(1, min(4, (os.cpu_count() or 1) - 1))
"""Readers' processes: one core is the server's."""
