"""A client that reads: keeps count of what it holds and answers each `content`, as Jazz does."""

from __future__ import annotations

from collections.abc import Callable, Collection
from time import perf_counter
from typing import Final

import msgspec

from bench.client import Client, connect
from bench.work import frames_of
from protocol.known_state import Sessions
from protocol.messages import encode_known, encode_load


class _Part(msgspec.Struct):
    after: int
    newTransactions: list[msgspec.Raw]  # noqa: N815


class _Content(msgspec.Struct, tag_field="action", tag="content"):
    id: str
    new: dict[str, _Part]


class _Known(msgspec.Struct, tag_field="action", tag="known"):
    id: str
    header: bool


_decode: Final = msgspec.json.Decoder(_Content | _Known).decode


class Reader:
    """Holds CoValues: per CoValue and session, how many transactions have come in."""

    def __init__(self) -> None:
        self.held: dict[str, Sessions] = {}
        self.received = 0
        """Transactions that came in."""
        self.messages = 0
        """`content` messages that they came in."""
        self.received_at = 0.0
        """When that last grew (`perf_counter`, s)."""
        self.arrivals: list[float] = []
        """When each `content` came in (`perf_counter`, s), if asked for with `timed`."""
        self.timed = False
        self.knowns = 0
        """`known` messages that came in."""
        self.gaps = 0
        """`content` that began after what is held: never, if the server is right."""
        self.on_content: Callable[[str, int, float], None] | None = None
        """Called with session, its new length, and when (`perf_counter`, s)."""
        self.client: Client | None = None
        self._answers: list[bytes] = []

    async def connect(self, url: str) -> Client:
        """Connect; nothing is asked for before `load`."""
        self.client = await connect(url, self.take)
        self.client.after_data = self.answer
        return self.client

    def load(self, ids: Collection[str]) -> None:
        """Ask for CoValues, of which nothing is held."""
        for covalue_id in ids:
            self.held.setdefault(covalue_id, {})
        assert self.client is not None
        for frame in frames_of([encode_load(i, False, {}) for i in ids]):
            self.client.send(frame)

    def take(self, line: bytes) -> None:
        """Take in one message. Pings, and what is not for readers, mean nothing."""
        if line.startswith(b'{"type"'):
            return
        try:
            message = _decode(line)
        except msgspec.MsgspecError:
            return
        if isinstance(message, _Known):
            self.knowns += 1
            return
        held = self.held.setdefault(message.id, {})
        now = self.received_at = perf_counter()
        self.messages += 1
        if self.timed:
            self.arrivals.append(now)
        for session, part in message.new.items():
            before = held.get(session, 0)
            length = part.after + len(part.newTransactions)
            if part.after > before:
                self.gaps += 1
            elif length > before:
                held[session] = length
                self.received += length - before
                if self.on_content is not None:
                    self.on_content(session, length, now)
        self._answers.append(encode_known(message.id, True, held))

    def answer(self) -> None:
        """Confirm what came in since the last time."""
        if self._answers:
            answers, self._answers = self._answers, []
            assert self.client is not None
            for frame in frames_of(answers):
                self.client.send(frame)
