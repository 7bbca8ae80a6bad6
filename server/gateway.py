"""The port: who may connect, what is a peer, pings, health.

Every websocket is a peer; plain HTTP gets `/health`. The first ping leaves right after the
handshake, because a Jazz client counts as connected only from the first message on; after that one
goes to every peer every few seconds, whatever else is being sent.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from itertools import count
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
import msgspec
import structlog
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from protocol.messages import encode_ping
from server.config import Settings
from server.connection import Connection, text_frame
from server.errors import PortUnavailable
from server.node import Node
from server.outbox import Outbox
from server.peer import Peer

log: Final = structlog.get_logger(__name__)

_BACKLOG: Final = 2_048
_ORIGIN: Final = "bandstand"


class Gateway:
    """Listens, accepts, pings and closes. One per process."""

    def __init__(
        self, node: Node, settings: Settings, health: Callable[[], dict[str, Any]]
    ) -> None:
        """`health` gives what `/health` shows."""
        self.node = node
        self.settings = settings
        self.loop = asyncio.get_running_loop()
        self.connections: set[Connection] = set()
        self.websockets_logger = logging.getLogger("server.websockets")
        self._health = health
        self._server: asyncio.Server | None = None
        self._names = count(1)
        self._departure = anyio.Event()

    async def listen(self) -> tuple[str, int]:
        """Open the port. Returns its address. Raises `PortUnavailable`."""
        host, port = self.settings.host, self.settings.port
        try:
            self._server = await self.loop.create_server(
                lambda: Connection(self), host, port, backlog=_BACKLOG, start_serving=False
            )
        except (OSError, OverflowError) as error:
            raise PortUnavailable(
                f"cannot listen on {host}:{port}: {error}; choose another with --port or --host"
            ) from None
        bound: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        await self._server.start_serving()
        return bound

    def refuse_new(self) -> None:
        """Close the port; connections stay."""
        if self._server is not None:
            self._server.close()

    async def close_all(self, code: int, reason: str, deadline_s: float) -> None:
        """Close every connection with a code; drop those that do not close in time."""
        for connection in list(self.connections):
            connection.close(code, reason)
        with anyio.move_on_after(deadline_s):
            while self.connections:
                self._departure = anyio.Event()
                await self._departure.wait()
        for connection in list(self.connections):
            connection.abort()

    def respond(self, protocol: ServerProtocol, request: Request) -> Response | None:
        """The response to a request that is not to become a peer; `None` if it is."""
        path = urlsplit(request.path).path
        upgrade = request.headers.get_all("Upgrade")
        if upgrade:
            return None
        if path == "/health":
            body = msgspec.json.encode(self._health())
            headers = Headers(
                {
                    "Content-Type": "application/json",
                    "Content-Length": str(len(body)),
                    "Cache-Control": "no-store",
                    "Connection": "close",
                }
            )
            return Response(HTTPStatus.OK, "OK", headers, body)
        return protocol.reject(
            HTTPStatus.NOT_FOUND if path != "/" else HTTPStatus.UPGRADE_REQUIRED,
            "This is a bandstand sync server: connect with a websocket.\n",
        )

    def arrived(self, connection: Connection) -> None:
        """A socket is there."""
        self.connections.add(connection)

    def receive(self, peer: Peer, frame: bytes) -> None:
        """A text frame came in."""
        self.node.receive(peer, frame)

    def catch_up(self, peer: Peer) -> None:
        """There is room for what did not fit."""
        self.node.catch_up(peer)

    def joined(self, connection: Connection, outbox: Outbox) -> Peer:
        """A connection became a websocket: make it a peer and say so at once, with a ping."""
        peer = Peer(
            name=str(next(self._names)),
            outbox=outbox,
            set_reading=connection.set_reading,
            disconnect=connection.close,
        )
        connection.peer = peer
        connection.ping(self._ping(), protocol_ping=False)
        self.node.connect(peer)
        log.debug("peer.joined", peer=peer.name)
        return peer

    def left(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        self._departure.set()
        if connection.peer is not None:
            self.node.disconnect(connection.peer)
            log.debug("peer.left", peer=connection.peer.name)
            connection.peer = None

    def stop_reading(self) -> None:
        """Take in no more messages from anybody."""
        for connection in self.connections:
            connection.set_reading(False)

    async def ping_all(self) -> None:
        """Ping every peer again and again, and drop those that have gone silent."""
        silent_s = self.settings.silence_seconds
        protocol_due = self.loop.time() + silent_s / 2
        while True:
            await anyio.sleep(self.settings.ping_seconds)
            text = self._ping()
            now = self.loop.time()
            # Jazz clients do not answer pings; websockets answer those of the protocol.
            protocol_ping = now >= protocol_due
            if protocol_ping:
                protocol_due = now + silent_s / 2
            for connection in list(self.connections):
                if connection.peer is not None and now - connection.heard > silent_s:
                    log.info("peer.silent", peer=connection.peer.name)
                    connection.abort()
                else:
                    connection.ping(text, protocol_ping)

    @staticmethod
    def _ping() -> bytes:
        return text_frame(encode_ping(int(time.time() * 1000), _ORIGIN))


@asynccontextmanager
async def listening(gateway: Gateway) -> AsyncIterator[tuple[str, int]]:
    """The port, open inside the context; the address is what it was bound to."""
    try:
        yield await gateway.listen()
    finally:
        gateway.refuse_new()


def is_loopback(host: str) -> bool:
    """Whether all addresses that `host` stands for are loopback ones."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(address[4][0] == "::1" or str(address[4][0]).startswith("127.") for address in found)
