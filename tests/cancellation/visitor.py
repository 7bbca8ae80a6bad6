"""Who visits the whole server while it is cancelled: connects, uploads, asks, has it stopped."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import anyio
import anyio.lowlevel
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from server.auth.door import Door
from server.config import Settings
from server.control.messages import (
    CreateKey,
    EndSessions,
    ListSessions,
    Request,
    RevokeKey,
    RotateKey,
)
from server.control.socket import ask
from server.errors import ServerError
from server.store.sqlite import SqliteStore
from tests.clerk.server import StandIn
from tests.integration.sync.stage import Band

_PATIENCE_S: Final = 0.5
_when_keys: Final = Door.when_keys
_LISTENS: Final = re.compile(r"(ws://\S+)")


class Visitor:
    """Connects, uploads, asks on the control socket, has the server stopped."""

    def __init__(self, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
        self._settings, self._capsys = settings, capsys
        self.over = anyio.Event()
        self.url = ""
        self.acknowledged: dict[str, dict[str, int]] = {}
        band = Band()
        self._messages = band.first()
        self.everything = {json.loads(m)["id"] for m in self._messages}

    async def visit(self) -> None:
        """Do all of it, as far as the server lets itself be visited."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._leave, tasks.cancel_scope)
            with suppress(OSError, ConnectionClosed, InvalidHandshake, ServerError, EOFError):
                await self._listening()
                if self.url:
                    await self._talk()
            tasks.cancel_scope.cancel()

    async def _leave(self, scope: anyio.CancelScope) -> None:
        """When the server has ended, and does not say so."""
        await self.over.wait()
        # asyncio leaves a socket that it accepted while the port closes to the garbage collection.
        await anyio.sleep(_PATIENCE_S)
        scope.cancel()

    async def assert_kept(self) -> None:
        """What was acknowledged is in the file, which nobody else has open."""
        store = await SqliteStore.open(self._settings.db)
        stored = await store.load(list(self.acknowledged))
        await store.close()
        assert {i: stored[i].sessions for i in self.acknowledged} == self.acknowledged

    async def _listening(self) -> None:
        printed = ""
        while not self.over.is_set():
            printed += self._capsys.readouterr().out
            if (found := _LISTENS.search(printed)) is not None:
                self.url = found[1]
                return
            await anyio.lowlevel.checkpoint()

    async def _talk(self) -> None:
        async with self._connected() as socket:
            for message in self._messages:
                await socket.send(message.decode())
            while len(self.acknowledged) < len(self.everything):
                for line in str(await socket.recv()).split("\n"):
                    message = json.loads(line)
                    if message.get("action") == "known" and message["sessions"]:
                        self.acknowledged[message["id"]] = message["sessions"]
            for request in self._requests:
                await ask(self._settings.db, request)
            if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
                signal.raise_signal(signal.SIGTERM)
            await socket.wait_closed()

    @property
    def _requests(self) -> list[Request]:
        return [ListSessions()]

    @asynccontextmanager
    async def _connected(self, **options: Any) -> AsyncIterator[ClientConnection]:
        async with connect(self.url, ping_interval=None, open_timeout=None, **options) as socket:
            yield socket


class Guest(Visitor):
    """Comes with a token of Clerk's, whose keys are not there yet; later, its session is ended."""

    def __init__(
        self,
        settings: Settings,
        capsys: pytest.CaptureFixture[str],
        clerk: StandIn,
        waits: anyio.Event,
    ) -> None:
        """`waits` is set once the handshake waits for the keys."""
        super().__init__(settings, capsys)
        self._clerk, self._waits = clerk, waits

    async def visit(self) -> None:
        """See `Visitor.visit`."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._bring_keys)
            await super().visit()
            tasks.cancel_scope.cancel()

    @property
    def _requests(self) -> list[Request]:
        return [
            CreateKey("studio"),
            RotateKey("studio", 1.0),
            RevokeKey("studio"),
            EndSessions("sid", "sess_1"),
        ]

    @asynccontextmanager
    async def _connected(self, **options: Any) -> AsyncIterator[ClientConnection]:
        token = {"Authorization": f"Bearer {self._clerk.instance.mint()}"}
        async with super()._connected(additional_headers=token, **options) as socket:
            yield socket

    async def _bring_keys(self) -> None:
        await self._waits.wait()
        self._clerk.behave("ok")


def told_of_waiting(monkeypatch: pytest.MonkeyPatch) -> anyio.Event:
    """An event that is set once a handshake waits for keys."""
    waits = anyio.Event()

    def when_keys(door: Door, go: Callable[[], None]) -> Callable[[], None]:
        waits.set()
        return _when_keys(door, go)

    monkeypatch.setattr(Door, "when_keys", when_keys)
    return waits
