"""Loads: a fresh client asks a server for what it has stored.

Warm: right after it was written, by a server that still has in memory what it keeps there. Cold:
the server was just restarted.
"""

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
    loads = []
    for _ in range(_LOADS):
        site.server.restart()
        loads.append(await _load(site, name, ids, transactions))
    return _middle(loads)


async def warm_load(site: Site, name: str, ids: Collection[str], transactions: int) -> Measurement:
    """The same without restarts."""
    return _middle([await _load(site, f"{name} warm", ids, transactions) for _ in range(_LOADS)])


def _middle(loads: list[Measurement]) -> Measurement:
    return sorted(loads, key=lambda load: load.value)[len(loads) // 2]


async def _load(site: Site, name: str, ids: Collection[str], transactions: int) -> Measurement:
    reader = Reader()
    reader.timed = True
    client = await reader.connect(site.server.url)
    meter = Meter(site.server)
    meter.start()
    reader.load(ids)
    await until(lambda: reader.received >= transactions, lambda: reader.received, [client])
    meter.stop(reader.received_at)
    client.leave()
    if reader.gaps:
        raise WrongAnswer(f"{reader.gaps} gaps in what was loaded")
    latencies = [at - meter.started_at for at in reader.arrivals]
    measured = meter.time(name, transactions, latencies)
    measured.stored = transactions
    measured.notes["messages"] = reader.messages
    return measured


class ColdOne:
    """One CoValue with a long history, written edit by edit."""

    local = True

    def __init__(self, transactions: int) -> None:
        self.name = f"cold-{transactions}"
        self._transactions = transactions
        self._run: Run | None = None

    def prepare(self, tag: str) -> None:
        """Sign the history."""
        self._run = open_run(f"{tag} {self.name}", self._transactions)

    async def measure(self, site: Site) -> list[Measurement]:
        """Write, load; restart, load."""
        assert self._run is not None
        writer = Writer(self._run, 8)
        client = await writer.connect(site.server.url)
        writer.start()
        await until(lambda: writer.done, lambda: writer.acked, [client])
        client.leave()
        ids = [self._run.header.id]
        warm = await warm_load(site, self.name, ids, self._transactions)
        return [await cold_load(site, self.name, ids, self._transactions), warm]


class ColdMany:
    """Many CoValues with a short history each, as an app holds them."""

    local = True

    def __init__(self, values: int, transactions: int) -> None:
        self.name = f"cold-{values}x{transactions}"
        self._values = values
        self._transactions = transactions
        self._stock: Stock | None = None

    def prepare(self, tag: str) -> None:
        """Sign the histories."""
        self._stock = Stock(f"{tag} {self.name}", self._values, self._transactions)

    async def measure(self, site: Site) -> list[Measurement]:
        """Write, load; restart, load."""
        assert self._stock is not None
        await self._stock.store(site.server.url)
        whole = self._values * self._transactions
        warm = await warm_load(site, self.name, self._stock.ids, whole)
        return [await cold_load(site, self.name, self._stock.ids, whole), warm]
