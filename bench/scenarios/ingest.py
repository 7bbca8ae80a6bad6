"""Ingest: clients that write, each into a CoValue of its own, and wait for acknowledgements."""

from __future__ import annotations

import asyncio
from time import perf_counter

from bench.client import leave_all
from bench.faults import WrongAnswer
from bench.meter import Measurement, Meter
from bench.patience import until
from bench.scenarios.scenario import Site
from bench.signing import in_parallel
from bench.work import Run, deep_runs, open_run, owned_run
from bench.writer import Writer


class Ingest:
    """`clients` with `window` messages in flight each, `batch` transactions a message.

    The first tenth of all transactions warms the server up and is not counted.
    """

    local = False

    def __init__(
        self,
        name: str,
        *,
        clients: int,
        window: int,
        messages: int,
        batch: int = 1,
        owned: bool = False,
        before: int = 0,
    ) -> None:
        """`messages` is how many each client may send.

        `owned`: private edits by an account, to a map that a group (every other client: the account
        itself) owns. `before`: so many edits are in each CoValue before the measured part.
        """
        self.name = name
        self._clients = clients
        self._window = window
        self._messages = messages
        self._batch = batch
        self._owned = owned
        self._before = before
        self._history: list[Run] = []
        self._runs: list[Run] = []

    def prepare(self, tag: str) -> None:
        """Sign everything."""
        names = [f"{tag} {self.name} {index}" for index in range(self._clients)]
        if self._owned:
            owned = [(name, self._messages, bool(at % 2)) for at, name in enumerate(names)]
            self._runs = in_parallel(owned_run, owned)
        elif self._before:
            deep = [(name, self._before, self._messages) for name in names]
            both = in_parallel(deep_runs, deep)
            self._history, self._runs = [one for one, _ in both], [two for _, two in both]
        else:
            plain = [(name, self._messages, self._batch) for name in names]
            self._runs = in_parallel(open_run, plain)

    async def measure(self, site: Site) -> list[Measurement]:
        """Write as fast as the server acknowledges, for some seconds or until all is written."""
        await self._write_history(site)
        writers = [Writer(run, self._window) for run in self._runs]
        clients = await asyncio.gather(*(writer.connect(site.server.url) for writer in writers))
        meter = Meter(site.server)

        def acked() -> int:
            return sum(writer.acked for writer in writers)

        warm = self._clients * (self._before + self._messages * self._batch // 10)
        for writer in writers:
            writer.start()
        await until(lambda: acked() >= warm, acked, clients)
        for writer in writers:
            writer.latencies.clear()
        meter.start()
        before = acked()
        finished = await until(
            lambda: any(writer.done for writer in writers),
            acked,
            clients,
            deadline=perf_counter() + site.seconds,
            tell=site.tell,
        )
        # Once the first has nothing left to send, the load is no longer what it says.
        meter.stop(max(writer.acked_at for writer in writers) if finished else None)
        operations = acked() - before
        latencies = [value for writer in writers for value in writer.latencies]
        for writer in writers:
            writer.stopped = True
        await until(lambda: all(writer.done for writer in writers), acked, clients)
        leave_all(clients)
        if corrections := sum(writer.corrections for writer in writers):
            raise WrongAnswer(f"{corrections} corrections of faultless content")
        measured = meter.rate(self.name, "tx/s", operations, latencies)
        measured.stored = acked()
        return [measured]

    async def _write_history(self, site: Site) -> None:
        writers = [Writer(run, 2) for run in self._history]
        clients = await asyncio.gather(*(writer.connect(site.server.url) for writer in writers))
        for writer in writers:
            writer.start()
        await until(
            lambda: all(writer.done for writer in writers),
            lambda: sum(writer.acked for writer in writers),
            clients,
        )
        leave_all(clients)
