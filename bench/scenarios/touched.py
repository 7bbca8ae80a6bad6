"""Touched: many CoValues are written by a client that then leaves. What does the server keep?"""

from __future__ import annotations

import asyncio
from typing import Final

from bench import procfs
from bench.faults import NotMeasured
from bench.filling import Stock
from bench.meter import Measurement, Meter
from bench.scenarios.scenario import Site

_SETTLE_S: Final = 2.0


class Touched:
    """So many CoValues of one transaction each."""

    local = True

    def __init__(self, values: int) -> None:
        self.name = f"touch-{values}"
        self._values = values
        self._stock: Stock | None = None

    def prepare(self, tag: str) -> None:
        """Sign them."""
        self._stock = Stock(f"{tag} {self.name}", self._values, 1)

    async def measure(self, site: Site) -> list[Measurement]:
        """Write all, leave, and look 2 s later."""
        assert self._stock is not None
        if site.server.pid is None:
            raise NotMeasured("the memory of a server that runs elsewhere cannot be seen")
        meter = Meter(site.server)
        meter.start()
        await self._stock.store(site.server.url)
        meter.stop()
        await asyncio.sleep(_SETTLE_S)
        measured = meter.rate(self.name, "MB", self._values)
        measured.value = procfs.memory(site.server.pid) / 1e6
        measured.stored = self._values
        return [measured]
