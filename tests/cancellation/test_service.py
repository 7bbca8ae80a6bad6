"""The whole server, over real sockets and a real file, is cancelled wherever it waits.

From the start on, through a connection, an upload, a question on the control socket and the stop:
afterwards nothing is left, neither of tasks nor of sockets nor of locks, and what was acknowledged
is stored.
"""

from __future__ import annotations

import gc
import json
import os
import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio
import anyio.lowlevel
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from server.config import Settings
from server.control.messages import ListSessions
from server.control.socket import ask, socket_path
from server.errors import ServerError
from server.service import serve
from server.store.sqlite import SqliteStore
from tests.cancellation.cancelling import cancelled
from tests.integration.sync.stage import Band

pytestmark = pytest.mark.anyio

_MOST: Final = 400
_OPENING_S: Final = 1.0
_LISTENS: Final = re.compile(r"(ws://\S+)")


# asyncio loses a socket that it accepted if its server is closed before there is a transport.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
async def test_nothing_is_left_wherever_the_server_is_cancelled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = 0
    while True:
        settings = Settings(port=0, db=str(tmp_path / f"{at}.db"))
        visitor = Visitor(settings, capsys)

        async def work(settings: Settings = settings, visitor: Visitor = visitor) -> None:
            try:
                await serve(settings)
            finally:
                visitor.over.set()

        reached = await cancelled(at, work, visitor.visit)
        assert not os.path.exists(socket_path(settings.db)), f"at {at}"  # noqa: ASYNC240
        await visitor.assert_kept()
        if visitor.url:
            with pytest.raises(OSError):
                await connect(visitor.url)
        if not reached:
            break
        at += 1
        assert at < _MOST
    assert visitor.acknowledged.keys() == visitor.everything
    assert at > 20
    gc.collect()


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
        with suppress(OSError, ConnectionClosed, InvalidHandshake, ServerError, EOFError):
            await self._listening()
            if self.url:
                await self._talk()

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
        # asyncio leaves a socket that it accepts while the port closes to the garbage collection.
        async with connect(self.url, ping_interval=None, open_timeout=_OPENING_S) as socket:
            for message in self._messages:
                await socket.send(message.decode())
            while len(self.acknowledged) < len(self.everything):
                for line in str(await socket.recv()).split("\n"):
                    message = json.loads(line)
                    if message.get("action") == "known" and message["sessions"]:
                        self.acknowledged[message["id"]] = message["sessions"]
            await ask(self._settings.db, ListSessions())
            if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
                signal.raise_signal(signal.SIGTERM)
            await socket.wait_closed()
