"""One Node process that plays any number of real Jazz clients of one release.

Every call sends one JSON line and waits for its answer (see driver/main.mjs for the two forms); a
failure in a client comes back as `ClientError` with the client's last frames.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.interop.client import Client, ClientError, RawSocket, Worker

HERE = Path(__file__).resolve().parent
MAX_LINE = 64 * 1024 * 1024


class Driver:
    """One Node process; `request` may be called from any number of tasks at once."""

    def __init__(self, release: str, process: anyio.abc.Process) -> None:
        self.release = release
        self.features: dict[str, Any] = {}
        self._process = process
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Answer] = {}
        self._gone = False

    async def request(self, actor: str, command: str, **args: Any) -> Any:
        """Run `command` on `actor`; returns its result or raises `ClientError`."""
        if self._gone or self._process.stdin is None:
            raise ClientError(f"the {self.release} driver process is gone")
        number = next(self._numbers)
        answer = self._pending[number] = _Answer()
        line = json.dumps({"id": number, "actor": actor, "do": command, "args": args})
        await self._process.stdin.send(line.encode() + b"\n")
        try:
            await answer.arrived.wait()
        finally:
            del self._pending[number]
        if answer.error is not None:
            raise ClientError(f"{self.release} {actor}.{command}: {answer.error}")
        return answer.result

    async def client(self, url: str, name: str | None = None, **options: Any) -> Client:
        """A new client, connected to `url`, with an account of its own (or `account=`)."""
        actor = f"{name or 'client'}-{next(self._numbers)}"
        options.setdefault("name", actor)
        opened = await self.request(actor, "open", url=url, **options)
        return Client(self, actor, opened["account"], opened["secret"])

    async def raw(self, url: str) -> RawSocket:
        """A bare websocket to `url`."""
        actor = f"raw-{next(self._numbers)}"
        await self.request(actor, "open_raw", url=url)
        return RawSocket(self, actor)

    async def worker(self, url: str, name: str) -> Worker:
        """A jazz-tools server worker with a new account."""
        actor = f"{name}-{next(self._numbers)}"
        await self.request(actor, "open_worker", url=url, name=name)
        return Worker(self, actor)

    async def close_all(self) -> list[str]:
        """Let every client leave; returns the errors that none of them caught."""
        faults: list[str] = await self.request("driver", "close_all")
        return faults

    async def stop(self) -> None:
        """End the process."""
        self._process.kill()
        await self._process.aclose()

    async def read_answers(self) -> None:
        """Hand each answer to the request that waits for it, until the process ends."""
        assert self._process.stdout is not None
        lines = BufferedByteReceiveStream(self._process.stdout)
        try:
            while True:
                answer = json.loads(await lines.receive_until(b"\n", MAX_LINE))
                self._settle(answer)
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.ClosedResourceError):
            self._gone = True
            for pending in self._pending.values():
                pending.settle(error="the driver process ended")

    def _settle(self, message: dict[str, Any]) -> None:
        pending = self._pending.get(message["id"])
        if pending is None:
            return
        if "error" in message:
            wire = "\n    ".join(message.get("wire", []))
            pending.settle(error=f"{message['error']}\n  last frames:\n    {wire}")
        else:
            pending.settle(result=message["result"])


class _Answer:
    def __init__(self) -> None:
        self.arrived = anyio.Event()
        self.result: Any = None
        self.error: str | None = None

    def settle(self, result: Any = None, error: str | None = None) -> None:
        self.result, self.error = result, error
        self.arrived.set()


async def start_driver(release: str, tasks: anyio.abc.TaskGroup) -> Driver:
    """Start a driver process for `release`; its answers are read by a task in `tasks`."""
    folder = HERE / "clients" / release
    process = await anyio.open_process(
        ["node", str(HERE / "driver" / "main.mjs")], cwd=folder, stderr=None
    )
    driver = Driver(release, process)
    tasks.start_soon(driver.read_answers)
    driver.features = await driver.request("driver", "features")
    return driver
