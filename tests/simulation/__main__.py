"""Run seeds: `python -m tests.simulation --first 0 --runs 100`. Prints one JSON line a failure."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

from tests.simulation.breaks import apply
from tests.simulation.mutations import print_table
from tests.simulation.plan import Plan
from tests.simulation.record import Record
from tests.simulation.run import run
from tests.simulation.shrink import shrunk

HASH_SEED = "0"


def main() -> int:
    """Run what the arguments say. Exits with 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--runs", type=int, default=1, help="how many seeds")
    parser.add_argument("--step", type=int, default=1, help="the distance between seeds")
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after so long (0: never)")
    parser.add_argument("--failures", type=int, default=3, help="stop after so many")
    parser.add_argument("--shrink", action="store_true", help="make failing plans smaller")
    parser.add_argument("--trace", action="store_true", help="print the trace of each failure")
    parser.add_argument("--digest", action="store_true", help="print the digest of each trace")
    parser.add_argument("--broken", metavar="BREAK", help="break the node so (see `breaks`)")
    parser.add_argument(
        "--mutations",
        nargs="*",
        metavar="BREAK",
        help="how soon each break is found; all, or these",
    )
    options = parser.parse_args()
    if options.mutations is not None:
        return print_table(options.mutations, options.runs, options.seconds)
    if options.broken:
        apply(options.broken)
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        # Sets of strings are walked through in an order that this decides.
        environment = os.environ | {"PYTHONHASHSEED": HASH_SEED}
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]], environment
        )
    began, failures, done = time.monotonic(), 0, 0
    for seed in range(options.first, options.first + options.runs * options.step, options.step):
        if options.seconds and time.monotonic() - began > options.seconds:
            break
        plan = Plan.drawn(seed)
        record = run(plan)
        done += 1
        if options.digest:
            _print({"seed": seed, "digest": record.digest()})
        if record.broken:
            failures += 1
            _report(plan, record, shrink=options.shrink, trace=options.trace)
            if failures >= options.failures:
                break
    _print({"runs": done, "failures": failures, "seconds": round(time.monotonic() - began, 1)})
    return 1 if failures else 0


def _report(plan: Plan, record: Record, *, shrink: bool, trace: bool) -> None:
    if shrink:
        promise = record.broken[0].partition(":")[0]
        plan = shrunk(plan, lambda p: any(b.startswith(promise) for b in run(p).broken[:1]))
        record = run(plan)
    _print({"seed": plan.seed, "steps": len(plan.steps), "knobs": str(plan.knobs)})
    for broken in record.broken[:5]:
        _print({"seed": plan.seed, "broken": record.explain(broken)})
    if trace:
        sys.stdout.write("\n".join(record.lines(1_500)) + "\n")


def _print(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what, ensure_ascii=False) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
