"""Results as Markdown tables and as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from bench import procfs
from bench.meter import Measurement
from bench.percentiles import median, ratio
from bench.profile import PARTS
from bench.ramp import Step
from bench.rounds import Plan, Result
from bench.servers import BASE
from bench.targets import checks

_PARTS = (*PARTS, "else")
_HEAD = (
    "server", "result", "p50 ms", "p99 ms", "CPU µs/op", "peak MB", "disk MB", "disk B/tx",
    "generator", "× reference", "× CPU",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """Medians over the rounds of one server in one measurement, and ratios of the same round."""

    name: str
    server: str
    unit: str
    value: float | None
    low: float
    high: float
    p50_ms: float | None
    p99_ms: float | None
    cpu_us: float | None
    peak_bytes: float | None
    database_bytes: float | None
    disk_bytes: float | None
    """Of the database, per transaction in it."""
    generator: float | None
    faster: float | None
    """How many times better the value is than the reference's."""
    faster_range: tuple[float, float] | None
    """The same in the worst and the best round: around 1, nothing was found out."""
    leaner: float | None
    """How many times less CPU an operation takes."""


def lines(results: Sequence[Result]) -> list[Line]:
    """The medians of each server in each measurement, in the order they were first made."""
    found: dict[tuple[str, str], dict[int, Measurement]] = {}
    for result in results:
        for each in result.measurements:
            found.setdefault((each.name, result.server), {})[result.round] = each
    return [
        _line(name, server, rounds, found.get((name, BASE), {}))
        for (name, server), rounds in found.items()
    ]


def _line(
    name: str, server: str, rounds: dict[int, Measurement], base: dict[int, Measurement]
) -> Line:
    def middle(of: Callable[[Measurement], float | None]) -> float | None:
        return median(map(of, rounds.values()))

    pairs = [
        (each, base[number])
        for number, each in rounds.items()
        if number in base and each.comparable
    ]
    faster = [ratio(a.value, b.value, higher_is_better=a.higher_is_better) for a, b in pairs]
    present = [value for value in faster if value is not None]
    any_of = next(iter(rounds.values()))
    values = [each.value for each in rounds.values()]
    return Line(
        name=name,
        server=server,
        unit=any_of.unit,
        value=median(values),
        low=min(values),
        high=max(values),
        p50_ms=middle(lambda m: m.p50_ms),
        p99_ms=middle(lambda m: m.p99_ms),
        cpu_us=middle(lambda m: m.cpu_us),
        peak_bytes=middle(lambda m: m.peak_bytes),
        database_bytes=middle(lambda m: m.database_bytes),
        disk_bytes=middle(
            lambda m: m.database_bytes / m.stored if m.database_bytes and m.stored else None
        ),
        generator=middle(lambda m: m.generator),
        faster=median(faster),
        faster_range=(min(present), max(present)) if present else None,
        leaner=median(ratio(a.cpu_us, b.cpu_us, higher_is_better=False) for a, b in pairs),
    )


def scenario_table(name: str, results: Sequence[Result]) -> str:
    """The table of one scenario, with what went wrong below."""
    rows = [
        (
            line.server if line.name == name else f"{line.server}{line.name.removeprefix(name)}",
            f"{_figure(line.value)} {line.unit}",
            _figure(line.p50_ms),
            _figure(line.p99_ms),
            _figure(line.cpu_us),
            _figure(line.peak_bytes, 1e6),
            _figure(line.database_bytes, 1e6),
            _figure(line.disk_bytes),
            f"{line.generator or 0:.0%}",
            _range(line),
            _times(line.leaner),
        )
        for line in lines(results)
    ]
    faults = [
        f"- {result.server}, round {result.round + 1}: {result.fault}"
        for result in results
        if result.fault
    ]
    return "\n".join([f"### {name}", "", *_table(_HEAD, rows), *([""] if faults else []), *faults])


def summary(results: Sequence[Result]) -> str:
    """One line a measurement, one column a server."""
    all_lines = lines(results)
    servers = list(dict.fromkeys(line.server for line in all_lines))
    cells = {(line.name, line.server): line for line in all_lines}
    compared = [server for server in servers if BASE in servers and server != BASE]
    head = ["scenario", "unit", *(f"{server} · CPU µs/op" for server in servers)]
    for server in compared:
        head += [f"{server} × reference", "× CPU"]
    rows = []
    for name in dict.fromkeys(line.name for line in all_lines):
        unit = next(line.unit for line in all_lines if line.name == name)
        row = [name, unit, *(_cell(cells.get((name, server))) for server in servers)]
        for server in compared:
            line = cells.get((name, server))
            row += ["–", "–"] if line is None else [_range(line), _times(line.leaner)]
        rows.append(row)
    return "\n".join(_table(head, rows))


def target_table(results: Sequence[Result]) -> str:
    """One line a target that the run has figures for."""
    rows = []
    for check in checks(results):
        target = check.target
        times = "" if target.against is None else "×"
        against = "" if target.against is None else f" {target.against}"
        found = f"{check.found:.3g}{times}"
        if check.low != check.high:
            found += f" ({check.low:.3g}–{check.high:.3g})"
        wanted = f"{target.relation} {target.bound:g}{times}{against}"
        rows.append((target.measurement, target.metric, wanted, found, check.verdict))
    head = ("scenario", "figure", "target", "measured (worst and best round)", "")
    return "\n".join(_table(head, rows))


def profile_table(results: Sequence[Result]) -> str:
    """The shares of the servers' CPU time, medians over the rounds, of what was sampled."""
    found: dict[tuple[str, str], list[Measurement]] = {}
    for result in results:
        for each in result.measurements:
            if each.profile:
                found.setdefault((each.name, result.server), []).append(each)
    rows = []
    for (name, server), rounds in found.items():
        shares = [median([each.profile[part] for each in rounds]) or 0 for part in _PARTS]
        cpu = median([each.cpu_us for each in rounds if each.cpu_us is not None])
        rows.append((name, server, _figure(cpu), *(f"{share:.0%}" for share in shares)))
    return "\n".join(_table(("scenario", "server", "CPU µs/op", *_PARTS), rows))


_STEPS = (
    "offered tx/s", "achieved tx/s", "p50 ms", "p99 ms", "CPU µs/tx", "generator", "",
)  # fmt: skip


def step_head() -> str:
    """The head of the table of a ramp."""
    return "\n".join(_table(_STEPS, []))


def step_row(step: Step) -> str:
    """One step of a ramp."""
    row = (
        f"{step.offered:,.0f}",
        f"{step.achieved:,.0f}",
        _figure(step.p50_ms),
        _figure(step.p99_ms),
        _figure(step.cpu_us),
        f"{step.generator:.0%}",
        step.fault,
    )
    return f"| {' | '.join(row)} |"


def machine() -> str:
    """What this ran on, without names."""
    return (
        f"{procfs.cpu_model()}, {os.cpu_count()} cores, {platform.system()}"
        f" {platform.release().partition('-')[0]}, Python {platform.python_version()};"
        f" {datetime.now(UTC):%Y-%m-%d}"
    )


def raw(plan: Plan, results: Sequence[Result]) -> bytes:
    """All results, every round, as JSON. The address may hold a key, so it is left out."""
    shown = msgspec.to_builtins(plan) | {"url": None}
    found = checks(results)
    everything = {
        "machine": machine(),
        "plan": shown,
        "results": results,
        "targets": [{"met": check.met} | msgspec.to_builtins(check) for check in found],
    }
    return msgspec.json.format(msgspec.json.encode(everything))


def raw_of(**found: object) -> bytes:
    """What a ramp or the charts found, as JSON."""
    return msgspec.json.format(msgspec.json.encode({"machine": machine(), **found}))


def _cell(line: Line | None) -> str:
    return "–" if line is None else f"{_figure(line.value)} · {_figure(line.cpu_us)}"


def _figure(value: float | None, divisor: float = 1) -> str:
    if value is None:
        return "–"
    value /= divisor
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _times(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}×" if value >= 1.95 else f"{value:.2f}×"


def _range(line: Line) -> str:
    if line.faster_range is None:
        return "–"
    low, high = line.faster_range
    return _times(line.faster) if low == high else f"{_times(line.faster)} ({low:.2g}–{high:.2g})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines_ = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines_]
