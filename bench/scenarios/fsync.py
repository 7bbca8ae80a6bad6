"""Fsync: does the server sync before it acknowledges, and how often?

With one message in flight an honest server syncs its write-ahead log exactly once before each
acknowledgement; with 160 in flight many share one. The server is traced meanwhile, so only the
counts mean anything.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.client import leave_all
from bench.faults import NotMeasured
from bench.meter import Measurement, Meter
from bench.patience import until
from bench.scenarios.scenario import Site
from bench.signing import in_parallel
from bench.syscalls import Event, Tracer
from bench.work import Run, open_run
from bench.writer import Writer


class Fsync:
    """`alone` messages one by one; then `clients` × `window` in flight, `together` each."""

    name = "fsync"
    local = True

    def __init__(self, *, alone: int, clients: int, window: int, together: int) -> None:
        self._alone = alone
        self._clients = clients
        self._window = window
        self._together = together
        self._runs: list[Run] = []

    def prepare(self, tag: str) -> None:
        """Sign everything."""
        names = [(f"{tag} fsync {index}", self._together) for index in range(self._clients)]
        self._runs = in_parallel(open_run, [(f"{tag} fsync", self._alone), *names])

    async def measure(self, site: Site) -> list[Measurement]:
        """Write under the tracer."""
        alone, *together = self._runs
        return [
            await self._traced(site, self.name, [alone], 1),
            await self._traced(site, f"{self.name} many in flight", together, self._window),
        ]

    async def _traced(self, site: Site, name: str, runs: Sequence[Run], window: int) -> Measurement:
        if site.server.pid is None:
            raise NotMeasured("a server that runs elsewhere cannot be traced")
        writers = [Writer(run, window) for run in runs]
        clients = await asyncio.gather(*(writer.connect(site.server.url) for writer in writers))
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            tracer = Tracer(site.server.pid, Path(folder) / "calls")
            meter = Meter(site.server)
            meter.start()
            for writer in writers:
                writer.start()
            try:
                await until(
                    lambda: all(writer.done for writer in writers),
                    lambda: sum(writer.acked for writer in writers),
                    clients,
                )
            finally:
                meter.stop()
                found = tracer.stop()
        leave_all(clients)
        sent = sum(run.total for run in runs)
        measured = meter.rate(name, "syncs/tx", sent)
        measured.value = found.count(Event.SYNCED) / sent
        measured.cpu_us = None
        measured.notes = {
            "syncs": found.count(Event.SYNCED),
            "acknowledgements": found.count(Event.ACKED),
        }
        if window == 1:
            measured.notes["unsynced"] = unsynced(found)
        return measured


def unsynced(found: Sequence[Event]) -> int:
    """Acknowledgements that no sync stands between and the one before."""
    synced, count = False, 0
    for event in found:
        if event is Event.SYNCED:
            synced = True
        else:
            count += not synced
            synced = False
    return count
