"""A whole server's port with a door, in this process, beside a stand-in for Clerk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from server.admission import opened
from server.auth.door import Door
from server.auth.jwks import Jwks
from server.auth.ledger import Ledger, NoLedger
from server.config import Settings
from server.control.desk import Desk
from server.gateway import Gateway, listening
from server.node import Node
from server.store.memory import MemoryStore
from tests.clerk.server import StandIn, standing_in


@dataclass
class House:
    """A server that decides who may connect."""

    gateway: Gateway
    door: Door
    desk: Desk
    port: int

    def url(self, query: str = "") -> str:
        """Where a client would connect."""
        return f"ws://127.0.0.1:{self.port}/{query}"

    @property
    def jwks(self) -> Jwks:
        """Its Clerk instance's keys."""
        assert self.door.verifier is not None
        assert isinstance(self.door.verifier.source, Jwks)
        return self.door.verifier.source

    async def status(self, query: str = "", **options: Any) -> int:
        """101 if such a client is let in, else the HTTP status that refuses it."""
        try:
            async with connect(self.url(query), **options) as peer:
                assert '"ping"' in str(await peer.recv())
                return 101
        except InvalidStatus as refusal:
            return refusal.response.status_code

    def joined(self, query: str = "", **options: Any) -> connect:
        """A client that is let in."""
        return connect(self.url(query), **options)


def bearer(token: str) -> dict[str, Any]:
    """The token in an Authorization header."""
    return {"additional_headers": {"Authorization": f"Bearer {token}"}}


@asynccontextmanager
async def running(ledger: Ledger, **settings: Any) -> AsyncIterator[House]:
    """A server with these settings."""
    chosen = Settings(port=0, **settings)
    loop = asyncio.get_running_loop()
    async with opened(chosen, ledger) as door, anyio.create_task_group() as tasks:
        node = Node(MemoryStore(), chosen.limits(), clock=loop.time, call_soon=loop.call_soon)
        gateway = Gateway(node, chosen, lambda: {"auth": door.status()}, door)
        await tasks.start(node.run)
        async with listening(gateway) as (_, port):
            tasks.start_soon(gateway.ping_all)
            yield House(gateway, door, Desk(door, gateway), port)
        await gateway.close_all(1001, "end of test", 2)
        tasks.cancel_scope.cancel()


Serve = Callable[..., Awaitable[House]]


@pytest.fixture
async def serve(anyio_backend: str) -> AsyncIterator[Serve]:
    """Starts servers; they stop after the test."""
    async with AsyncExitStack() as stack:

        async def start(ledger: Ledger | None = None, **settings: Any) -> House:
            return await stack.enter_async_context(running(ledger or NoLedger(), **settings))

        yield start


@pytest.fixture
async def clerk(anyio_backend: str) -> AsyncIterator[StandIn]:
    """A stand-in for Clerk."""
    async with standing_in() as stand_in:
        yield stand_in


async def close_code(peer: ClientConnection) -> int | None:
    """Read until the server closes; its code."""
    with anyio.fail_after(10), suppress(ConnectionClosed):
        async for _ in peer:
            pass
    return peer.close_code
