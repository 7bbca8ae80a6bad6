"""The port: who may connect, what is a peer, pings, health.

Every websocket is a peer; plain HTTP gets `/health` and `/ready`. The first ping leaves right after
the handshake, because a Jazz client counts as connected only from the first message on; after that
one goes to every peer every few seconds, whatever else is being sent.
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
from random import uniform
from typing import Any, Final

import anyio
import msgspec
import structlog
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from protocol.messages import encode_ping
from server.auth.door import Door
from server.auth.door import Request as Handshake
from server.auth.identity import Identity
from server.auth.jwks import KeysWanted
from server.auth.refusals import RETRY_AFTER_S
from server.config import Settings
from server.connection import Connection
from server.crowd import Crowd, room_for
from server.errors import PortUnavailable, Refused
from server.flushes import Flushes
from server.framing import text_frame
from server.node import Node
from server.offences import QUOTA, UNFINISHED
from server.outbox import Outbox, Outboxes
from server.peer import Peer
from server.readiness import unready
from server.slices import Slices

log: Final = structlog.get_logger(__name__)

_BACKLOG: Final = 2_048
_ORIGIN: Final = "bandstand"
TOO_OLD: Final = 4401
SESSION_ENDED: Final = 4403


class Gateway:
    """Listens, accepts, pings and closes. One per process."""

    def __init__(
        self,
        node: Node,
        settings: Settings,
        health: Callable[[], dict[str, Any]],
        door: Door | None = None,
        jitter: Callable[[], float] = lambda: uniform(0.9, 1.0),
    ) -> None:
        """`health` gives what `/health` shows; `door` decides who may connect, `None` lets all in.

        `jitter` gives the share of the greatest age at which a connection is closed.
        """
        self.node = node
        self.door = door
        self._jitter = jitter
        self._by_peer: dict[Peer, Connection] = {}
        self.settings = settings
        self.loop = asyncio.get_running_loop()
        self.connections: set[Connection] = set()
        self.websockets_logger = logging.getLogger("server.websockets")
        self._health = health
        self._server: asyncio.Server | None = None
        self._names = count(1)
        self._slices = Slices(self.loop.time, self.loop.call_soon)
        self._flushes = Flushes(self.loop.call_soon, lambda: self.count("faults"))
        node.on_commit = self._flushes.run
        self._crowd = Crowd(
            settings.connections, settings.address_connections, settings.trusted_proxies
        )
        self._unfinished = 0
        self.outboxes = Outboxes(settings.total_outbox_bytes)
        self._departure = anyio.Event()

    async def listen(self) -> tuple[str, int]:
        """Open the port. Returns its address. Raises `PortUnavailable`."""
        host, port = self.settings.host, self.settings.port
        self._crowd.most = room_for(self.settings.connections)
        if self._crowd.most < self.settings.connections:
            log.warning("connections.limited", connections=self._crowd.most, by="ulimit -Hn")
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
        self.drop_all()

    def drop_all(self) -> None:
        """Drop every connection at once."""
        for connection in list(self.connections):
            connection.abort()

    def respond(self, connection: Connection, request: Request) -> None:
        """Answer a request: with HTTP, or, where it asks for a websocket, as the door decides."""
        if request.headers.get_all("Upgrade"):
            self._decide(connection, request)
        else:
            connection.reply(self._plain(request))

    def _decide(self, connection: Connection, request: Request, *, final: bool = False) -> None:
        """Admit or refuse, before the upgrade; or wait for keys, and then do so."""
        forwarded = request.headers.get_all("X-Forwarded-For")
        if forwarded and not self._crowd.name(connection, connection.address, forwarded):
            self.count("address_full")
            connection.reply(_refusal(Refused("address_full", HTTPStatus.SERVICE_UNAVAILABLE)))
            return
        door = self.door
        if door is None:
            connection.upgrade(request)
            return
        asked = Handshake(request.path, request.headers, connection.address)
        try:
            connection.admission = door.decide(asked, final=final)
        except Refused as refusal:
            connection.reply(_refusal(refusal), door.penalty(asked, refusal))
        except KeysWanted:
            # Data that comes meanwhile, or an end, is seen to by the connection.
            try:
                connection.cancel_decision = door.when_keys(
                    lambda: self._decide(connection, request, final=True)
                )
            except Refused as refusal:
                connection.reply(_refusal(refusal))
        else:
            connection.upgrade(request)

    def _plain(self, request: Request) -> Response:
        path = request.path.partition("?")[0]
        if path == "/health":
            body = msgspec.json.encode(self._health())
            return _http(HTTPStatus.OK, "application/json", body)
        if path == "/ready":
            reason = unready(self.node, self.loop.time())
            status = HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE
            body = f"{reason or 'ready'}\n".encode()
            return _http(status, "text/plain; charset=utf-8", body)
        return _http(
            HTTPStatus.NOT_FOUND if path != "/" else HTTPStatus.UPGRADE_REQUIRED,
            "text/plain; charset=utf-8",
            b"This is a bandstand sync server: connect with a websocket.\n",
        )

    def arrived(self, connection: Connection) -> None:
        """A socket is there."""
        full = self._crowd.enter(connection, connection.address)
        if full is not None:
            self.count(full)
            connection.turn_away()
            return
        self.connections.add(connection)

    def count(self, what: str) -> None:
        """Something happened that `/health` shows."""
        self.node.counters[what] += 1

    def flush_soon(self, connection: Connection) -> None:
        """Let the connection send what waits: in the next turn, or after a commit before that."""
        self._flushes.add(connection)

    def slice_soon(self, connection: Connection) -> None:
        """Deal with the next slice of the connection's large message when it is its turn."""
        self._slices.add(connection)

    def account(self, connection: Connection, unfinished: int) -> None:
        """So many bytes of the connection wait: too many in all cost who has most of them."""
        self._unfinished += unfinished - connection.unfinished
        connection.unfinished = unfinished
        while self._unfinished > self.settings.total_unfinished_bytes:
            largest = max(self.connections, key=lambda c: c.unfinished, default=None)
            if largest is None or not largest.unfinished:
                return
            self._unfinished -= largest.unfinished
            largest.unfinished = 0
            log.info("peer.unfinished", peer=largest.peer.name if largest.peer else None)
            largest.close(*UNFINISHED)

    def receive(self, peer: Peer, frames: list[bytes]) -> None:
        """Text frames came in."""
        usage = peer.usage
        usage.bytes_in += sum(map(len, frames))
        if not usage.limited:
            self.node.receive(peer, frames)
            return
        for frame in frames:
            if not self._is_within_limits(peer, frame):
                return
            self.node.receive(peer, [frame])

    def _is_within_limits(self, peer: Peer, frame: bytes) -> bool:
        """Hold a key to its limits: read later what comes too fast, close what is too much."""
        usage, now = peer.usage, time.time()
        usage.write(len(frame), now)
        if usage.is_spent(now):
            log.info("peer.quota", peer=peer.name, key=usage.name)
            peer.disconnect(*QUOTA)
            return False
        pause_s = usage.pause(frame.count(b"\n") + 1, self.loop.time())
        if pause_s > 0 and (connection := self._by_peer.get(peer)) is not None:
            connection.rest(pause_s)
        return True

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
        self._by_peer[peer] = connection
        if self.door is not None and connection.admission is not None:
            peer.identity, peer.usage = connection.admission
            self.door.joined(peer.identity, peer.usage)
            if most := self.settings.max_connection_seconds:
                # Not all at once, or a restart's clients would come back together for ever.
                connection.closes_at = self.loop.time() + most * self._jitter()
        connection.ping(self._ping(), protocol_ping=False)
        self.node.connect(peer)
        shown = peer.identity.shown() if peer.identity is not None else {}
        say = log.info if "actor" in shown else log.debug
        say("peer.joined", peer=peer.name, **shown)
        return peer

    def peers(self) -> list[Peer]:
        """Who is connected."""
        return list(self._by_peer)

    def end(self, matches: Callable[[Identity], bool]) -> int:
        """Close, with 4403, the connections whose identity matches. Returns how many."""
        ended = [p for p in self._by_peer if p.identity is not None and matches(p.identity)]
        for peer in ended:
            log.info("peer.ended", peer=peer.name)
            peer.disconnect(SESSION_ENDED, "session ended")
        return len(ended)

    def left(self, connection: Connection) -> None:
        """A connection is gone."""
        self._crowd.leave(connection)
        self.connections.discard(connection)
        self._departure.set()
        if connection.peer is not None:
            self._by_peer.pop(connection.peer, None)
            if self.door is not None and connection.peer.identity is not None:
                self.door.left(connection.peer.identity, connection.peer.usage)
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
                peer = connection.peer
                if connection.lost:
                    continue
                # Who is not read from cannot be heard.
                if peer is not None and not peer.throttled and now - connection.heard > silent_s:
                    log.info("peer.silent", peer=peer.name)
                    self.count("silent")
                    connection.abort()
                elif now >= connection.closes_at:
                    connection.close(TOO_OLD, "come back with a fresh token")
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


def _refusal(refusal: Refused) -> Response:
    """What the client is told: the status alone."""
    status = HTTPStatus(refusal.status)
    response = _http(status, "text/plain; charset=utf-8", f"{status.phrase}\n".encode())
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    elif status is HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _http(status: HTTPStatus, kind: str, body: bytes) -> Response:
    headers = Headers(
        {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Connection": "close",
        }
    )
    return Response(status, status.phrase, headers, body)


def is_loopback(host: str) -> bool:
    """Whether all addresses that `host` stands for are loopback ones."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(address[4][0] == "::1" or str(address[4][0]).startswith("127.") for address in found)
