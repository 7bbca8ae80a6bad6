"""The client's side, byte by byte: frames of every kind, also such as nobody may send.

Written without a websocket library, so that no library's idea of a frame is in the way.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import anyio

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
KEY: Final = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT: Final = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The answer to `KEY` (RFC 6455 §1.3)."""
UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: " + KEY + b"\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PATIENCE_S: Final = 20

Delivery = Callable[[bytes], Iterable[bytes]]
"""Cuts what is sent into the pieces that are sent one by one."""


def whole(data: bytes) -> Iterator[bytes]:
    """All at once."""
    yield data


def bytewise(data: bytes) -> Iterator[bytes]:
    """One byte at a time."""
    yield from (data[i : i + 1] for i in range(len(data)))


def chopped(seed: int) -> Delivery:
    """Pieces of 1 to 9 bytes, then larger ones: cuts inside heads, masks and payloads."""

    def cut(data: bytes) -> Iterator[bytes]:
        dice, at = random.Random(seed), 0
        while at < len(data):
            size = dice.randint(1, 9) if at < 4096 else dice.randint(1, 60_000)
            yield data[at : at + size]
            at += size

    return cut


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = b"\x37\xfa\x21\x3d",
    length_bytes: int | None = None,
    length: int | None = None,
) -> bytes:
    """A frame (RFC 6455 §5.2).

    `mask` is `None` for none; `length_bytes` (0, 2 or 8) is how the length is written, by default
    the shortest way; `length` is what is written there, by default the truth.
    """
    size = len(payload) if length is None else length
    if length_bytes is None:
        length_bytes = 0 if size < 126 else 2 if size < 65_536 else 8
    head = bytes([fin << 7 | rsv << 4 | opcode])
    masked = 0x80 if mask is not None else 0
    if length_bytes == 0:
        head += bytes([masked | size])
    else:
        head += bytes([masked | (126 if length_bytes == 2 else 127)])
        head += size.to_bytes(length_bytes, "big")
    if mask is None:
        return head + payload
    stream = int.from_bytes((mask * (len(payload) // 4 + 1))[: len(payload)], "big")
    hidden = int.from_bytes(payload, "big") ^ stream
    return head + mask + hidden.to_bytes(len(payload), "big")


def fragments(*parts: bytes, opcode: int = TEXT) -> bytes:
    """One message in as many frames."""
    last = len(parts) - 1
    return b"".join(
        frame(opcode if i == 0 else CONT, part, fin=i == last) for i, part in enumerate(parts)
    )


def close(code: int | None = None, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


@dataclass
class Outcome:
    """What came back."""

    messages: list[bytes] = field(default_factory=list)
    """The texts, each whole."""
    binaries: list[bytes] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    end: str = "dropped"
    """`close CODE`, `close` without a code, or `dropped`: the socket ended without a goodbye."""


async def next_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One frame of the server's, which may not mask it nor (none of ours do) cut messages up."""
    first, second = await reader.readexactly(2)
    assert first & 0x70 == 0, "reserved bits"
    assert first & 0x80, "a fragment"
    assert second & 0x80 == 0, "servers do not mask"
    size = second & 0x7F
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
        assert size > 125
    elif size == 127:
        size = int.from_bytes(await reader.readexactly(8), "big")
        assert size > 65_535
    return first & 0x0F, await reader.readexactly(size)


@asynccontextmanager
async def dialled(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A plain socket to the port, at its end torn down."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    try:
        with anyio.fail_after(PATIENCE_S):
            yield reader, writer
    finally:
        writer.transport.abort()


async def send(writer: asyncio.StreamWriter, pieces: Iterable[bytes]) -> None:
    """Send the pieces one by one; a server that has hung up need not hear them all."""
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            # Two turns of the loop: in the first the server's socket becomes readable, in the
            # second the server reads this piece, before the next is sent.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    except ConnectionError:
        pass


async def converse(port: int, sent: bytes, deliver: Delivery = whole) -> Outcome:
    """Send the bytes after a handshake; then ask for a pong, say goodbye, and hear out the server.

    The pong says that everything before was dealt with, so nothing waits for a time to pass.
    """
    told, mark, parted = Outcome(), os.urandom(8), False
    async with dialled(port) as (reader, writer):
        writer.write(UPGRADE)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, writer, (*deliver(sent), frame(PING, mark)))
            try:
                while True:
                    opcode, payload = await next_frame(reader)
                    if opcode == TEXT:
                        told.messages.append(payload)
                    elif opcode == BINARY:
                        told.binaries.append(payload)
                    elif opcode == PONG and payload != mark:
                        told.pongs.append(payload)
                    elif opcode == PONG or (opcode == CLOSE and not parted):
                        parted = True
                        tasks.start_soon(send, writer, [close(1000)])
                    if opcode == CLOSE:
                        told.end = f"close {int.from_bytes(payload[:2], 'big')}".removesuffix(" 0")
                        # Whatever a server says after its goodbye is one thing too many.
                        assert await reader.read() == b""
                        break
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            tasks.cancel_scope.cancel()
    return told


@dataclass(frozen=True)
class Answer:
    """What a handshake came to."""

    status: int
    """0 for none: the socket was closed without a word."""
    extensions: str = ""
    subprotocol: str = ""
    works: bool = False
    """Whether what was said on the websocket was answered."""

    def __str__(self) -> str:
        """For the table."""
        parts = [
            "closed" if not self.status else str(self.status),
            f"extensions {self.extensions}" if self.extensions else "",
            f"subprotocol {self.subprotocol}" if self.subprotocol else "",
            "" if self.works or self.status != 101 else "deaf",
        ]
        return ", ".join(filter(None, parts))


async def shake(
    port: int,
    sent: bytes,
    question: bytes,
    word: bytes,
    deliver: Delivery = whole,
    *,
    hang_up: bool = False,
) -> Answer:
    """Send a request and, on what may be a websocket, a question, whose answer holds the word.

    After a refusal the server must close the socket; or we do so, if `hang_up`.
    """
    async with dialled(port) as (reader, writer), anyio.create_task_group() as tasks:
        tasks.start_soon(send, writer, deliver(sent))
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return Answer(0)
        line, *lines = head.decode("latin-1").rstrip().split("\r\n")
        protocol, status, _ = line.split(" ", 2)
        assert protocol == "HTTP/1.1"
        headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in lines)}
        if status != "101":
            if not hang_up:
                with suppress(OSError):
                    await reader.read()
            return Answer(int(status))
        assert headers["upgrade"].lower() == "websocket"
        assert headers["connection"].lower() == "upgrade"
        assert headers["sec-websocket-accept"] == ACCEPT.decode()
        tasks.start_soon(send, writer, [question])
        try:
            works = False
            while not works:
                opcode, payload = await next_frame(reader)
                works = opcode == TEXT and word in payload
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        tasks.cancel_scope.cancel()
    return Answer(
        101,
        headers.get("sec-websocket-extensions", ""),
        headers.get("sec-websocket-protocol", ""),
        works,
    )
