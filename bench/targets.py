"""The targets: what bandstand is to reach beside the reference, and whether a run reached it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from bench.meter import Measurement
from bench.percentiles import median
from bench.rounds import Result

_OURS: Final = "bandstand"
_BUSY: Final = 0.9

Metric = Literal["result", "p50", "p99", "CPU", "peak memory", "unsynced"]
_METRICS: Final[dict[Metric, Callable[[Measurement], float | None]]] = {
    "result": lambda measured: measured.value,
    "p50": lambda measured: measured.p50_ms,
    "p99": lambda measured: measured.p99_ms,
    "CPU": lambda measured: measured.cpu_us,
    "peak memory": lambda measured: measured.peak_bytes,
    "unsynced": lambda measured: measured.notes.get("unsynced"),
}


@dataclass(frozen=True, slots=True)
class Target:
    """One figure of bandstand's, divided by the same figure of another server's, and its bound."""

    measurement: str
    """A scenario or a part of one: the name of a `Measurement`."""
    metric: Metric
    """`CPU` is per operation; `unsynced` counts acknowledgements without a sync before them."""
    relation: Literal["≤", "≥"]
    bound: float
    against: Literal["reference", "reference-full"] | None = "reference"
    """`None`: the figure itself is bounded."""


TARGETS: Final = (
    Target("ack", "p50", "≤", 0.9, "reference-full"),
    Target("ack", "CPU", "≤", 0.6, "reference-full"),
    *(
        target
        for name in ("ingest-20x8", "ingest-200x4")
        for target in (
            Target(name, "result", "≥", 10),
            Target(name, "CPU", "≤", 0.10),
            Target(name, "p99", "≤", 0.20),
        )
    ),
    Target("batches", "result", "≥", 6),
    Target("owned", "result", "≥", 8),
    Target("deep", "result", "≥", 8),
    *(
        target
        for name in ("fanout-100", "fanout-1000")
        for target in (
            Target(name, "CPU", "≤", 0.30),
            Target(name, "result", "≥", 2.5),
            Target(f"{name} paced", "p99", "≤", 0.5),
        )
    ),
    Target("rooms", "result", "≥", 10),
    Target("rooms", "CPU", "≤", 0.10),
    Target("cold-5000", "result", "≤", 0.5),
    Target("cold-5000 warm", "result", "≤", 1),
    Target("cold-1000x10", "result", "≤", 0.33),
    Target("cold-1000x10 warm", "result", "≤", 1),
    Target("storm", "result", "≤", 0.4),
    Target("storm", "CPU", "≤", 0.2),
    Target("file-20mb up", "result", "≥", 3),
    Target("file-20mb up", "peak memory", "≤", 0.5),
    Target("file-20mb up first", "result", "≤", 1),
    Target("file-20mb down", "result", "≥", 1.5),
    Target("file-20mb down", "peak memory", "≤", 0.5),
    Target("file-20mb down first", "result", "≤", 1),
    Target("idle-2000", "result", "≤", 0.6),
    Target("idle-2000", "CPU", "≤", 0.6),
    Target("boot-20000", "result", "≤", 0.8),
    Target("ingest-full memory", "peak memory", "≤", 0.4),
    # One more for opening the write-ahead log is no lie.
    Target("fsync", "result", "≥", 1, None),
    Target("fsync", "result", "≤", 1.02, None),
    Target("fsync", "unsynced", "≤", 0, None),
    Target("fsync many in flight", "result", "≤", 0.5, None),
)


@dataclass(frozen=True, slots=True)
class Check:
    """What a run says about a target. Ratios are plain quotients, made round by round."""

    target: Target
    found: float
    """The median of the rounds."""
    low: float
    high: float
    generator: float
    """The share of a core that the generator's busiest process used."""

    @property
    def met(self) -> bool:
        """Whether the median keeps the bound."""
        target = self.target
        return self.found <= target.bound if target.relation == "≤" else self.found >= target.bound

    @property
    def verdict(self) -> str:
        """The same in words, and whether a miss may be the generator's."""
        busy = not self.met and self.generator > _BUSY
        return "met" if self.met else "missed, generator busy" if busy else "missed"


def checks(results: Sequence[Result], targets: Sequence[Target] = TARGETS) -> list[Check]:
    """One for each target that the run has figures for."""
    rounds: dict[tuple[str, str], dict[int, Measurement]] = {}
    for result in results:
        for each in result.measurements:
            rounds.setdefault((each.name, result.server), {})[result.round] = each
    found = (_check(target, rounds) for target in targets)
    return [check for check in found if check is not None]


def _check(target: Target, rounds: dict[tuple[str, str], dict[int, Measurement]]) -> Check | None:
    ours = rounds.get((target.measurement, _OURS), {})
    theirs = rounds.get((target.measurement, target.against or _OURS), {})
    figure = _METRICS[target.metric]
    values = []
    for number, measured in ours.items():
        value = figure(measured)
        base = 1.0 if target.against is None else number in theirs and figure(theirs[number])
        if value is not None and base:
            values.append(value / base)
    middle = median(values)
    if middle is None:
        return None
    busiest = median(measured.generator for measured in ours.values()) or 0.0
    return Check(target, middle, min(values), max(values), busiest)
