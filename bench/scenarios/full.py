"""Full: ingest into a server that has stored 100,000 transactions before, and what they cost it."""

from __future__ import annotations

from bench import procfs
from bench.filling import Stock
from bench.meter import Measurement, Meter
from bench.scenarios.ingest import Ingest
from bench.scenarios.scenario import Site


class Full:
    """`values` of `transactions` each are written; then comes what `ingest` does."""

    local = False

    def __init__(self, ingest: Ingest, *, values: int, transactions: int) -> None:
        self.name = ingest.name
        self._ingest = ingest
        self._values = values
        self._transactions = transactions
        self._stock: Stock | None = None

    def prepare(self, tag: str) -> None:
        """Sign everything."""
        self._stock = Stock(f"{tag} {self.name} stock", self._values, self._transactions)
        self._ingest.prepare(tag)

    async def measure(self, site: Site) -> list[Measurement]:
        """Fill, note the peak of the memory, ingest."""
        assert self._stock is not None
        whole = self._values * self._transactions
        meter = Meter(site.server)
        meter.start()
        await self._stock.store(site.server.url)
        meter.stop()
        memory = meter.rate(f"{self.name} memory", "MB (peak)", whole)
        if site.server.pid is not None:
            memory.peak_bytes = procfs.peak_memory(site.server.pid)
            memory.value = memory.peak_bytes / 1e6
        measured = await self._ingest.measure(site)
        for each in measured:
            each.stored = (each.stored or 0) + whole
        # Without its process there is no memory to tell of.
        return [*measured, memory] if site.server.pid is not None else measured
