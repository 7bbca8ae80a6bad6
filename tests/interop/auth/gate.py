"""A door in front of a bandstand that lets nobody in without a live token or a worker's key."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import jwt
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.interop.auth.frontend import SKEW_SECONDS, Frontend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from websockets.http11 import Request, Response

SUBPROTOCOL = "bandstand.clerk"


@asynccontextmanager
async def gate(frontend: Frontend, upstream: str, key: str) -> AsyncIterator[str]:
    def admit(connection: ServerConnection, request: Request) -> Response | None:
        offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        token = bearer or (offered[1].strip() if len(offered) > 1 else "")
        if token == key:
            return None
        try:
            jwt.decode(token, frontend.public_pem, algorithms=["RS256"], leeway=SKEW_SECONDS,
                       options={"require": ["exp"]})
        except jwt.PyJWTError:
            return connection.respond(401, "")
        return None

    def choose(_: ServerConnection, offered: list[str]) -> str | None:
        return SUBPROTOCOL if SUBPROTOCOL in offered else None

    async def relay(client: ServerConnection) -> None:
        async with connect(upstream, max_size=None) as server, anyio.create_task_group() as tasks:
            async def pump(a, b) -> None:
                try:
                    async for message in a:
                        await b.send(message)
                except ConnectionClosed:
                    pass
                tasks.cancel_scope.cancel()
            tasks.start_soon(pump, client, server)
            tasks.start_soon(pump, server, client)

    async with serve(relay, "127.0.0.1", 0, process_request=admit, select_subprotocol=choose,
                     max_size=None, close_timeout=0.5) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}"
