"""One websocket: bytes in, frames to the node; messages out, as fast as the socket takes them.

`websockets` does the protocol (RFC 6455) without I/O, this does the I/O around it. Its ready-made
connection costs about twice as much per message; and text frames, which nearly all traffic is made
of, are read and written by `framing`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from logging import Logger
from typing import Final, Protocol, cast

import structlog
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from server.auth.carriers import SUBPROTOCOL
from server.auth.identity import Identity
from server.auth.usage import Usage
from server.config import Settings
from server.framing import text_frame
from server.inflow import LARGE_BYTES, Inflow
from server.offences import CLOSINGS, COUNTED_CODES, Closing
from server.outbox import Outbox, Outboxes
from server.peer import Peer

log: Final = structlog.get_logger(__name__)

_HIGH_WATER: Final = 128 * 1024
_CLOSE_S: Final = 3.0
_MUCH_BYTES: Final = 128 * 1024
_EARLY_BYTES: Final = 64 * 1024
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


class Port(Protocol):
    """What a connection needs from the gateway that accepted it."""

    loop: asyncio.AbstractEventLoop
    settings: Settings
    outboxes: Outboxes
    websockets_logger: Logger

    def arrived(self, connection: Connection) -> None:
        """A socket is there."""

    def respond(self, connection: Connection, request: Request) -> None:
        """A request came in: call `reply` or `upgrade` of the connection, now or later."""

    def joined(self, connection: Connection, outbox: Outbox) -> Peer:
        """The connection is a websocket now."""

    def receive(self, peer: Peer, frames: list[bytes]) -> None:
        """Text frames came in."""

    def catch_up(self, peer: Peer) -> None:
        """There is room for what did not fit."""

    def account(self, connection: Connection, unfinished: int) -> None:
        """So many bytes of the connection wait to become messages or to be dealt with."""

    def flush_soon(self, connection: Connection) -> None:
        """Call `flush` of the connection: something waits to be sent."""

    def slice_soon(self, connection: Connection) -> None:
        """Call `take_slice` of the connection when it is its turn."""

    def count(self, what: str) -> None:
        """Something happened that an operator may want to know of."""

    def left(self, connection: Connection) -> None:
        """The connection is gone."""


class Connection(asyncio.Protocol):
    """A connection on the port: first HTTP, then, if it was upgraded, a websocket peer."""

    __slots__ = (
        "_choked",
        "_early",
        "_inflow",
        "_port",
        "_protocol",
        "_reading",
        "_resting",
        "_timer",
        "_transport",
        "_writable",
        "admission",
        "cancel_decision",
        "closes_at",
        "heard",
        "lost",
        "peer",
        "unfinished",
    )

    def __init__(self, port: Port) -> None:
        self._port = port
        self._protocol = ServerProtocol(
            max_size=port.settings.max_message_bytes,
            logger=port.websockets_logger,
            select_subprotocol=_select_subprotocol,
        )
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writable = True
        self._inflow = Inflow(self._protocol, self, port.loop.time)
        self.lost = False
        """Whether the socket is gone, while what came over it is still being dealt with."""
        self.unfinished = 0
        """Bytes that `Port.account` was last told of."""
        self._early: bytearray | None = None
        self._reading = True
        self._choked = False
        self._resting: asyncio.TimerHandle | None = None
        self.peer: Peer | None = None
        self.admission: tuple[Identity, Usage] | None = None
        """Who the peer will be; set by the gateway before `upgrade`."""
        self.cancel_decision: Callable[[], None] | None = None
        """Ends what the gateway still does to decide about the request."""
        self.closes_at = float("inf")
        """When the connection has reached its greatest age, on the loop's clock."""
        self.heard = 0.0
        """When bytes last came in, on the loop's clock."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there; the handshake has so many seconds."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        loop = self._port.loop
        self.heard = loop.time()
        self._timer = loop.call_later(self._port.settings.handshake_seconds, self._too_slow)
        self._port.arrived(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        self.heard = self._port.loop.time()
        if self.peer is None:
            data = self._take_in_request(data)
            if not data:
                return
        if self._early is not None:
            # Nobody sends before the upgrade is answered, but a socket may.
            self._early += data
            if len(self._early) > _EARLY_BYTES:
                self.abort()
            return
        self._inflow.feed(data, self.heard)
        if self._inflow.waits:
            self.set_reading(self._reading)
        elif len(data) > _MUCH_BYTES and self._may_read():
            # The loop would read on and on, up to 32 times, before it does anything else.
            assert self._transport is not None
            self._transport.pause_reading()
            self._port.loop.call_soon(self._read_on)
        self._account()

    def _read_on(self) -> None:
        self.set_reading(self._reading)

    def _take_in_request(self, data: bytes) -> bytes:
        """Take in what is still of the request, and return what follows it."""
        protocol, begin = self._protocol, 0
        # Line by line: what follows waits for the answer, or its own would overtake that.
        while (
            begin < len(data)
            and self._early is None
            and protocol.state is State.CONNECTING
            and not protocol.eof_sent
        ):
            end = data.find(b"\n", begin) + 1 or len(data)
            self._inflow.parse(data[begin:end])
            begin = end
        return data[begin:]

    def _account(self) -> None:
        """Tell how much waits that is no message yet, or none that was dealt with."""
        unfinished = self._inflow.size
        if unfinished > LARGE_BYTES or self.unfinished:
            self._port.account(self, unfinished)

    def _too_slow(self) -> None:
        self._port.count("slow_handshakes")
        self.abort()

    def eof_received(self) -> None:
        """The other side sends no more; the transport closes itself."""
        if self._early is not None:
            self.abort()
            return
        if self._inflow.waits:
            # The transport closes now; what came before the end is dealt with all the same.
            return
        self._protocol.receive_eof()
        self._send_protocol_data()

    def pause_writing(self) -> None:
        """The socket takes no more for now."""
        self._writable = False

    def resume_writing(self) -> None:
        """The socket takes more."""
        self._writable = True
        if self._choked:
            self._choked = False
            self.set_reading(self._reading)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        for timer in (self._timer, self._resting):
            if timer is not None:
                timer.cancel()
        if self.cancel_decision is not None:
            self.cancel_decision()
            self.cancel_decision = None
        if self._inflow.waits and self.peer is not None:
            # All of it was received, and it may be nowhere else; there is nobody to answer to.
            self.lost = self.peer.closed = True
            self.peer.outbox.close()
            self._port.slice_soon(self)
        else:
            self._end()

    def _end(self) -> None:
        closed = self._protocol.close_sent
        if closed is not None and closed.code in COUNTED_CODES:
            self._port.count(f"closed_{closed.code}")
            if what := CLOSINGS.get(Closing(closed.code, closed.reason)):
                self._port.count(what)
        self._port.account(self, 0)
        self._port.left(self)

    def ping(self, text: bytes, protocol_ping: bool) -> None:
        """Send an encoded ping frame at once, ahead of what waits; maybe a protocol ping, too."""
        # A peer that said goodbye may linger: nothing can be written to it any more.
        if self._transport is None or self.lost or self._protocol.state is not State.OPEN:
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
        if code in COUNTED_CODES:
            # For something that it did: the rest of that is not looked at.
            self._inflow.end()
        if self._protocol.state is State.OPEN:
            self.flush()
            if self._inflow.is_over:
                self._protocol.fail(code, reason)
            else:
                self._protocol.send_close(code, reason)
            self._send_protocol_data()
            # Its close frame must be heard even if nothing was to be read any more.
            if self._resting is not None:
                self._resting.cancel()
                self._resting = None
            self.set_reading(True)
        elif self._protocol.state is State.CONNECTING:
            self._transport.abort()
        self._close_soon()

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def address(self) -> str:
        """The socket's other end; empty if it has none."""
        name = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(name[0]) if isinstance(name, tuple) and name else ""

    def upgrade(self, request: Request) -> None:
        """Make it a websocket, if the request is right for one (RFC 6455 §4.2), and a peer."""
        if self._is_over():
            return
        response = self._protocol.accept(request)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self.reply(response)
            return
        early, self._early = self._early, None
        self._answer(response)
        # The library holds on to the request: to its size, and to what a cookie or token says.
        request.headers.clear()
        self._inflow.begin(self._port.settings.max_message_bytes)
        limit = self._port.settings.outbox_bytes
        outbox = Outbox(limit, self._flush_soon, self._port.outboxes)
        self.peer = self._port.joined(self, outbox)
        if early:
            self.data_received(bytes(early))

    def reply(self, response: Response, delay_s: float = 0.0) -> None:
        """Answer with HTTP, maybe later, and close."""
        if self._is_over():
            return
        if delay_s:
            timer = self._port.loop.call_later(delay_s, self.reply, response)
            self.cancel_decision = timer.cancel
            return
        self._early = None
        self._answer(response)
        self._close_soon()

    def turn_away(self) -> None:
        """Say that there is no room, without having looked at the request, and close."""
        assert self._transport is not None
        self._transport.write(_FULL)
        self._transport.close()

    def _is_over(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def request(self, request: Request) -> None:
        """See `Listener`: ask the gateway what to answer."""
        self._early = bytearray()
        self._port.respond(self, request)

    def _answer(self, response: Response) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.cancel_decision = None
        self._protocol.send_response(response)
        self._send_protocol_data()

    def may_listen(self) -> bool:
        """See `Listener`."""
        return self._reading

    def binary(self) -> None:
        """See `Listener`."""
        self._port.count("binary")

    def parsed(self) -> None:
        """See `Listener`: send what the library answers, if anybody is there."""
        if not self.lost:
            self._send_protocol_data()

    def messages(self, messages: list[bytes]) -> None:
        """See `Listener`: hand them to the node."""
        if self.peer is not None and (self.lost or not self.peer.closed):
            self._port.receive(self.peer, messages)

    def take_slice(self) -> bool:
        """Deal with the next slice of a large message, or parse on. Returns whether more waits."""
        if self.peer is None or not (self.lost or self._may_read()):
            return False
        if self._inflow.take():
            return True
        if self.lost:
            self._end()
        else:
            self._account()
            self.set_reading(self._reading)
        return False

    def _may_read(self) -> bool:
        return self._reading and self._resting is None and not self._choked

    def set_reading(self, reading: bool) -> None:
        """Go on or stop reading from the socket."""
        self._reading = reading
        if self._transport is not None and not self._transport.is_closing():
            if self._may_read() and not self._inflow.waits:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
        if self._inflow.waits:
            self._port.slice_soon(self)

    def rest(self, seconds: float) -> None:
        """Read nothing for so long, whatever `set_reading` says."""
        if self._resting is None:
            self._resting = self._port.loop.call_later(seconds, self._rested)
            self.set_reading(self._reading)

    def _rested(self) -> None:
        self._resting = None
        self.set_reading(self._reading)

    def _flush_soon(self) -> None:
        self._port.flush_soon(self)

    def flush(self) -> None:
        """Write what waits, until the socket's buffer is full."""
        peer, transport = self.peer, self._transport
        if peer is None or transport is None or self._protocol.state is not State.OPEN:
            return
        outbox = peer.outbox
        while self._writable and (message := outbox.take()) is not None:
            transport.write(text_frame(message))
            peer.usage.bytes_out += len(message)
        if (peer.lagging or peer.backlogged) and not outbox.is_full:
            self._port.catch_up(peer)

    def _send_protocol_data(self) -> None:
        assert self._transport is not None
        to_send = self._protocol.data_to_send()
        if len(to_send) > 2 and all(to_send):
            to_send = [b"".join(to_send)]
        for data in to_send:
            if data:
                self._transport.write(data)
            else:
                self._close_soon()
                if self._transport.can_write_eof():
                    self._transport.write_eof()
        if self._protocol.close_expected():
            self._close_soon()
        if self._writable or self._choked or self._protocol.state is not State.OPEN:
            return
        if self._transport.get_write_buffer_size() > 2 * _HIGH_WATER:
            # Who sends pings and does not read the pongs would have them pile up here.
            self._choked = True
            self.set_reading(self._reading)

    def _close_soon(self) -> None:
        """The other side should close; see to it that the socket does not stay."""
        if self._timer is None and self._transport is not None:
            self._timer = self._port.loop.call_later(_CLOSE_S, self._transport.abort)


def _select_subprotocol(
    protocol: ServerProtocol, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    """The name of our pair, never the token beside it; without it, none."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None
