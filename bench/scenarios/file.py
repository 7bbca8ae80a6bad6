"""A file, up and down: a binary stream in transactions of 100 kB, a third more as base64.

MB/s are those of the file.
"""

from __future__ import annotations

import base64
import math
from typing import Final

from bench import procfs
from bench.authors import Agent, Log, open_file, private
from bench.meter import Measurement, Meter
from bench.patience import until
from bench.reader import Reader
from bench.scenarios.scenario import Site
from bench.work import Run, run_of
from bench.writer import Writer

_PART: Final = 100_000
_LOADS: Final = 3


class File:
    """A file of `size` bytes."""

    name = "file-20mb"
    local = True

    def __init__(self, size: int) -> None:
        self._size = size
        self._run: Run | None = None

    def prepare(self, tag: str) -> None:
        """Cut, encode and sign."""
        agent = Agent(f"{tag} file")
        part = base64.urlsafe_b64encode(bytes(index % 251 for index in range(_PART))).decode()
        texts = [private(f"{index}{part}", index) for index in range(self._parts)]
        self._run = run_of(open_file(f"{tag} file"), Log(agent.id, agent, f"{tag} file"), texts)

    @property
    def _parts(self) -> int:
        return math.ceil(self._size / _PART)

    async def measure(self, site: Site) -> list[Measurement]:
        """Upload until the last acknowledgement, restart, download with a new client."""
        return [*await self._up(site), *await self._down(site)]

    async def _up(self, site: Site) -> list[Measurement]:
        assert self._run is not None
        # A client does not wait for acknowledgements, only for its socket.
        writer = Writer(self._run, self._parts)
        client = await writer.connect(site.server.url)
        meter = Meter(site.server)
        meter.start()
        writer.start()
        await until(lambda: writer.done, lambda: writer.acked, [client])
        meter.stop(writer.acked_at)
        client.leave()
        return self._measured(site, meter, "up", writer.latencies)

    async def _down(self, site: Site) -> list[Measurement]:
        """Three times, as it takes only moments; the middle one counts."""
        loads = [await self._load(site) for _ in range(_LOADS)]
        return sorted(loads, key=lambda load: load[0].value)[_LOADS // 2]

    async def _load(self, site: Site) -> list[Measurement]:
        assert self._run is not None
        site.server.restart()
        reader = Reader()
        reader.timed = True
        client = await reader.connect(site.server.url)
        meter = Meter(site.server)
        meter.start()
        reader.load([self._run.header.id])
        await until(lambda: reader.received >= self._parts, lambda: reader.received, [client])
        meter.stop(reader.received_at)
        client.leave()
        return self._measured(
            site, meter, "down", [at - meter.started_at for at in reader.arrivals]
        )

    def _measured(
        self, site: Site, meter: Meter, way: str, latencies: list[float]
    ) -> list[Measurement]:
        """The whole, and its first part: acknowledged on the way up, arrived on the way down."""
        whole = meter.rate(f"{self.name} {way}", "MB/s", self._parts, latencies)
        whole.value = self._size / 1e6 / meter.elapsed
        first = meter.time(f"{self.name} {way} first", 1, latencies[:1])
        first.value = latencies[0] * 1000
        first.cpu_us = None  # it cannot be told from the rest
        if site.server.pid is not None:
            whole.peak_bytes = first.peak_bytes = procfs.peak_memory(site.server.pid)
        return [whole, first]
