"""Thousands of small worlds: whatever happens in one, the promises hold when it is at rest.

`pytest tests/simulation --seed N` replays a seed, shrinks it if it fails, and shows its trace;
`pytest tests/simulation --runs 20000` is the mode for the night.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.simulation.conftest import WORLDS

_ROOT: Final = Path(__file__).parents[2]
_RUNS: Final = 4_000
_WORKERS: Final = 2
_ENOUGH_S: Final = 35.0


def test_promises_hold_in_every_world(pytestconfig: pytest.Config) -> None:
    seed: int | None = pytestconfig.getoption("--seed", default=None)
    runs: int | None = pytestconfig.getoption("--runs", default=None)
    first: int = pytestconfig.getoption("--first", default=0)
    if seed is not None:
        output = _finish(_start("--first", str(seed), "--shrink", "--trace"))
        sys.stdout.write(output)
        assert _summary(output)["failures"] == 0, output
        return
    bound = ["--seconds", str(_ENOUGH_S)] if runs is None else []
    each = -(-(runs or _RUNS) // _WORKERS)
    workers = [
        _start("--first", str(first + n), "--step", str(_WORKERS), "--runs", str(each), *bound)
        for n in range(_WORKERS)
    ]
    outputs = [_finish(worker) for worker in workers]
    done = sum(int(_summary(output)["runs"]) for output in outputs)
    seconds = max(_summary(output)["seconds"] for output in outputs)
    pytestconfig.stash[WORLDS] = f"{done} worlds in {seconds:.0f} s"
    assert done, "not one run was finished in time"
    assert not any(_summary(output)["failures"] for output in outputs), "\n".join(outputs)


def test_a_seed_replays_exactly() -> None:
    arguments = ("--first", "11", "--runs", "6", "--digest")
    first, second = (_finish(_start(*arguments)) for _ in range(2))
    assert _digests(first) == _digests(second)
    assert len(_digests(first)) == 6
    # What ran before in the same process changes nothing.
    alone = _finish(_start("--first", "14", "--digest"))
    assert _digests(alone) == _digests(first)[3:4]


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=_ROOT,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _finish(worker: subprocess.Popen[str]) -> str:
    output, _ = worker.communicate()
    assert worker.returncode in (0, 1), output
    return output


def _summary(output: str) -> dict[str, float]:
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def _digests(output: str) -> list[str]:
    return [line for line in output.splitlines() if '"digest"' in line]
