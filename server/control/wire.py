"""One msgpack value behind its length."""

from __future__ import annotations

from typing import Final

import anyio
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream

from server.errors import ServerError

_SIZE: Final = 16 * 1024 * 1024


async def send(stream: ByteStream, data: bytes) -> None:
    """Send one value."""
    await stream.send(len(data).to_bytes(4, "big") + data)


async def receive(stream: ByteStream) -> bytes:
    """Receive one value, of 16 MiB at most. Raises `ServerError` if the stream ends before."""
    buffered = BufferedByteReceiveStream(stream)
    try:
        size = int.from_bytes(await buffered.receive_exactly(4), "big")
        if size > _SIZE:
            raise ServerError("the control socket sent a message that is too large")
        return await buffered.receive_exactly(size)
    except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
        raise ServerError("the control socket was closed before it answered") from None
