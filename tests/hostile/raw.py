"""A socket that says what no websocket library would.

Frames are masked with zeros (RFC 6455 §5.3 allows any mask), so that megabytes cost nothing here.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio

TEXT: Final = 1
BINARY: Final = 2
CONTINUATION: Final = 0
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10
_DEADLINE_S: Final = 300

Message = dict[str, Any]

REQUEST: Final = (
    "GET /?key=band@example.com HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
    "Sec-WebSocket-Version: 13\r\n"
)


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """One masked frame."""
    return _head(opcode, len(payload), fin=fin) + payload


def _head(opcode: int, length: int, *, fin: bool = True) -> bytes:
    first = opcode | (0x80 if fin else 0)
    if length < 126:
        return struct.pack("!BB4x", first, 0x80 | length)
    if length < 65_536:
        return struct.pack("!BBH4x", first, 0xFE, length)
    return struct.pack("!BBQ4x", first, 0xFF, length)


def head(opcode: int, length: int) -> bytes:
    """The beginning of a frame whose payload is announced."""
    return _head(opcode, length)


class Raw:
    """One websocket connection, byte for byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._unread: list[Message] = []

    def drop(self) -> None:
        """End the connection without a word."""
        self.writer.transport.abort()

    async def write(self, data: bytes) -> None:
        """Send bytes as they are, as fast as the other side takes them; what it drops is lost."""
        try:
            self.writer.write(data)
            await self.writer.drain()
            # Which waits only if much is unsent: whoever reads here is to get on, too.
            await anyio.lowlevel.checkpoint()
        except ConnectionError:
            pass

    async def send(self, *messages: bytes | Message) -> None:
        """Send messages in one frame, however large."""
        lines = [m if isinstance(m, bytes) else json.dumps(m).encode() for m in messages]
        await self.write(frame(TEXT, b"\n".join(lines)))

    async def next(self) -> Message | int | None:
        """The next message that is no ping; or the close code; or `None` for a bare end."""
        with anyio.fail_after(_DEADLINE_S):
            while not self._unread:
                try:
                    opcode, payload = await self._frame()
                except (asyncio.IncompleteReadError, ConnectionError):
                    return None
                if opcode == CLOSE:
                    code: int = struct.unpack("!H", payload[:2])[0]
                    self.reason = payload[2:].decode()
                    return code
                if opcode == TEXT:
                    said = map(json.loads, payload.split(b"\n"))
                    self._unread += [m for m in said if m.get("type") != "ping"]
        return self._unread.pop(0)

    async def about(self, covalue: str) -> Message:
        """The next message about a CoValue."""
        while True:
            message = await self.next()
            assert isinstance(message, dict), f"closed with {message} {getattr(self, 'reason', '')}"
            if message.get("id") == covalue:
                return message

    async def end(self) -> tuple[int | None, str]:
        """Read to the end: the close code and its reason, or `None` for a bare end."""
        while isinstance(found := await self.next(), dict):
            pass
        return found, getattr(self, "reason", "")

    async def _frame(self) -> tuple[int, bytes]:
        first, second = await self.reader.readexactly(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
        return first & 0x0F, await self.reader.readexactly(length)


async def socket_to(
    port: int, *, source: str = "", receive_buffer: int = 0
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare TCP connection, from the address `source`."""
    raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    raw.setblocking(False)
    if receive_buffer:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if source:
        raw.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: thousands of them.
        raw.bind((source, 0))
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
    return await asyncio.open_connection(sock=raw, limit=4096 if receive_buffer else 2**16)


async def upgrade(
    port: int, *, source: str = "", headers: str = "", receive_buffer: int = 0
) -> tuple[str, Raw]:
    """Ask for a websocket: the status line and the connection."""
    reader, writer = await socket_to(port, source=source, receive_buffer=receive_buffer)
    status = b""
    try:
        writer.write((REQUEST + headers + "\r\n").encode())
        status = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0]
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    return status.decode(), Raw(reader, writer)


@asynccontextmanager
async def connected(
    port: int, *, source: str = "", headers: str = "", receive_buffer: int = 0
) -> AsyncIterator[Raw]:
    """A websocket that is dropped at the end."""
    status, raw = await upgrade(port, source=source, headers=headers, receive_buffer=receive_buffer)
    assert " 101 " in status, status
    try:
        yield raw
    finally:
        raw.drop()


async def room_again(port: int, *, source: str = "") -> Raw:
    """A websocket, as soon as the server has noticed that others are gone."""
    with anyio.fail_after(_DEADLINE_S):
        while True:
            status, raw = await upgrade(port, source=source)
            if " 101 " in status:
                return raw
            raw.drop()
            await anyio.sleep(0.05)


@asynccontextmanager
async def crowd(port: int, count: int) -> AsyncIterator[list[Raw]]:
    """So many websockets."""
    made: list[Raw] = []
    try:
        for _ in range(count):
            status, raw = await upgrade(port)
            assert " 101 " in status, status
            made.append(raw)
        yield made
    finally:
        for raw in made:
            raw.drop()


def load(covalue: str, sessions: dict[str, int] | None = None) -> Message:
    """A `load` that holds nothing, or these sessions."""
    held = {"header": sessions is not None, "sessions": sessions or {}}
    return {"action": "load", "id": covalue} | held


def lines(messages: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Messages joined into frames of about `size` bytes, made as they are asked for."""
    batch: list[bytes] = []
    length = 0
    for message in messages:
        batch.append(message)
        length += len(message) + 1
        if length >= size:
            yield b"\n".join(batch)
            batch, length = [], 0
    if batch:
        yield b"\n".join(batch)
