"""The instance's frontend API on loopback: its key set over HTTP, minting, and everything bad.

GET  /.well-known/jwks.json       the key set, in the way that `behaviour` says
POST /tokens?sub=…&sid=…          a fresh session token (as `getToken()` gets one)
POST /rotate                      sign with a new key
POST /behave?as=…                 ok, failing, redirecting, huge, garbage or silent
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

import anyio

from tests.clerk.instance import Instance

Behaviour = Literal["ok", "failing", "redirecting", "huge", "garbage", "silent"]


class StandIn:
    """A running stand-in for Clerk."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.behaviour: Behaviour = "ok"
        self.fetches = 0
        """How often the key set was asked for."""
        self._asked = anyio.Event()
        self._release = anyio.Event()

    @property
    def url(self) -> str:
        """The setting `clerk` that names it."""
        return self.instance.issuer

    async def asked(self, times: int) -> None:
        """Wait until the key set was asked for so often."""
        with anyio.fail_after(30):
            while self.fetches < times:
                await self._asked.wait()

    def behave(self, behaviour: Behaviour) -> None:
        """Behave so from now on; what was kept waiting goes on."""
        self.behaviour = behaviour
        release, self._release = self._release, anyio.Event()
        release.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, target, _ = head.split("\r\n")[0].split(" ")
            status, body, more = await self._answer(method, target)
            writer.write(
                f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{more}"
                "Access-Control-Allow-Origin: *\r\nConnection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # The other side has lost its patience.
        finally:
            writer.close()

    async def _answer(self, method: str, target: str) -> tuple[int, bytes, str]:
        url = urlsplit(target)
        query = dict(parse_qsl(url.query))
        if (method, url.path) == ("POST", "/tokens"):
            sub, sid = query.get("sub", "user_1"), query.get("sid", "sess_1")
            return 200, self.instance.mint(sub, sid).encode(), ""
        if (method, url.path) == ("POST", "/rotate"):
            self.instance.rotate()
            return 200, b"", ""
        if (method, url.path) == ("POST", "/behave"):
            self.behave(query["as"])  # type: ignore[arg-type]
            return 200, b"", ""
        if url.path != "/.well-known/jwks.json":
            return 404, b"", ""
        self.fetches += 1
        asked, self._asked = self._asked, anyio.Event()
        asked.set()
        while self.behaviour == "silent":
            await self._release.wait()
        body = json.dumps(self.instance.jwks()).encode()
        return {
            "ok": (200, body, "Content-Type: application/json\r\n"),
            "failing": (500, b"", ""),
            "redirecting": (302, b"", "Location: /elsewhere\r\n"),
            "huge": (200, body[:-1] + b" " * 100_000 + b"}", ""),
            "garbage": (200, b"<html>", ""),
        }[self.behaviour]


@asynccontextmanager
async def standing_in(port: int = 0) -> AsyncIterator[StandIn]:
    """A stand-in for Clerk, serving inside the context."""
    stand_in = StandIn(Instance(""))
    server = await asyncio.start_server(stand_in.serve, "127.0.0.1", port)
    bound = server.sockets[0].getsockname()[1]
    stand_in.instance.issuer = f"http://127.0.0.1:{bound}"
    async with server:
        try:
            yield stand_in
        finally:
            stand_in.behave("failing")
