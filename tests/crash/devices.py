"""The simulation's devices on real websockets: they verify all that they are sent, and come back.

A device writes all along, connected or not, and connects again with the back-off of Jazz's
`WebSocketPeerWithReconnection` (cojson-transport-ws): 500 ms, 1 s, 1.5 s…, from the start again
once something was received.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Final, cast

import anyio
from anyio.abc import TaskGroup
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.signing import Account, CoValue, group, owned_map, set_role, trusting
from tests.simulation.client import Client
from tests.simulation.process import Connection, Process
from tests.simulation.record import Record
from tests.simulation.virtual_loop import VirtualLoop
from tests.simulation.world import World

_BACK_OFF_S: Final = 0.5
_UNACKNOWLEDGED: Final = 60
_MAPS: Final = 3


class Site(World):
    """What devices see of the world, with a real server at `url` in it."""

    def __init__(self, url: str, tasks: TaskGroup, happened: Callable[[], None]) -> None:
        """`happened` is called after each frame that any device received."""
        # Neither a disk nor a process: both are real here, and elsewhere.
        self.url, self._tasks, self.happened = url, tasks, happened
        self.random, self.record = Random(url), Record()
        self.loop = cast(VirtualLoop, asyncio.get_running_loop())
        self.process = cast(Process, self)
        self.alive = True
        self.values: dict[str, CoValue] = {}
        self.forked: set[str] = set()
        self.has_crashed = False
        self.admins: dict[str, dict[str, int]] = {}
        self.parents: dict[str, dict[str, int]] = {}
        self.clients: list[Client] = []
        self._edges: dict[str, set[str]] = {}
        self._ms = 0

    def connection(self, client: Client, process: Process) -> Connection:
        """See `World.connection`."""
        link = Link(client)
        self._tasks.start_soon(link.run, self.url)
        return cast(Connection, link)

    def device(self, name: str) -> Device:
        """A device of an account of its own."""
        account = Account.named(name)
        device = Device(self, name, account)
        self._join(device)
        device.is_online = True
        return device


class Device(Client):
    """One device, on a real connection."""

    world: Site

    def __init__(self, world: Site, name: str, account: Account) -> None:
        super().__init__(world, name, account)
        self._attempts = 0
        self._moved = anyio.Event()
        self.received = 0
        """Frames received over the present connection."""
        self.has_stopped = False

    def found(self) -> CoValue:
        """Make a group and maps in it."""
        self._of(
            group(self.account.id, unique=self.name), set_role(self.account.id, "admin", made_at=1)
        )
        owner = next(reversed(self.held))
        for n in range(_MAPS):
            value = owned_map(owner, unique=f"{self.name} {n}")
            self._of(value, trusting([], made_at=self.world.now()))
        return self.world.values[owner]

    def receive(self, frame: bytes) -> None:
        """See `Client.receive`; pings are for the transport."""
        self.received += 1
        self._attempts = 0
        for line in frame.split(b"\n"):
            if "action" in json.loads(line):
                super().receive(line)
        self._moved.set()
        self.world.happened()

    def lost(self, connection: Connection | None) -> None:
        """See `Client.lost`: come back as Jazz does."""
        if self.connection is connection:
            self.connection = None
            self.received = 0
            self._attempts += 1
            self._moved.set()
            self.world.loop.call_later(_BACK_OFF_S * self._attempts, self.connect)

    async def write_on(self) -> None:
        """Write until stopped, never more ahead of the server than a bound."""
        while not self.has_stopped:
            while self._ahead() > _UNACKNOWLEDGED and not self.has_stopped:
                self._moved = anyio.Event()
                await self._moved.wait()
            maps = [v for v, replica in self.held.items() if not replica.is_group]
            size = self.random.choice((10, 100, 1_000, 30_000))
            change = {"op": "set", "key": "pad", "value": "x" * size}
            self.write(self.random.choice(maps), trusting([change], made_at=self.world.now()))
            await anyio.lowlevel.checkpoint()

    def stop(self) -> None:
        """Write nothing more."""
        self.has_stopped = True
        self._moved.set()

    def is_in_step(self, others: list[Device]) -> bool:
        """Whether all that this device holds is acknowledged, and the others hold the same."""
        return self._ahead() == 0 and all(
            other.held.keys() == self.held.keys()
            and all(other.held[v].counts() == r.counts() for v, r in self.held.items())
            for other in others
        )

    def _of(self, value: CoValue, *transactions: dict[str, object]) -> None:
        self.world.values[value.id] = value
        self.create(value.id, value.header)
        self.write(value.id, *transactions)

    def _ahead(self) -> int:
        """Transactions of its own that the server has not acknowledged."""
        return sum(
            len(replica.logs[session]) - self.acked.get((value, session), 0)
            for value, replica in self.held.items()
            for session in self._written.get(value, ())
        )


class Link:
    """A websocket in the place of a simulated connection."""

    def __init__(self, device: Client) -> None:
        self._device = device
        self._frames: list[bytes] = []
        self._waiting = anyio.Event()
        self.up = self

    def push(self, frame: bytes) -> None:
        """Send a frame, once the socket is there."""
        self._frames.append(frame)
        self._waiting.set()

    async def run(self, url: str) -> None:
        """Connect, carry frames until the end, and say so."""
        try:
            async with (
                connect(url, max_size=None, ping_interval=None, compression=None) as socket,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(self._send, socket)
                await self._receive(socket)
                tasks.cancel_scope.cancel()
        except (OSError, InvalidHandshake, TimeoutError):
            pass
        self._device.lost(cast(Connection, self))

    async def _receive(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                frame = str(await socket.recv())
                if self._device.connection is cast(Connection, self):
                    self._device.receive(frame.encode())

    async def _send(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                await self._waiting.wait()
                self._waiting = anyio.Event()
                frames, self._frames = self._frames, []
                for frame in frames:
                    await socket.send(frame.decode())
