"""A headless Chromium, spoken to in its DevTools protocol.

In: pages to open, JavaScript to run in them. Out: what it evaluates to, as JSON values, and all
that the page wrote to its console.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
from contextlib import asynccontextmanager
from subprocess import DEVNULL, PIPE
from typing import TYPE_CHECKING, Any

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-first-run",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",  # containers have a small /dev/shm
    "--remote-debugging-port=0",
)
LISTENING = re.compile(rb"DevTools listening on (ws://\S+)")
PATIENCE_S = 30


class PageError(Exception):
    """JavaScript in a page threw; the text is the exception's."""


def find_chromium() -> str | None:
    """The browser's path, or None when this machine has none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """A running browser. `answers` must run in a task of its own while it is used."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._pending: dict[int, tuple[anyio.Event, dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}

    async def open_device(self, url: str) -> Page:
        """Load a page with storage of its own, as on another device."""
        made = await self.send("Target.createBrowserContext")
        target = await self.send(
            "Target.createTarget", url="about:blank", browserContextId=made["browserContextId"]
        )
        attached = await self.send(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        page = self._pages[attached["sessionId"]] = Page(self, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log"):
            await page.send(f"{domain}.enable")
        await page.send("Page.navigate", url=url)
        with anyio.fail_after(PATIENCE_S):
            await page.loaded.wait()
        return page

    async def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Run a DevTools command; returns its result."""
        number = next(self._numbers)
        answered, answer = self._pending[number] = anyio.Event(), {}
        message = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        await self._socket.send(json.dumps(message))
        with anyio.fail_after(PATIENCE_S):
            await answered.wait()
        if "error" in answer:
            raise PageError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def answers(self) -> None:
        """Hand out what the browser says, until it ends."""
        try:
            async for text in self._socket:
                message = json.loads(text)
                if "id" in message:
                    answered, answer = self._pending.pop(message["id"])
                    answer.update(message)
                    answered.set()
                elif page := self._pages.get(message.get("sessionId", "")):
                    page.happened(message["method"], message["params"])
        except ConnectionClosed:
            return


class Page:
    """One page, in storage of its own."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self.loaded = anyio.Event()
        self.console: list[str] = []
        """What scripts and the browser itself wrote there, errors included."""
        self._browser = browser
        self._session = session

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Run a DevTools command in this page."""
        return await self._browser.send(method, self._session, **params)

    async def evaluate(self, script: str) -> Any:
        """The JSON value of an expression, awaited if it is a promise. Raises `PageError`."""
        done = await self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in done:
            thrown = done["exceptionDetails"]
            shown = thrown.get("exception", {}).get("description", thrown["text"])
            raise PageError(f"{shown}\nconsole:\n" + "\n".join(self.console[-20:]))
        return done["result"].get("value")

    async def call(self, function: str, *arguments: Any) -> Any:
        """Call a function of the page with JSON values."""
        return await self.evaluate(f"{function}({', '.join(map(json.dumps, arguments))})")

    def happened(self, event: str, params: dict[str, Any]) -> None:
        """Take in an event of the page."""
        if event == "Page.loadEventFired":
            self.loaded.set()
        elif event in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.console.append(json.dumps(params))


@asynccontextmanager
async def running(path: str, profile: Path) -> AsyncIterator[Chromium]:
    """Run the browser at `path` with an empty profile folder while the block lasts."""
    flags = [*FLAGS, f"--user-data-dir={profile}"]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")  # it has none for root, who runs CI
    process = await anyio.open_process([path, *flags], stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE)
    try:
        async with anyio.create_task_group() as tasks:
            assert process.stderr is not None
            lines = BufferedByteReceiveStream(process.stderr)
            with anyio.fail_after(PATIENCE_S):
                while not (found := LISTENING.search(await lines.receive_until(b"\n", 65536))):
                    pass
            tasks.start_soon(_drain, lines)
            async with connect(found[1].decode(), max_size=None) as socket:
                browser = Chromium(socket)
                tasks.start_soon(browser.answers)
                yield browser
                await browser.send("Browser.close")
            tasks.cancel_scope.cancel()
    finally:
        with anyio.move_on_after(5):
            await process.wait()
        if process.returncode is None:
            process.kill()
        await process.aclose()


async def _drain(lines: BufferedByteReceiveStream) -> None:
    # A browser whose words nobody reads would block once the pipe is full.
    try:
        while True:
            await lines.receive()
    except (anyio.EndOfStream, anyio.ClosedResourceError):
        return
