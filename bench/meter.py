"""The clock of a measurement: wall time, the server's CPU, the generator's CPU."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter, process_time

from bench import procfs
from bench.percentiles import percentile
from bench.profile import Profiler
from bench.servers import Server


@dataclass(slots=True, kw_only=True)
class Measurement:
    """One line of a table, from one server in one round."""

    name: str
    value: float
    unit: str
    """Of the value. Of a time or of memory less is better, else more is."""
    p50_ms: float | None = None
    p99_ms: float | None = None
    operations: int = 0
    cpu_us: float | None = None
    """The server's CPU time per operation."""
    generator: float = 0.0
    """The generator's busiest process, as a share of one core."""
    peak_bytes: int | None = None
    database_bytes: int | None = None
    stored: int | None = None
    """Transactions in the database, where nothing else is in it."""
    notes: dict[str, float] = field(default_factory=dict)
    """What else was seen; for the raw results."""
    profile: dict[str, float] = field(default_factory=dict)
    """Share of the server's CPU time of each part of it (`profile`), if asked for."""

    @property
    def higher_is_better(self) -> bool:
        """Whether the value is a rate."""
        return self.unit.endswith("/s")

    @property
    def comparable(self) -> bool:
        """Whether more or less of the value is better at all."""
        return self.unit != "syncs/tx"


class Meter:
    """Runs from `start` to `stop`. `helpers` are further processes of the generator."""

    def __init__(self, server: Server, helpers: Sequence[int] = ()) -> None:
        self._server = server
        self._helpers = helpers
        self.started_at = self.elapsed = 0.0
        self._server_cpu: float | None = None
        self._own_cpu: list[float] = []
        self._profiler: Profiler | None = None
        self._profile: dict[str, float] = {}

    def start(self) -> None:
        """The measured part begins."""
        if self._server.profiled and self._server.pid is not None:
            self._profiler = Profiler(self._server.pid)
        self._server_cpu = self._server.cpu_seconds()
        self._own_cpu = self._own()
        self.started_at = perf_counter()

    def stop(self, at: float | None = None) -> None:
        """It is over, or was `at` (`perf_counter`, s)."""
        now = perf_counter()
        self.elapsed = max((now if at is None else at) - self.started_at, 1e-9)
        before, after = self._server_cpu, self._server.cpu_seconds()
        self._server_cpu = None if before is None or after is None else after - before
        self._own_cpu = [b - a for a, b in zip(self._own_cpu, self._own(), strict=True)]
        if self._profiler is not None:
            self._profile = self._profiler.stop()

    def rate(
        self, name: str, unit: str, operations: int, latencies: Sequence[float] = ()
    ) -> Measurement:
        """So many operations in the measured part; `latencies` are in s."""
        return self._measured(name, unit, operations / self.elapsed, operations, latencies)

    def time(self, name: str, operations: int, latencies: Sequence[float] = ()) -> Measurement:
        """The measured part, for so many operations, in ms; `latencies` are in s."""
        return self._measured(name, "ms", self.elapsed * 1000, operations, latencies)

    def _measured(
        self, name: str, unit: str, value: float, operations: int, latencies: Sequence[float]
    ) -> Measurement:
        p50, p99 = percentile(latencies, 50), percentile(latencies, 99)
        cpu = self._server_cpu
        return Measurement(
            name=name,
            value=value,
            unit=unit,
            p50_ms=None if p50 is None else p50 * 1000,
            p99_ms=None if p99 is None else p99 * 1000,
            operations=operations,
            cpu_us=None if cpu is None else cpu / max(operations, 1) * 1e6,
            generator=max(self._own_cpu) / self.elapsed,
            notes={} if cpu is None else {"server_cpu_share": cpu / self.elapsed},
            profile=self._profile,
        )

    def _own(self) -> list[float]:
        assert os.getpid() not in self._helpers
        return [process_time(), *map(procfs.cpu_seconds, self._helpers)]
