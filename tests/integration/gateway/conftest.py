"""A server on a free port, in this process, on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from server.config import Settings
from server.gateway import Gateway, listening
from server.node import Node
from server.store.memory import MemoryStore


@dataclass
class Running:
    """A server that accepts connections."""

    gateway: Gateway
    port: int

    @property
    def url(self) -> str:
        """Where a Jazz app would point its `sync.peer`."""
        return f"ws://127.0.0.1:{self.port}/?key=anything"


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Running]:
    """A server with these settings."""
    chosen = Settings(port=0, **settings)
    loop = asyncio.get_running_loop()
    node = Node(MemoryStore(), chosen.limits(), clock=loop.time, call_soon=loop.call_soon)
    gateway = Gateway(node, chosen, lambda: {"status": "ok"})
    async with anyio.create_task_group() as tasks:
        await tasks.start(node.run)
        async with listening(gateway) as (_, port):
            tasks.start_soon(gateway.ping_all)
            yield Running(gateway, port)
        await gateway.close_all(1001, "end of test", 2)
        tasks.cancel_scope.cancel()


Serve = Callable[..., Awaitable[Running]]


@pytest.fixture
async def serve(anyio_backend: str) -> AsyncIterator[Serve]:
    """Starts servers; they stop after the test."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Running:
            return await stack.enter_async_context(running(**settings))

        yield start
