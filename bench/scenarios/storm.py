"""Storm: the server was restarted, and all clients come back in the same moment.

Each asks for everything it holds, as Jazz clients do, and is told that it holds all there is.
"""

from __future__ import annotations

import asyncio
from time import perf_counter

from bench.client import Client, connect, leave_all
from bench.faults import WrongAnswer
from bench.filling import Stock
from bench.meter import Measurement, Meter
from bench.patience import until
from bench.scenarios.scenario import Site
from bench.work import frames_of
from protocol.messages import encode_load


class _Returning:
    """A client that was away for a moment."""

    def __init__(self, frames: list[bytes], values: int) -> None:
        self._frames = frames
        self._values = values
        self.answers = 0
        self.answered_at = 0.0
        self.corrections = 0

    async def come(self, url: str) -> Client:
        """Connect and ask for everything."""
        client = await connect(url, self._take)
        for frame in self._frames:
            client.send(frame)
        return client

    def _take(self, line: bytes) -> None:
        if line.startswith(b'{"action"'):
            self.answers += 1
            if b'"isCorrection":true' in line:
                self.corrections += 1
            if self.answers == self._values:
                self.answered_at = perf_counter()


class Storm:
    """`clients` with `values` of their own each."""

    name = "storm"
    local = True

    def __init__(self, *, clients: int, values: int) -> None:
        self._clients = clients
        self._values = values
        self._stock: Stock | None = None
        self._frames: list[list[bytes]] = []

    def prepare(self, tag: str) -> None:
        """Sign what the clients hold, and write what they ask."""
        self._stock = Stock(f"{tag} storm", self._clients * self._values, 1)
        held = list(self._stock.sessions.items())
        for start in range(0, len(held), self._values):
            loads = [encode_load(i, True, {s: 1}) for i, s in held[start : start + self._values]]
            self._frames.append(list(frames_of(loads)))

    async def measure(self, site: Site) -> list[Measurement]:
        """Write, restart, and let everybody come at once."""
        assert self._stock is not None
        await self._stock.store(site.server.url)
        site.server.restart()
        returning = [_Returning(frames, self._values) for frames in self._frames]
        meter = Meter(site.server)

        def answers() -> int:
            return sum(each.answers for each in returning)

        meter.start()
        clients = await asyncio.gather(*(each.come(site.server.url) for each in returning))
        await until(lambda: all(each.answered_at for each in returning), answers, clients)
        meter.stop(max(each.answered_at for each in returning))
        leave_all(clients)
        if corrections := sum(each.corrections for each in returning):
            raise WrongAnswer(f"{corrections} corrections of clients that hold everything")
        latencies = [each.answered_at - meter.started_at for each in returning]
        measured = meter.time(self.name, self._clients * self._values, latencies)
        measured.stored = self._clients * self._values
        return [measured]
