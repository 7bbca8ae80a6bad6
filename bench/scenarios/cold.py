"""Cold loads: a fresh client asks a server that was just restarted for what it has stored."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from bench.faults import WrongAnswer
from bench.filling import Stock
from bench.meter import Measurement, Meter
from bench.patience import until
from bench.reader import Reader
from bench.scenarios.scenario import Site
from bench.work import Run, open_run
from bench.writer import Writer

_LOADS: Final = 5


async def cold_load(site: Site, name: str, ids: Collection[str], transactions: int) -> Measurement:
    """Restart and load `ids`, which hold so many transactions in all, with a new client.

    Done five times, as it takes only milliseconds; the median one counts.
    """
    loads = [await _load(site, name, ids, transactions) for _ in range(_LOADS)]
    return sorted(loads, key=lambda load: load.value)[_LOADS // 2]


async def _load(site: Site, name: str, ids: Collection[str], transactions: int) -> Measurement:
    site.server.restart()
    reader = Reader()
    client = await reader.connect(site.server.url)
    meter = Meter(site.server)
    meter.start()
    reader.load(ids)
    await until(lambda: reader.received >= transactions, lambda: reader.received, [client])
    meter.stop(reader.received_at)
    client.leave()
    if reader.gaps:
        raise WrongAnswer(f"{reader.gaps} gaps in what was loaded")
    measured = meter.time(name, transactions)
    measured.stored = transactions
    measured.notes["messages"] = reader.messages
    return measured


class ColdOne:
    """One CoValue with a long history, written edit by edit."""

    restarts = True

    def __init__(self, transactions: int) -> None:
        self.name = f"cold-{transactions}"
        self._transactions = transactions
        self._run: Run | None = None

    def prepare(self, tag: str) -> None:
        """Sign the history."""
        self._run = open_run(f"{tag} {self.name}", self._transactions)

    async def measure(self, site: Site) -> list[Measurement]:
        """Write, restart, load."""
        assert self._run is not None
        writer = Writer(self._run, 8)
        client = await writer.connect(site.server.url)
        writer.start()
        await until(lambda: writer.done, lambda: writer.acked, [client])
        client.leave()
        return [await cold_load(site, self.name, [self._run.header.id], self._transactions)]


class ColdMany:
    """Many CoValues with a short history each, as an app holds them."""

    restarts = True

    def __init__(self, values: int, transactions: int) -> None:
        self.name = f"cold-{values}x{transactions}"
        self._values = values
        self._transactions = transactions
        self._stock: Stock | None = None

    def prepare(self, tag: str) -> None:
        """Sign the histories."""
        self._stock = Stock(f"{tag} {self.name}", self._values, self._transactions)

    async def measure(self, site: Site) -> list[Measurement]:
        """Write, restart, load."""
        assert self._stock is not None
        await self._stock.store(site.server.url)
        whole = self._values * self._transactions
        return [await cold_load(site, self.name, self._stock.ids, whole)]
