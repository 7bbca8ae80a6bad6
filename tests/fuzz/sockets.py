"""A connection without a socket: bytes in, in whatever pieces, and what comes of them."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from contextvars import Context
from random import Random
from typing import Any, Final

from websockets.http11 import Request

from server.config import Settings
from server.connection import Connection
from server.flushes import Flushes
from server.outbox import Outbox, Outboxes
from server.peer import Peer
from server.slices import Slices
from tests.conformance.wire import UPGRADE

_SETTINGS: Final = Settings(port=0)
_FAILED: Final = re.compile(rb"\x88.\x03[\xea\xef\xf1]", re.DOTALL)
"""A close frame with 1002, 1007 or 1009."""
_QUIET: Final = logging.getLogger("tests.fuzz.websockets")
_QUIET.setLevel(logging.CRITICAL + 1)


class Still:
    """A loop in which time stands still; what is to run soon runs when asked."""

    def __init__(self) -> None:
        self._soon: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    def time(self) -> float:
        """Always the beginning."""
        return 0.0

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> None:
        """Run it at the next `turn`."""
        self._soon.append((callback, args))

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any
    ) -> asyncio.TimerHandle:
        """Never."""
        return asyncio.TimerHandle(delay, callback, args, self)  # type: ignore[arg-type]

    def get_debug(self) -> bool:
        """For the handles."""
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing was going to happen."""

    def turn(self) -> None:
        """Run what is to run."""
        while self._soon:
            callback, args = self._soon.pop(0)
            callback(*args)


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.reading = True
        self.closing = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There are none."""

    def get_write_buffer_size(self) -> int:
        """Everything has been sent."""
        return 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send."""
        assert not self.closing, "written after the end"
        self.written += data

    def can_write_eof(self) -> bool:
        """It can."""
        return True

    def write_eof(self) -> None:
        """Send no more."""
        self.closing = True

    def is_closing(self) -> bool:
        """Whether it is over."""
        return self.closing

    def abort(self) -> None:
        """End it."""
        self.closing = True

    def pause_reading(self) -> None:
        """Take in no more."""
        self.reading = False

    def resume_reading(self) -> None:
        """Take in more."""
        self.reading = True


class Ear:
    """A port that notes what it hears."""

    def __init__(self) -> None:
        self.loop: Any = Still()
        self.settings = _SETTINGS
        self.websockets_logger = _QUIET
        self.heard: list[bytes] = []
        self.gone = 0
        self.outboxes = Outboxes(2**30)
        self._slices = Slices(self.loop.time, self.loop.call_soon)
        self._flushes = Flushes(self.loop.call_soon, lambda: None)

    def arrived(self, connection: Connection) -> None:
        """A socket is there."""

    def respond(self, connection: Connection, request: Request) -> None:
        """Every request is for a websocket."""
        connection.upgrade(request)

    def joined(self, connection: Connection, outbox: Outbox) -> Peer:
        """The connection is a websocket now."""
        return Peer("1", outbox, connection.set_reading, connection.close)

    def receive(self, peer: Peer, frames: list[bytes]) -> None:
        """Note them."""
        self.heard += frames

    def catch_up(self, peer: Peer) -> None:
        """Nothing waits."""

    def account(self, connection: Connection, unfinished: int) -> None:
        """There is room."""

    def flush_soon(self, connection: Connection) -> None:
        """It sends in the next turn."""
        self._flushes.add(connection)

    def slice_soon(self, connection: Connection) -> None:
        """It gets its turn."""
        self._slices.add(connection)

    def count(self, what: str) -> None:
        """Nobody wants to know."""

    def left(self, connection: Connection) -> None:
        """It is gone."""
        self.gone += 1


def connection(data: bytes) -> None:
    """However bytes are cut, the same texts are heard, all UTF-8, and it ends in the same way.

    The first byte says how to cut; then comes a handshake (if its lowest bit says so, a proper one)
    and what follows it.
    """
    how = data[0] if data else 0
    sent = (UPGRADE if how & 1 else b"") + data[1:]
    heard, written = _listen([sent])
    dice = Random(how)
    at, pieces = 0, []
    while at < len(sent):
        size = dice.choice((1, 1, 2, 3, 7, 50))
        pieces.append(sent[at : at + size])
        at += size
    heard_in_pieces, written_in_pieces = _listen(pieces)
    assert heard == heard_in_pieces
    failed = _FAILED.search(written) is not None
    assert failed == (_FAILED.search(written_in_pieces) is not None)
    if not failed:
        # Of several faults in one read any may be the one that is named.
        assert _undated(written) == _undated(written_in_pieces)
    for text in heard:
        text.decode()
    assert sum(map(len, heard)) <= len(sent)
    assert len(written) <= 2 * len(sent) + 1_000


def _listen(pieces: Iterable[bytes]) -> tuple[list[bytes], bytes]:
    port, wire = Ear(), Wire()
    made = Connection(port)
    made.connection_made(wire)
    for piece in pieces:
        made.data_received(piece)
        port.loop.turn()
    made.eof_received()
    port.loop.turn()
    made.connection_lost(None)
    port.loop.turn()
    assert port.gone == 1
    return port.heard, bytes(wire.written)


def _undated(written: bytes) -> list[bytes]:
    """Without the second in which it was written."""
    return [line for line in written.split(b"\r\n") if not line.startswith(b"Date: ")]
