"""Three websocket servers that send back what they are told: ours, `websockets`, and npm's `ws`.

bandstand is no echo server. What echoes here is its `Connection` with its own I/O, behind a port
that puts each text into the outbox of the peer that sent it; so what is held against the other two
is the code that reads and writes every byte in production. Binary messages it leaves alone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
from anyio.streams.text import TextReceiveStream
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request

from server.config import Settings
from server.connection import Connection
from server.flushes import Flushes
from server.outbox import Outbox, Outboxes
from server.peer import Peer
from server.slices import Slices

MAX_BYTES: Final = 16 * 1024 * 1024
"""The largest message that each of them takes."""
REFERENCE: Final = Path(__file__).parents[2] / "bench" / "reference"

Stack = Callable[[], AbstractAsyncContextManager[int]]
"""Opens a server; inside the context its port."""


class EchoPort:
    """In place of the gateway: everybody may connect and hears what they say."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.settings = Settings(port=0, max_message_bytes=MAX_BYTES)
        self.websockets_logger = logging.getLogger("tests.conformance")
        self.open: set[Connection] = set()
        self.outboxes = Outboxes(2**30)
        self._slices = Slices(self.loop.time, self.loop.call_soon)
        self._flushes = Flushes(self.loop.call_soon, lambda: None)

    def arrived(self, connection: Connection) -> None:
        """A socket is there."""
        self.open.add(connection)

    def respond(self, connection: Connection, request: Request) -> None:
        """Every request is for a websocket."""
        connection.upgrade(request)

    def joined(self, connection: Connection, outbox: Outbox) -> Peer:
        """The connection is a websocket now."""
        return Peer("echo", outbox, connection.set_reading, connection.close)

    def receive(self, peer: Peer, frames: list[bytes]) -> None:
        """Say them again."""
        for frame in frames:
            peer.tell(frame)

    def catch_up(self, peer: Peer) -> None:
        """Read on: what was said has been taken."""
        peer.drained()

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
        """The connection is gone."""
        self.open.discard(connection)


class Counted(Connection):
    """A connection that counts in how many pieces its bytes came in."""

    pieces = 0

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        type(self).pieces += 1
        super().data_received(data)


@asynccontextmanager
async def bandstand() -> AsyncIterator[int]:
    """Our connection. Of texts that wait each must leave alone: see the `one_by_one` fixture."""
    port = EchoPort()
    server = await port.loop.create_server(lambda: Counted(port), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(port.open):
            connection.abort()


@asynccontextmanager
async def websockets() -> AsyncIterator[int]:
    """The ready-made asyncio server of `websockets`."""

    async def echo(connection: ServerConnection) -> None:
        try:
            async for message in connection:
                await connection.send(message)
        except ConnectionClosed:
            pass

    quiet = logging.getLogger("tests.conformance.websockets")
    quiet.setLevel(logging.CRITICAL)
    async with serve(
        echo, "127.0.0.1", 0, max_size=MAX_BYTES, compression=None, logger=quiet
    ) as server:
        yield next(iter(server.sockets)).getsockname()[1]


@asynccontextmanager
async def ws() -> AsyncIterator[int]:
    """`ws`, which Jazz's own server stands on, in a process of its own."""
    command = ("node", str(Path(__file__).with_name("ws_echo.mjs")), str(REFERENCE), str(MAX_BYTES))
    async with await anyio.open_process(command, stderr=subprocess.STDOUT) as process:
        try:
            assert process.stdout is not None
            with anyio.fail_after(60):
                said = await TextReceiveStream(process.stdout).receive()
            yield json.loads(said)["port"]
        finally:
            process.terminate()


STACKS: Final[dict[str, Stack]] = {"bandstand": bandstand, "websockets": websockets, "ws": ws}


def ws_is_here() -> bool:
    """Whether this machine can run `ws`."""
    return shutil.which("node") is not None and (REFERENCE / "node_modules" / "ws").is_dir()
