"""From bytes to messages: what a client sends is taken in by pieces, and dealt with in slices.

So that somebody's megabytes of small frames, or of small messages in one frame, hold up nobody
else's single one. Text frames are read by the shortest way (`framing`), all else by `websockets`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from protocol.frames import sliced_frame
from server.framing import TextReader

LARGE_BYTES: Final = 64 * 1024
"""What is larger comes in slices, with everybody else's messages between them."""
_SMALL_BYTES: Final = 2 * 1024
_SLICE_BYTES: Final = 16 * 1024
_PIECE_BYTES: Final = 4 * 1024
_MOST_BYTES: Final = 64 * 1024
_FRAMES: Final = 100
_PARSE_S: Final = 0.003
"""For how long bytes that came in at once are parsed before it is everybody else's turn."""


class Listener(Protocol):
    """Who hears what came in: the connection."""

    def may_listen(self) -> bool:
        """Whether messages are wanted now; if not, they wait in the inflow."""

    def messages(self, messages: list[bytes]) -> None:
        """Texts that came in together, each of lines: not larger than a slice if of several."""

    def request(self, request: Request) -> None:
        """The request for the websocket."""

    def binary(self) -> None:
        """A binary message, which means nothing in Jazz."""

    def parsed(self) -> None:
        """The library may have something to send."""


class Inflow:
    """What came in over one connection and is not dealt with yet."""

    __slots__ = (
        "_clock",
        "_fragments",
        "_heard",
        "_listener",
        "_piece_bytes",
        "_protocol",
        "_sliced_bytes",
        "_slices",
        "_texts",
        "_unparsed",
        "is_over",
    )

    def __init__(
        self, protocol: ServerProtocol, listener: Listener, clock: Callable[[], float]
    ) -> None:
        """`clock` gives seconds."""
        self._protocol = protocol
        self._listener = listener
        self._clock = clock
        self._texts: TextReader | None = None
        self._fragments: bytearray | None = None
        self._unparsed = bytearray()
        self._piece_bytes = _PIECE_BYTES
        self._slices: deque[Iterator[bytes]] | None = None
        """Made when needed: an empty one has room for 64, and most connections say nothing."""
        self._sliced_bytes = 0
        self._heard = 0.0
        self.is_over = False
        """Whether nothing more is listened to."""

    @property
    def waits(self) -> bool:
        """Whether anything is to be taken with `take`."""
        return bool(self._slices or self._unparsed)

    @property
    def size(self) -> int:
        """Bytes that wait to become messages, or to be dealt with."""
        size = len(self._protocol.reader.buffer) + self._sliced_bytes + len(self._unparsed)
        if self._texts is not None:
            size += self._texts.waiting
        if self._fragments is not None:
            size += len(self._fragments)
        return size

    def begin(self, max_bytes: int) -> None:
        """It is a websocket from now on; `max_bytes` is the largest message."""
        self._texts = TextReader(max_bytes)

    def end(self) -> None:
        """Let go of everything, and listen no more."""
        self.is_over = True
        self._slices = None
        self._sliced_bytes = 0
        self._fragments = None
        self._unparsed.clear()
        self._texts = None

    def feed(self, data: bytes, now: float) -> None:
        """Take in bytes that came in `now`; what takes too long is left for `take`."""
        self._heard = now
        if self._unparsed or self._slices:
            self._unparsed += data
        elif len(data) <= self._piece_bytes:
            self._parse_adapting(data)
        else:
            self._unparsed = bytearray(data)
            end = now + _PARSE_S
            while self._unparsed and not self._slices and self._clock() < end:
                self._parse_piece()

    def take(self) -> bool:
        """Deal with the next slice of a large message, or parse on. Returns whether more waits."""
        if self._slices:
            part = next(self._slices[0], None)
            if part is None:
                self._slices.popleft()
                self._slices = self._slices or None
            else:
                self._sliced_bytes -= len(part) + 1
                self._listener.messages([part])
        elif self._unparsed:
            self._parse_piece()
        return self.waits

    def parse(self, data: bytes) -> int:
        """Parse bytes and see to what they say. Returns how many frames they held."""
        count = 0
        if self._texts is not None:
            texts = self._texts.feed(data)
            count = len(texts)
            if len(texts) > 1 and self._are_small(texts):
                self._listener.messages(texts)
            else:
                for text in texts:
                    self._receive(text)
            if self._texts is None:
                data = b""
            else:
                data = self._texts.take_others()
                if not data:
                    return count
                if self._texts.is_over:
                    self._texts = None
        self._protocol.receive_data(data)
        events = self._protocol.events_received()
        for event in events:
            if isinstance(event, Request):
                self._listener.request(event)
            elif isinstance(event, Frame):
                self._frame(event)
        self._listener.parsed()
        return count + len(events)

    def _parse_piece(self) -> None:
        """Parse some of what has come in."""
        piece = bytes(self._unparsed[: self._piece_bytes])
        del self._unparsed[: len(piece)]
        self._parse_adapting(piece)

    def _parse_adapting(self, data: bytes) -> None:
        """Parse, and take less at a time from now on if it held many small frames."""
        if self.parse(data) > _FRAMES:
            self._piece_bytes = _PIECE_BYTES
        elif self._piece_bytes < _MOST_BYTES:
            self._piece_bytes *= 2

    def _frame(self, frame: Frame) -> None:
        """Gather fragments. Binary messages mean nothing in Jazz."""
        if frame.opcode is Opcode.TEXT:
            if frame.fin:
                self._receive(bytes(frame.data))
            else:
                # Not a list: a million empty fragments would fill it, whatever a message may hold.
                self._fragments = bytearray(frame.data)
        elif frame.opcode is Opcode.CONT and self._fragments is not None:
            self._fragments += frame.data
            if frame.fin:
                message = bytes(self._fragments)
                self._fragments = None
                self._receive(message)
        elif frame.opcode is Opcode.BINARY:
            self._listener.binary()

    def _receive(self, message: bytes) -> None:
        if self.is_over:
            return
        if not message.isascii() and not _is_utf8(message):
            self.end()
            self._protocol.fail(CloseCode.INVALID_DATA, "the text is not UTF-8")
        elif (
            self._slices
            or not self._listener.may_listen()
            or (len(message) > LARGE_BYTES and b"\n" in message)
            or (len(message) > _SMALL_BYTES and self._clock() > self._heard + _PARSE_S)
        ):
            if self._slices is None:
                self._slices = deque()
            self._slices.append(sliced_frame(message, _SLICE_BYTES))
            self._sliced_bytes += len(message) + 1
        else:
            self._listener.messages([message])

    def _are_small(self, texts: list[bytes]) -> bool:
        """Whether nothing needs to be looked at in any of them, as nearly always."""
        return (
            all(map(bytes.isascii, texts))
            and max(map(len, texts)) <= _SMALL_BYTES
            and not (self._slices or self.is_over)
            and self._listener.may_listen()
        )


def _is_utf8(text: bytes) -> bool:
    """What RFC 6455 §8.1 asks of a text."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
