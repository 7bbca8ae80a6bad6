"""Idle: connections that say nothing and are pinged.

The value is memory per connection; an operation is one connection for one second, because servers
ping at different intervals.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Final

from bench import procfs
from bench.client import connect, leave_all
from bench.meter import Measurement, Meter
from bench.patience import until
from bench.scenarios.scenario import Site

_SETTLE_S: Final = 1.0
_WATCHED_S: Final = 12.0
_BLOCK: Final = 100


class Idle:
    """So many connections."""

    local = False

    def __init__(self, connections: int) -> None:
        self.name = f"idle-{connections}"
        self._connections = connections

    def prepare(self, tag: str) -> None:
        """Nothing is signed."""

    async def measure(self, site: Site) -> list[Measurement]:
        """Connect all, wait for everybody's first ping, and watch for 12 s."""
        lines = 0

        def count(_line: bytes) -> None:
            nonlocal lines
            lines += 1

        pid = site.server.pid
        before = 0 if pid is None else procfs.memory(pid)
        clients = []
        start = perf_counter()
        for _ in range(0, self._connections, _BLOCK):
            block = (connect(site.server.url, count) for _ in range(_BLOCK))
            clients += await asyncio.gather(*block)
        await until(lambda: lines >= self._connections, lambda: lines, clients)
        connected = perf_counter() - start
        await asyncio.sleep(_SETTLE_S)
        grown = 0 if pid is None else procfs.memory(pid) - before
        meter, pings = Meter(site.server), lines
        meter.start()
        end = perf_counter() + _WATCHED_S
        await until(lambda: False, lambda: lines, clients, deadline=end, tell=site.tell)
        meter.stop()
        pings = lines - pings
        leave_all(clients)
        measured = meter.rate(self.name, "KB/connection", round(self._connections * meter.elapsed))
        measured.value = grown / 1024 / self._connections
        measured.notes |= {"connect_s": connected, "pings": pings}
        return [measured]
