"""A file, up and down: a binary stream in transactions of 100 kB, a third more as base64.

MB/s are those of the file.
"""

from __future__ import annotations

import base64
import math
from typing import Final

from bench.authors import Agent, Log, open_file, private
from bench.meter import Measurement, Meter
from bench.patience import until
from bench.reader import Reader
from bench.scenarios.scenario import Site
from bench.work import Run, run_of
from bench.writer import Writer

_PART: Final = 100_000


class File:
    """A file of `size` bytes."""

    name = "file-20mb"
    restarts = True

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
        assert self._run is not None
        # A client does not wait for acknowledgements, only for its socket.
        writer = Writer(self._run, self._parts)
        client = await writer.connect(site.server.url)
        up = Meter(site.server)
        up.start()
        writer.start()
        await until(lambda: writer.done, lambda: writer.acked, [client])
        up.stop(writer.acked_at)
        client.leave()
        site.server.restart()
        reader = Reader()
        client = await reader.connect(site.server.url)
        down = Meter(site.server)
        down.start()
        reader.load([self._run.header.id])
        await until(lambda: reader.received >= self._parts, lambda: reader.received, [client])
        down.stop(reader.received_at)
        client.leave()
        return [self._speed(up, "up"), self._speed(down, "down")]

    def _speed(self, meter: Meter, way: str) -> Measurement:
        measured = meter.rate(f"{self.name} {way}", "MB/s", self._parts)
        measured.value = self._size / 1e6 / meter.elapsed
        return measured
