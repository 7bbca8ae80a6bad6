"""The table "scenario x release" of an interop run.

In: one outcome per test (scenario, release, passed/failed/not applicable and why).
Out: a Markdown table, and a way to put it between the two markers of a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = "<!-- interop:begin -->"
END = "<!-- interop:end -->"
PASS, FAIL, NOT_APPLICABLE, NOT_RUN = "pass", "**FAIL**", "n.a.", "not run"
# One failing test makes the cell fail; a skipped part does not hide that the rest passed.
SEVERITY = {FAIL: 3, PASS: 2, NOT_APPLICABLE: 1, NOT_RUN: 0}


@dataclass
class Table:
    """Outcomes, collected in the order in which scenarios first appear."""

    releases: list[str]
    cells: dict[str, dict[str, str]] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    def add(self, scenario: str, release: str, outcome: str, reason: str = "") -> None:
        """Note one test's outcome; several tests of one cell are combined, the worst wins."""
        row = self.cells.setdefault(scenario, {})
        if reason:
            outcome = f"{outcome} [{self._footnote(reason)}]"
        before = row.get(release)
        if before is None or _severity(outcome) > _severity(before):
            row[release] = outcome

    def markdown(self) -> str:
        """The whole table with its footnotes."""
        lines = [
            "| scenario | " + " | ".join(self.releases) + " |",
            "|---" * (len(self.releases) + 1) + "|",
        ]
        for scenario, row in self.cells.items():
            cells = [row.get(release, NOT_RUN) for release in self.releases]
            lines.append(f"| {scenario} | " + " | ".join(cells) + " |")
        if self.reasons:
            lines.append("")
            lines += [f"[{number}] {reason}  " for number, reason in enumerate(self.reasons, 1)]
        return "\n".join(lines)

    def _footnote(self, reason: str) -> int:
        if reason not in self.reasons:
            self.reasons.append(reason)
        return self.reasons.index(reason) + 1


def write_between_markers(file: Path, text: str) -> None:
    """Replace what stands between the markers in `file` by `text`."""
    before, begin, rest = file.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file} lacks the markers {BEGIN} ... {END}")
    file.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def _severity(outcome: str) -> int:
    return SEVERITY[outcome.partition(" [")[0]]
