"""One websocket: bytes in, frames to the node; messages out, as fast as the socket takes them.

`websockets` does the protocol (RFC 6455) without I/O, this does the I/O around it. Its ready-made
connection costs about twice as much per message, see `bench/README.md`.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from logging import Logger
from typing import Final, Protocol, cast

import structlog
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from server.config import Settings
from server.outbox import Outbox
from server.peer import Peer

log: Final = structlog.get_logger(__name__)

_HIGH_WATER: Final = 128 * 1024
_CLOSE_S: Final = 3.0


class Port(Protocol):
    """What a connection needs from the gateway that accepted it."""

    loop: asyncio.AbstractEventLoop
    settings: Settings
    websockets_logger: Logger

    def arrived(self, connection: Connection) -> None:
        """A socket is there."""

    def respond(self, protocol: ServerProtocol, request: Request) -> Response | None:
        """The response to a request that is not to become a peer; `None` if it is."""

    def joined(self, connection: Connection, outbox: Outbox) -> Peer:
        """The connection is a websocket now."""

    def receive(self, peer: Peer, frame: bytes) -> None:
        """A text frame came in."""

    def catch_up(self, peer: Peer) -> None:
        """There is room for what did not fit."""

    def left(self, connection: Connection) -> None:
        """The connection is gone."""


class Connection(asyncio.Protocol):
    """A connection on the port: first HTTP, then, if it was upgraded, a websocket peer."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._protocol = ServerProtocol(
            max_size=port.settings.max_message_bytes, logger=port.websockets_logger
        )
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writable = True
        self._flushing = False
        self._fragments: list[bytes] | None = None
        self.peer: Peer | None = None
        self.heard = 0.0
        """When bytes last came in, on the loop's clock."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there; the handshake has so many seconds."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        loop = self._port.loop
        self.heard = loop.time()
        self._timer = loop.call_later(self._port.settings.handshake_seconds, self._transport.abort)
        self._port.arrived(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        self.heard = self._port.loop.time()
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._request(event)
            elif isinstance(event, Frame):
                self._frame(event)
        self._send_protocol_data()

    def eof_received(self) -> None:
        """The other side sends no more; the transport closes itself."""
        self._protocol.receive_eof()
        self._send_protocol_data()

    def pause_writing(self) -> None:
        """The socket takes no more for now."""
        self._writable = False

    def resume_writing(self) -> None:
        """The socket takes more."""
        self._writable = True
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._port.left(self)

    def ping(self, text: bytes, protocol_ping: bool) -> None:
        """Send an encoded ping frame at once, ahead of what waits; maybe a protocol ping, too."""
        # A peer that said goodbye may linger: nothing can be written to it any more.
        if self._transport is None or self._protocol.state is not State.OPEN:
            return
        if self._writable:
            self._transport.write(text)
        if protocol_ping:
            self._protocol.send_ping(b"")
            self._send_protocol_data()

    def close(self, code: int, reason: str) -> None:
        """Close with a code (RFC 6455 §7.4) after what waits was written, within 3 s."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._protocol.state is State.OPEN:
            self._flush()
            self._protocol.send_close(code, reason)
            self._send_protocol_data()
            # Its close frame must be heard even if nothing was to be read any more.
            self.set_reading(True)
        elif self._protocol.state is State.CONNECTING:
            self._transport.abort()
        self._close_soon()

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _request(self, request: Request) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        response = self._port.respond(self._protocol, request)
        if response is None:
            response = self._protocol.accept(request)
        self._protocol.send_response(response)
        self._send_protocol_data()
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self._close_soon()
            return
        outbox = Outbox(self._port.settings.outbox_bytes, self._schedule_flush)
        self.peer = self._port.joined(self, outbox)

    def _frame(self, frame: Frame) -> None:
        """Gather fragments; hand text to the node. Binary messages mean nothing in Jazz."""
        if frame.opcode is Opcode.TEXT:
            if frame.fin:
                self._receive(bytes(frame.data))
            else:
                self._fragments = [bytes(frame.data)]
        elif frame.opcode is Opcode.CONT and self._fragments is not None:
            self._fragments.append(bytes(frame.data))
            if frame.fin:
                message = b"".join(self._fragments)
                self._fragments = None
                self._receive(message)

    def _receive(self, message: bytes) -> None:
        if self.peer is not None and not self.peer.closed:
            self._port.receive(self.peer, message)

    def set_reading(self, reading: bool) -> None:
        """Go on or stop reading from the socket."""
        if self._transport is not None and not self._transport.is_closing():
            if reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _schedule_flush(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._port.loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Write what waits, until the socket's buffer is full."""
        self._flushing = False
        peer, transport = self.peer, self._transport
        if peer is None or transport is None or self._protocol.state is not State.OPEN:
            return
        while self._writable and (message := peer.outbox.take()) is not None:
            transport.write(text_frame(message))
        if peer.lagging and not peer.outbox.is_full:
            self._port.catch_up(peer)

    def _send_protocol_data(self) -> None:
        assert self._transport is not None
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            else:
                self._close_soon()
                if self._transport.can_write_eof():
                    self._transport.write_eof()
        if self._protocol.close_expected():
            self._close_soon()

    def _close_soon(self) -> None:
        """The other side should close; see to it that the socket does not stay."""
        if self._timer is None and self._transport is not None:
            self._timer = self._port.loop.call_later(_CLOSE_S, self._transport.abort)


def text_frame(message: bytes) -> bytes:
    """An unmasked text frame around a message."""
    return bytes(Frame(Opcode.TEXT, message).serialize(mask=False))
