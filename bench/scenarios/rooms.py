"""Rooms: everybody writes, everybody reads, as in a meeting on a whiteboard.

Each client writes to one CoValue after the other, one edit in flight, and is brought what all the
others write. A delivery is one transaction that arrived at one of them.
"""

from __future__ import annotations

import asyncio
from time import perf_counter

from bench.authors import Agent, Log, open_map
from bench.client import Client, connect, leave_all
from bench.faults import WrongAnswer
from bench.meter import Measurement, Meter
from bench.patience import until
from bench.reader import Reader
from bench.scenarios.scenario import Site
from bench.wire import masked
from bench.work import Run, edit, run_of
from protocol.content import encode_content
from protocol.header import Header


class _Member(Reader):
    """Reads all CoValues, and writes its own session of each."""

    def __init__(self, runs: list[Run]) -> None:
        super().__init__()
        self._runs = runs
        self._turns = [(run, index) for index in range(len(runs[0].frames)) for run in runs]
        self._turn = 0
        self._sent_at = 0.0
        self.latencies: list[float] = []
        self.acked = 0
        self.corrections = 0
        self.stopped = False
        self.idle = True

    @property
    def finished(self) -> bool:
        """Whether all was written and acknowledged."""
        return self.idle and (self.stopped or self._turn == len(self._turns))

    def write(self) -> None:
        """Send the next edit."""
        self.idle = self.stopped or self._turn == len(self._turns)
        if self.idle:
            return
        run, index = self._turns[self._turn]
        self._sent_at = perf_counter()
        self.held[run.header.id][run.session] = run.counts[index]
        assert self.client is not None
        self.client.send(run.frames[index])

    def take(self, line: bytes) -> None:
        """Take in a message: an acknowledgement of what is in flight, or something to read."""
        if self.idle or not line.startswith(b'{"action":"known"'):
            super().take(line)
            return
        run, index = self._turns[self._turn]
        at = line.find(run.needle)
        if b'"isCorrection":true' in line:
            self.corrections += 1
        if at < 0:
            return
        at += len(run.needle)
        if int(line[at : at + 20].partition(b",")[0].partition(b"}")[0]) < run.counts[index]:
            return
        self.latencies.append(perf_counter() - self._sent_at)
        self.acked += 1
        self._turn += 1
        self.write()


class Rooms:
    """`clients` that all write and read all of `values`, up to `rounds` times."""

    name = "rooms"
    local = False

    def __init__(self, *, clients: int, values: int, rounds: int) -> None:
        self._clients = clients
        self._values = values
        self._rounds = rounds
        self._headers: list[Header] = []
        self._runs: list[list[Run]] = []

    def prepare(self, tag: str) -> None:
        """Sign everybody's edits of every CoValue."""
        self._headers = [open_map(f"{tag} room {index}") for index in range(self._values)]
        texts = [edit(index, index) for index in range(self._rounds)]
        for client in range(self._clients):
            agent = Agent(f"{tag} member {client}")
            logs = [Log(agent.id, agent, f"{tag} {client} {h.id}") for h in self._headers]
            self._runs.append(
                [
                    run_of(header, log, texts, with_header=False)
                    for header, log in zip(self._headers, logs, strict=True)
                ]
            )

    async def measure(self, site: Site) -> list[Measurement]:
        """Everybody joins; then everybody writes, for some seconds or until all is written."""
        clients = [await self._open_rooms(site)]
        # So that not all write to the same CoValue at the same time.
        members = [
            _Member(runs[index % len(runs) :] + runs[: index % len(runs)])
            for index, runs in enumerate(self._runs)
        ]
        clients += await asyncio.gather(*(member.connect(site.server.url) for member in members))
        for member in members:
            member.load([header.id for header in self._headers])
        await until(lambda: all(m.messages >= self._values for m in members), lambda: 0, clients)
        meter = Meter(site.server)

        def received() -> int:
            return sum(member.received for member in members)

        whole = self._rounds * self._values * self._clients * (self._clients - 1)
        for member in members:
            member.write()
        await until(lambda: received() >= whole // 20, received, clients)
        for member in members:
            member.latencies.clear()
        meter.start()
        before, messages = received(), sum(member.messages for member in members)
        finished = await until(
            lambda: received() >= whole,
            received,
            clients,
            deadline=perf_counter() + site.seconds,
            tell=site.tell,
        )
        meter.stop(max(member.received_at for member in members) if finished else None)
        deliveries = received() - before
        messages = sum(member.messages for member in members) - messages
        latencies = [value for member in members for value in member.latencies]
        for member in members:
            member.stopped = True

        def settled() -> bool:
            written = sum(member.acked for member in members)
            return all(m.finished for m in members) and received() >= written * (self._clients - 1)

        await until(settled, received, clients)
        leave_all(clients)
        if wrong := sum(member.corrections + member.gaps for member in members):
            raise WrongAnswer(f"{wrong} gaps or corrections where nothing was lost")
        measured = meter.rate(self.name, "deliveries/s", deliveries, latencies)
        measured.notes["transactions_per_message"] = deliveries / max(messages, 1)
        return [measured]

    async def _open_rooms(self, site: Site) -> Client:
        answers = 0

        def count(line: bytes) -> None:
            nonlocal answers
            answers += line.startswith(b'{"action":"known"')

        client = await connect(site.server.url, count)
        for header in self._headers:
            client.send(masked(encode_content(header, [], with_header=True)))
        await until(lambda: answers >= self._values, lambda: answers, [client])
        return client
