"""A client that writes: so many messages in flight, each timed until it is acknowledged."""

from __future__ import annotations

import re
from collections import deque
from time import perf_counter
from typing import Final

from bench.client import Client, connect
from bench.work import Run

_KNOWN: Final = b'{"action":"known"'
_CORRECTION: Final = b'"isCorrection":true'
_NUMBER: Final = re.compile(rb"\d+")


class Writer:
    """Sends a `Run` with at most `window` unacknowledged messages, as fast as the server acks.

    With a window of 0 it sends nothing of its own accord, only what `send` says.
    """

    def __init__(self, run: Run, window: int) -> None:
        self._run = run
        self._window = window
        self._next = 0
        self._flight: deque[tuple[int, float]] = deque()
        self._client: Client | None = None
        self.acked = run.before
        """How long the session is that the server acknowledged."""
        self.acked_at = 0.0
        """When that last grew (`perf_counter`, s)."""
        self.corrections = 0
        """How often the server asked to have content sent again: never, if all is well."""
        self.latencies: list[float] = []
        """From sending to the acknowledgement, per message, in s."""
        self.sent: dict[int, float] = {}
        """When each message was sent (`perf_counter`, s), by the session's length after it."""
        self.timed = False
        """Whether `sent` is kept."""
        self.stopped = False

    @property
    def done(self) -> bool:
        """Whether everything was sent and acknowledged (or, when stopped, what was sent)."""
        return not self._flight and (self.stopped or self._next == len(self._run.frames))

    async def connect(self, url: str) -> Client:
        """Connect; nothing is sent before `start`."""
        self._client = await connect(url, self._take)
        return self._client

    def start(self) -> None:
        """Send the first messages."""
        self._fill()

    def _take(self, line: bytes) -> None:
        needle = self._run.needle
        at = line.find(needle)
        if at < 0 or not line.startswith(_KNOWN):
            return
        if _CORRECTION in line:
            self.corrections += 1
        at += len(needle)
        count = int(_NUMBER.match(line, at)[0])  # type: ignore[index]
        if count <= self.acked:
            return
        self.acked = count
        now = self.acked_at = perf_counter()
        flight = self._flight
        while flight and flight[0][0] <= count:
            self.latencies.append(now - flight.popleft()[1])
        self._fill()

    def send(self, count: int) -> None:
        """Send so many more, whatever is in flight."""
        self._send(min(self._next + count, len(self._run.frames)))

    def _fill(self) -> None:
        if not self.stopped:
            room = self._window - len(self._flight)
            self._send(min(self._next + room, len(self._run.frames)))

    def _send(self, end: int) -> None:
        first = self._next
        if end <= first:
            return
        now = perf_counter()
        self._flight.extend((count, now) for count in self._run.counts[first:end])
        if self.timed:
            self.sent.update(dict.fromkeys(self._run.counts[first:end], now))
        self._next = end
        assert self._client is not None
        self._client.send(b"".join(self._run.frames[first:end]))
