"""Talking to a server in another process: one websocket, or one HTTP request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

_DEADLINE_S = 20

Message = dict[str, Any]


class Talk:
    """One connection, as a Jazz client has it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._unread: list[Message] = []
        self._pings = 0

    async def send(self, *messages: bytes | Message) -> None:
        """Send messages in one frame."""
        texts = [m.decode() if isinstance(m, bytes) else json.dumps(m) for m in messages]
        await self.socket.send("\n".join(texts))

    async def next(self) -> Message:
        """The next message that is no ping."""
        with anyio.fail_after(_DEADLINE_S):
            while not self._unread:
                await self._receive()
        return self._unread.pop(0)

    async def pinged(self) -> None:
        """Wait for a ping; what else comes is kept for `next`."""
        before = self._pings
        with anyio.fail_after(_DEADLINE_S):
            while self._pings == before:
                await self._receive()

    async def _receive(self) -> None:
        messages = [json.loads(line) for line in str(await self.socket.recv()).split("\n")]
        unread = [m for m in messages if m.get("type") != "ping"]
        self._unread += unread
        self._pings += len(messages) - len(unread)

    async def upload(self, *messages: bytes) -> None:
        """Send content for as many CoValues and wait until all of it is acknowledged."""
        await self.send(*messages)
        waiting = {json.loads(message)["id"] for message in messages}
        while waiting:
            message = await self.next()
            assert message["action"] == "known", message
            waiting.discard(message["id"])

    async def add(self, message: bytes) -> None:
        """Send content and wait until it is acknowledged; what its CoValue needs is passed over."""
        await self.send(message)
        wanted = json.loads(message)["id"]
        while (answer := await self.next())["id"] != wanted or answer["action"] != "known":
            pass

    async def load(self, covalue: str) -> Message:
        """Ask for what is known of a CoValue and wait for it; dependencies are passed over."""
        await self.send({"action": "load", "id": covalue, "header": False, "sessions": {}})
        while (message := await self.next())["id"] != covalue:
            pass
        return message

    async def rest(self) -> tuple[list[Message], int | None]:
        """All messages until the connection ends, and the code that the server closed it with."""
        messages: list[Message] = []
        try:
            while True:
                messages.append(await self.next())
        except ConnectionClosed as closing:
            return messages, None if closing.rcvd is None else closing.rcvd.code

    async def closed(self) -> int | None:
        """Read until the connection ends; the code that the server closed it with."""
        return (await self.rest())[1]


@asynccontextmanager
async def talking(url: str) -> AsyncIterator[Talk]:
    """A connection to the server."""
    async with connect(f"{url}/?key=band@example.com", max_size=None, ping_interval=None) as socket:
        yield Talk(socket)


async def request(port: int, text: str) -> tuple[str, str]:
    """The status line and the body of the answer to an HTTP request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text.encode())
    with anyio.fail_after(_DEADLINE_S):
        answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    return head.split("\r\n")[0], body


async def health(port: int) -> Message:
    """What `/health` says."""
    status, body = await request(port, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status == "HTTP/1.1 200 OK"
    said: Message = json.loads(body)
    return said
