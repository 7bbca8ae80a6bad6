"""A server in this process, over the shim, so that its disk may fall ill and recover."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio

from server.config import Settings
from server.gateway import Gateway, listening
from server.node import Node
from server.store.sqlite import SqliteStore
from tests.crash.shim import Kind, Shim
from tests.integration.operations.talk import request

_DEADLINE_S: Final = 20


class Illness:
    """What ails the disk. It is the shim's `Fault`."""

    def __init__(self, codes: Mapping[Kind, int], bad: int | None) -> None:
        self._codes = codes
        self._bad = bad
        self._loop = asyncio.get_running_loop()
        self._healed = threading.Event()
        self.struck = anyio.Event()
        """Set when the disk has refused something, or keeps somebody waiting."""

    def __call__(self, kind: Kind, name: str, where: range) -> int:
        """In a thread of the store's: refuse, or wait for the recovery where the code is 0."""
        if self._healed.is_set() or kind not in self._codes:
            return 0
        if self._bad is not None and self._bad not in where:
            return 0
        self._loop.call_soon_threadsafe(self.struck.set)
        code = self._codes[kind]
        if code == 0:
            assert self._healed.wait(_DEADLINE_S)
        return code

    def heal(self) -> None:
        """Let everything go on."""
        self._healed.set()


@contextmanager
def sick(shim: Shim, codes: Mapping[Kind, int], *, bad: int | None = None) -> Iterator[Illness]:
    """The disk answers operations with codes, or only those that concern one bad byte.

    Where the code is 0, the operation waits for the end of the context.
    """
    illness = Illness(codes, bad)
    shim.fault = illness
    try:
        yield illness
    finally:
        illness.heal()
        shim.fault = None


@dataclass
class Here:
    """A server of this process."""

    node: Node
    gateway: Gateway
    port: int

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"ws://127.0.0.1:{self.port}"

    async def ready(self) -> str:
        """What `/ready` says; the status must fit it."""
        status, body = await request(self.port, "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status.split()[1] == ("200" if body == "ready\n" else "503")
        return body.strip()

    async def becomes(self, ready: str) -> None:
        """Wait until `/ready` says so."""
        with anyio.fail_after(_DEADLINE_S):
            while await self.ready() != ready:  # noqa: ASYNC110
                await anyio.sleep(0.02)


@asynccontextmanager
async def serving_here(file: Path, **settings: Any) -> AsyncIterator[Here]:
    """A server with a database, on a free port."""
    chosen = Settings(port=0, **settings)
    loop = asyncio.get_running_loop()
    store = await SqliteStore.open(str(file))
    try:
        node = Node(store, chosen.limits(), clock=loop.time, call_soon=loop.call_soon)
        gateway = Gateway(node, chosen, dict)
        async with anyio.create_task_group() as tasks:
            await tasks.start(node.run)
            async with listening(gateway) as (_, port):
                tasks.start_soon(gateway.ping_all)
                yield Here(node, gateway, port)
            await gateway.close_all(1001, "end of test", 2)
            tasks.cancel_scope.cancel()
    finally:
        await store.close()
