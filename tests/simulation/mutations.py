"""How soon the simulation finds each break: `python -m tests.simulation --mutations`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from tests.simulation.breaks import BREAKS

_RUNS: Final = 2_000
_SECONDS: Final = 120.0
_WORKERS: Final = 2
_HANGS_S: Final = 30.0


class Found(NamedTuple):
    """What became of a break."""

    name: str
    runs: int
    """After how many runs it was found; if it was not, how many there were."""
    promise: str
    """What was broken first; empty if nothing was."""


def found(name: str, runs: int = _RUNS, seconds: float = _SECONDS) -> Found:
    """Run seeds from 0 with this break until one fails, in a process of its own."""
    command = [sys.executable, "-m", "tests.simulation", "--broken", name, "--failures", "1"]
    command += ["--runs", str(runs), "--seconds", str(seconds)]
    try:
        ended = subprocess.run(
            command,
            env=os.environ | {"PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            timeout=seconds + _HANGS_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Found(name, 0, "a run never ends")
    if ended.returncode not in (0, 1) or not ended.stdout:
        raise RuntimeError(f"{name}: {ended.stderr}")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    broken = [line["broken"] for line in lines if "broken" in line]
    return Found(name, lines[-1]["runs"], broken[0].partition(":")[0] if broken else "")


def print_table(names: Collection[str], runs: int, seconds: float) -> int:
    """Print, in Markdown, how soon each break is found. Returns 1 if one was not.

    `names` are those of breaks, or parts of them; none: all. `runs` and `seconds` bound the search
    for each of them; 1 and 0 stand for the defaults.
    """
    wanted = [n for n in BREAKS if not names or any(part in n for part in names)]
    sys.stdout.write("| break | found after | by the promise |\n|---|---|---|\n")
    missed = 0
    with ThreadPoolExecutor(_WORKERS) as pool:
        bounds = [runs if runs > 1 else _RUNS] * len(wanted), [seconds or _SECONDS] * len(wanted)
        for name, after, promise in pool.map(found, wanted, *bounds):
            missed += not promise
            row = f"{after} | {promise}" if promise else f"not in {after} | |"
            sys.stdout.write(f"| {name} | {row} |\n")
            sys.stdout.flush()
    return 1 if missed else 0
