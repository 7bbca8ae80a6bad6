"""Clients that write as fast as the server lets them, until the connection ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AsyncExitStack

import anyio
from anyio.lowlevel import checkpoint
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.crash.world import Log, World
from tests.signing import content

_UNACKNOWLEDGED = 300
"""How many transactions one client has on their way at a time."""


class _Client:
    """One connection that writes its own sessions."""

    def __init__(
        self, world: World, number: int, socket: ClientConnection, happened: Callable[[str], None]
    ) -> None:
        self._world = world
        self._number = number
        self._socket = socket
        self._happened = happened
        self._told = set(world.created)
        self._progress = anyio.Event()
        self.code: int | None = None
        """What the server closed the connection with."""

    async def run(self) -> None:
        """Write and read until the connection ends, and then read what had come in before."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write)
            await self._read()
            tasks.cancel_scope.cancel()

    async def _write(self) -> None:
        logs = self._world.of_client[self._number]
        try:
            for log in [*self._world.base, *logs]:
                if log.sent < len(log.made) or log in self._world.base:
                    await self._send(log)
            while True:
                while sum(log.sent - log.acknowledged for log in logs) > _UNACKNOWLEDGED:
                    self._progress = anyio.Event()
                    await self._progress.wait()
                log = self._world.some_log(self._number)
                self._world.write_something(log)
                await self._send(log)
                await checkpoint()
        except ConnectionClosed:
            pass

    async def _send(self, log: Log) -> None:
        header = log.value.id not in self._told
        self._told.add(log.value.id)
        if log in self._world.base:
            log.sent = 0
        run = log.unsent()
        await self._socket.send(
            content(log.value, {log.session.id: run}, with_header=header).decode()
        )
        self._happened("messages")

    async def _read(self) -> None:
        try:
            while True:
                for line in str(await self._socket.recv()).split("\n"):
                    message = json.loads(line)
                    if message.get("action") == "known":
                        self._acknowledged(message)
        except ConnectionClosed as closing:
            self.code = None if closing.rcvd is None else closing.rcvd.code

    def _acknowledged(self, message: dict[str, object]) -> None:
        if message.get("isCorrection"):
            self._happened("corrections")
        sessions = message["sessions"]
        assert isinstance(sessions, dict)
        if message["header"]:
            self._world.acknowledge(str(message["id"]), sessions)
        self._progress.set()
        # Last, as this may be the signal to kill the server: in this very tick.
        self._happened("acknowledgements")


async def load(url: str, world: World, happened: Callable[[str], None]) -> list[int | None]:
    """Have all clients write until the server is gone. Returns how it closed each connection."""
    clients: list[_Client] = []
    async with AsyncExitStack() as stack:
        for number in range(len(world.of_client)):
            socket = await stack.enter_async_context(
                connect(url, max_size=None, ping_interval=None, compression=None)
            )
            clients.append(_Client(world, number, socket, happened))
        async with anyio.create_task_group() as tasks:
            for client in clients:
                tasks.start_soon(client.run)
    return [client.code for client in clients]
