"""The tables of a whole run, as they stand in `bench/README.md` between two markers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.report import machine, summary, target_table
from bench.rounds import Plan, Result

BEGIN: Final = "<!-- bench:begin -->"
END: Final = "<!-- bench:end -->"


def tables(plan: Plan, results: Sequence[Result]) -> str:
    """How it was measured, the summary, the targets."""
    return "\n".join(
        [
            f"`python -m bench --repeats {plan.repeats} --seconds {plan.seconds:g}` on {machine()}",
            "",
            summary(results),
            "",
            target_table(results),
        ]
    )


def write_between_markers(path: Path, text: str) -> None:
    """Replace what stands between the markers in `path`. Raises `ValueError` if they are not there.

    Only the whole lines between them change.
    """
    before, after = around_markers(path)
    path.write_text(f"{before}{text}\n{after}", encoding="utf-8")


def around_markers(path: Path) -> tuple[str, str]:
    """What stands before and after, markers included. Raises `ValueError` if there are none."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(f"{BEGIN}\n")
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no lines {BEGIN} and {END}")
    return before + begin, end + after
