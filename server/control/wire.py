"""One msgpack value behind its length (four bytes, big-endian)."""

from __future__ import annotations

from typing import Any, Final

import anyio
import msgpack
import msgspec
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream

from server.errors import ServerError

_SIZE: Final = 16 * 1024 * 1024


class Unreadable(ServerError):
    """What came is no value of the type that was expected."""


async def send(stream: ByteStream, value: msgspec.Struct) -> None:
    """Send one value."""
    data: bytes = msgpack.packb(msgspec.to_builtins(value))
    await stream.send(len(data).to_bytes(4, "big") + data)


async def receive(stream: ByteStream, kind: Any) -> Any:
    """Receive one value of the type `kind` (which may be a union), of 16 MiB at most.

    Raises `Unreadable` if it is something else, `ServerError` if the stream ends before it.
    """
    buffered = BufferedByteReceiveStream(stream)
    try:
        size = int.from_bytes(await buffered.receive_exactly(4), "big")
        if size > _SIZE:
            raise ServerError("the control socket sent a message that is too large")
        data = await buffered.receive_exactly(size)
    except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
        raise ServerError("the control socket was closed before it answered") from None
    try:
        value: Any = msgpack.unpackb(data)
        return msgspec.convert(value, kind)
    except (ValueError, msgpack.UnpackException, msgspec.ValidationError, RecursionError):
        raise Unreadable("the control socket sent something else than was expected") from None
