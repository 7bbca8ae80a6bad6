"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from bench.charts import COUNTS, LATENCY, MEMORY, climb_all, draw, gather_all
from bench.faults import Fault
from bench.loop import run
from bench.progress import Progress
from bench.ramp import Ramp, Step, climb, knee
from bench.readme import BEGIN, END, around_markers, tables, write_between_markers
from bench.report import (
    machine,
    profile_table,
    raw,
    raw_of,
    scenario_table,
    step_head,
    step_row,
    summary,
    target_table,
)
from bench.rounds import DEFAULT_PROCESSES, Plan, Result, run_all
from bench.scenarios import SCENARIOS
from bench.servers import COMMANDS, Server, fresh
from bench.targets import checks


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench", description="Bandstand and Jazz's own server under the same load."
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=list(SCENARIOS),
        metavar="SCENARIO",
        help=f"run only this; may be given several times. One of: {', '.join(SCENARIOS)}",
    )
    parser.add_argument(
        "--server",
        action="append",
        choices=list(COMMANDS),
        metavar="SERVER",
        help=f"start only this; may be given several times. One of: {', '.join(COMMANDS)}",
    )
    parser.add_argument(
        "--url",
        help="load this running server instead (ws://… or wss://…); what is written stays there",
    )
    parser.add_argument("--repeats", type=int, help="rounds; default 3, with --url 1")
    parser.add_argument(
        "--seconds", type=float, help="about the longest measured part; default 3, --quick 1"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one short round: whether it works, not how fast"
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=DEFAULT_PROCESSES,
        help="processes that read in the fan-outs; default: cores less one, at most 4",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="also print where the servers' CPU time goes, as `perf` sees it",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all raw results there")
    parser.add_argument(
        "--write-table",
        type=Path,
        metavar="FILE",
        help=f"put summary and targets between the lines {BEGIN} and {END} of this file",
    )
    parser.add_argument(
        "--ramp",
        action="store_true",
        help="instead of scenarios: more and more edits a second, until a server is late or fails",
    )
    parser.add_argument(
        "--connections", type=int, default=50, help="connections of the ramp; default 50"
    )
    parser.add_argument(
        "--rate", type=float, default=200.0, help="edits a second of its first step; default 200"
    )
    parser.add_argument(
        "--bound", type=float, default=100.0, help="p99 in ms at which it ends; default 100"
    )
    parser.add_argument(
        "--chart",
        type=Path,
        metavar="FOLDER",
        help=f"instead of scenarios: measure and draw {LATENCY} and {MEMORY} into this folder",
    )
    return parser


def _plan(given: argparse.Namespace) -> Plan:
    scenarios = given.only or list(SCENARIOS)
    if given.url and not given.only:
        # What needs the server's process is for those who start it.
        scenarios = [name for name in scenarios if not SCENARIOS[name]().local]
    return Plan(
        scenarios=scenarios,
        servers=given.server or list(COMMANDS),
        url=given.url,
        repeats=given.repeats or (1 if given.url or given.quick else 3),
        seconds=given.seconds or (1.0 if given.quick else 3.0),
        processes=max(1, given.processes),
        profiled=given.profile,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark; exits with 1 if a server failed in it, with 130 if interrupted."""
    parser = _parser()
    given = parser.parse_args(arguments)
    plan = _plan(given)
    if given.write_table:
        try:
            around_markers(given.write_table)
        except (OSError, ValueError) as error:
            parser.error(str(error))
    _say(f"{machine()}\n")
    work = _chart if given.chart else _ramp if given.ramp else _scenarios
    try:
        work(given, plan)
    except KeyboardInterrupt:
        sys.exit(130)
    except Fault as error:
        _say(f"{type(error).__name__}: {error}")
        sys.exit(1)


def _scenarios(given: argparse.Namespace, plan: Plan) -> None:

    def on_scenario(name: str, results: list[Result], seconds: float) -> None:
        _say(f"{scenario_table(name, results)}\n\n({seconds:.0f} s)\n")

    results = run_all(plan, on_scenario)
    _say(f"### Summary\n\n{summary(results)}")
    if checks(results):
        _say(f"\n### Targets\n\n{target_table(results)}")
    if given.profile:
        _say(f"\n### Where the CPU time goes\n\n{profile_table(results)}")
    if given.write_table:
        write_between_markers(given.write_table, tables(plan, results))
    if given.json:
        given.json.write_bytes(raw(plan, results))
    if any(result.failed for result in results):
        sys.exit(1)


def _ramp(given: argparse.Namespace, plan: Plan) -> None:
    ramp = Ramp(
        connections=max(1, given.connections),
        start=given.rate,
        bound_ms=given.bound,
        seconds=plan.seconds,
    )
    tag = os.urandom(6).hex()
    found: dict[str, list[Step]] = {}
    for name in ["url"] if plan.url else plan.servers:
        progress = Progress(sys.stderr)

        def on_step(step: Step, progress: Progress = progress) -> None:
            progress.clear()
            _say(step_row(step))

        _say(f"### {name}, {ramp.connections} connections\n\n{step_head()}")
        progress.begin(f"ramp, {name}")
        with nullcontext(Server(name, plan.url)) if plan.url else fresh(name) as server:
            found[name] = run(climb(server, ramp, f"{tag} {name}", on_step, progress.count))
        progress.clear()
        _say(f"\n{knee(found[name], ramp.bound_ms)}\n")
    if given.json:
        given.json.write_bytes(raw_of(ramp=ramp, steps=found))
    if any(steps[0].fault for steps in found.values()):
        sys.exit(1)


def _chart(given: argparse.Namespace, plan: Plan) -> None:
    ramp = Ramp(bound_ms=1_000.0, seconds=plan.seconds)
    ramps = climb_all(plan.servers, ramp, os.urandom(6).hex())
    crowds = gather_all(plan.servers, COUNTS)
    draw(given.chart, ramps, crowds)
    for name, steps in ramps.items():
        rows = "\n".join(map(step_row, steps))
        _say(f"### {name}\n\n{step_head()}\n{rows}\n")
    if given.json:
        given.json.write_bytes(raw_of(ramp=ramp, steps=ramps, memory=crowds))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
