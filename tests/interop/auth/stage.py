"""Devices, workers and the door of these tests, seen from Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from tests.interop.client import Worker
from tests.interop.driver_process import HERE as INTEROP
from tests.interop.driver_process import Driver

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from tests.interop.auth.frontend import Frontend

HERE = Path(__file__).resolve().parent
PATIENCE_S = 20


class Actor(Worker):
    """What devices and workers share: notes (see `Worker`), and a network that may fail."""

    async def _do(self, command: str, **args: Any) -> Any:
        # A client that is never let in would wait for ever.
        try:
            with anyio.fail_after(PATIENCE_S):
                return await super()._do(command, **args)
        except TimeoutError:
            raise AssertionError(f"{self.actor}.{command} does not end") from None

    async def network_fails(self) -> None:
        """Cut the connection; no other is made from now on."""
        await self._do("network_fails")

    async def network_returns(self) -> None:
        """Connections can be made again; the client comes back by itself."""
        await self._do("network_returns")

    async def edit_offline(self, note: str, text: str, tag: str) -> None:
        """As `edit_note`, but does not wait for a server."""
        await self._do("edit_offline", id=note, text=text, tag=tag)

    async def wait_tags(self, note: str, *tags: str) -> None:
        """Wait until the note has exactly these tags, in any order."""
        await self._do("wait_tags", id=note, tags=tags)

    async def connected(self) -> None:
        """Wait until the server has spoken."""
        await self._do("connected")

    async def printed(self) -> str:
        """All that the client has printed."""
        return "\n".join(await self._do("printed"))


class Device(Actor):
    """One device of a user: a jazz-tools app with `JazzClerkAuth` and the helper."""

    async def sign_in(self, user: User, sid: str) -> str:
        """Sign in with Clerk, and Jazz after it; returns the Jazz account.

        The first sign-in of a user leaves the account's keys in `user.metadata`.
        """
        shown = {"id": user.id, "unsafeMetadata": user.metadata}
        signed_in = await self._do("sign_in", user=shown, sid=sid)
        user.metadata = signed_in["metadata"]
        account: str = signed_in["account"]
        return account

    async def renew(self, sid: str) -> None:
        """Sign in again: Clerk gives another session, Jazz never noticed."""
        await self._do("renew", sid=sid)

    async def refused(self) -> None:
        """Wait until a connection is refused."""
        await self._do("refused")


@dataclass
class User:
    """A user as Clerk's database has them."""

    id: str
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class Stage:
    """Makes the clients of one test."""

    release: str
    url: str
    """Of the enforcing server."""
    worker_key: str
    frontend: Frontend
    tasks: TaskGroup
    drivers: list[Driver] = field(default_factory=list)

    async def device(self) -> Device:
        """An app that has just been started, signed out."""
        driver = await self._start()
        await driver.request("device", "open_device", url=self.url, frontend=self.frontend.url)
        return Device(driver, "device")

    async def worker(self) -> Actor:
        """A server worker with the worker key, its account new."""
        driver = await self._start()
        await driver.request("worker", "open_keyed", url=self.url, key=self.worker_key, name="w")
        return Actor(driver, "worker")

    async def _start(self) -> Driver:
        folder = INTEROP / "clients" / self.release
        process = await anyio.open_process(
            ["node", str(HERE / "main.mjs")], cwd=folder, stderr=None
        )
        driver = Driver(self.release, process)
        self.drivers.append(driver)
        self.tasks.start_soon(driver.read_answers)
        return driver
