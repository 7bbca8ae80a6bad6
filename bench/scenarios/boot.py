"""Boot: from starting the process on a full database to the first ping on a connection."""

from __future__ import annotations

from time import perf_counter

from bench.client import connect
from bench.faults import Fault
from bench.filling import Stock
from bench.meter import Measurement, Meter
from bench.patience import until
from bench.scenarios.scenario import Site
from bench.servers import LocalServer


class Boot:
    """A database of so many CoValues."""

    local = True

    def __init__(self, values: int) -> None:
        self.name = f"boot-{values}"
        self._values = values
        self._stock: Stock | None = None

    def prepare(self, tag: str) -> None:
        """Sign them."""
        self._stock = Stock(f"{tag} {self.name}", self._values, 1)

    async def measure(self, site: Site) -> list[Measurement]:
        """Write, restart, connect."""
        assert self._stock is not None
        if not isinstance(site.server, LocalServer):
            raise Fault("this scenario restarts the server; run it without --url")
        await self._stock.store(site.server.url)
        site.server.restart()
        first = 0.0

        def take(_line: bytes) -> None:
            nonlocal first
            first = first or perf_counter()

        client = await connect(site.server.url, take)
        await until(lambda: first > 0, lambda: 0, [client])
        client.leave()
        meter = Meter(site.server)
        meter.start()
        meter.started_at = site.server.started_at
        meter.stop(first)
        measured = meter.time(self.name, 1, [meter.elapsed])
        measured.generator = 0.0
        measured.stored = self._values
        measured.cpu_us = (site.server.cpu_seconds() or 0.0) * 1e6
        return [measured]
