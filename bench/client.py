"""One connection of the generator: frames in, lines out, nothing in between."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from typing import cast
from urllib.parse import urlsplit

from bench.faults import ConnectionFailed
from bench.wire import CLOSE, PING, PONG, FrameReader, Handshake, masked

_CONNECT_S = 20.0


class Client(asyncio.Protocol):
    """A websocket to a server. Make one with `connect`."""

    def __init__(self, url: str, on_line: Callable[[bytes], None]) -> None:
        self._on_line = on_line
        self._handshake: Handshake | None = Handshake(urlsplit(url))
        self._frames = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._leaving = False
        self.lost: str | None = None
        """Why the server ended the connection, if it did."""
        self.after_data: Callable[[], None] | None = None
        """Called once after all lines that came in together."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there: ask for the upgrade."""
        self._transport = cast(asyncio.Transport, transport)
        assert self._handshake is not None
        self._transport.write(self._handshake.request)

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        if self._handshake is not None:
            try:
                rest = self._handshake.feed(data)
            except ConnectionFailed as error:
                self._fail(str(error))
                return
            if rest is None:
                return
            self._handshake = None
            if not self._opened.done():
                self._opened.set_result(None)
            data = rest
        texts, control = self._frames.feed(data)
        for text in texts:
            if b"\n" in text:
                for line in text.split(b"\n"):
                    self._on_line(line)
            else:
                self._on_line(text)
        for opcode, payload in control:
            if opcode == PING:
                self.send(masked(payload, PONG))
            elif opcode == CLOSE:
                code = int.from_bytes(payload[:2], "big")
                self._fail(f"closed by the server: {code} {payload[2:].decode(errors='replace')}")
        if self.after_data is not None:
            self.after_data()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._fail(f"connection lost: {exc or 'closed by the server'}")

    def send(self, frame: bytes) -> None:
        """Write one frame (or several, joined) as it is: masked by whoever made it."""
        assert self._transport is not None
        self._transport.write(frame)

    def leave(self) -> None:
        """Drop the connection."""
        self._leaving = True
        if self._transport is not None:
            self._transport.abort()

    async def opened(self) -> None:
        """Wait for the upgrade. Raises `ConnectionFailed`."""
        await self._opened

    def _fail(self, why: str) -> None:
        if self._leaving:
            return
        self.lost = self.lost or why
        if not self._opened.done():
            self._opened.set_exception(ConnectionFailed(why))
            self._opened.exception()
        if self._transport is not None:
            self._transport.abort()


async def connect(url: str, on_line: Callable[[bytes], None]) -> Client:
    """Connect to a `ws://` or `wss://` address; `on_line` gets each message.

    Raises `ConnectionFailed`.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "wss"
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_CONNECT_S):
            _, client = await loop.create_connection(
                lambda: Client(url, on_line),
                parts.hostname or "",
                parts.port or (443 if secure else 80),
                ssl=ssl.create_default_context() if secure else None,
            )
            await client.opened()
    except (OSError, TimeoutError) as error:
        raise ConnectionFailed(f"cannot connect: {str(error) or 'no answer in time'}") from None
    return client


def leave_all(clients: Iterable[Client]) -> None:
    """Drop all of them."""
    for client in clients:
        client.leave()
