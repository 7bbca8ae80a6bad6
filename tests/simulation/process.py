"""The server process: a node on a store, its connections, and the ways in which it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from random import Random

import anyio
import anyio.abc

from server.node import Node
from server.outbox import Lane, Outbox, Outboxes
from server.peer import Peer
from tests.simulation.disk import Disk, SimulatedStore
from tests.simulation.knobs import Knobs
from tests.simulation.network import Wire
from tests.simulation.record import Record
from tests.simulation.virtual_loop import VirtualLoop

_MEMBER_BYTES = 100
_SLACK = 16 * 1024
_SHARES = 128


class Connection:
    """One client's connection, as the process has it: what `server.connection` does, less bytes."""

    def __init__(
        self,
        process: Process,
        name: str,
        receive: Callable[[bytes], None],
        lost: Callable[[], None],
        *,
        is_watched: bool,
    ) -> None:
        self._process = process
        self._lost = lost
        loop, random, knobs = process.loop, process.random, process.knobs
        self._window = knobs.window
        self.name = name
        self.is_open = True
        self.heaviest = 0
        """About what the frame that takes most in memory, once it is decoded, takes in bytes."""
        self.largest = 0
        """Bytes of the largest frame that came, and of the largest message that went."""
        self.up = Wire(loop, random, knobs.latency_s, self._receive, repeats=knobs.repeats)
        self.down = Wire(loop, random, knobs.latency_s, receive, self._flush)
        self._is_watched = is_watched
        outbox = WatchedOutbox(self)
        self.peer = Peer(name, outbox, self.up.read, self._close)
        process.connections.append(self)
        process.node.connect(self.peer)

    def watch(self, message: bytes) -> None:
        """A message is on its way to the client."""
        self.largest = max(self.largest, len(message))
        if self._is_watched:
            self._process.watch(self, message)

    def lose(self, arriving: float, later: float) -> None:
        """The client's side is gone: some of what it sent still arrives, then this one learns."""
        self.down.cut(0.0)
        self.up.cut(arriving)
        self._process.loop.call_later(later, self.leave)

    def leave(self) -> None:
        """The connection is over for the process."""
        if self.is_open:
            self.is_open = False
            self.up.cut(0.0)
            self._process.connections.remove(self)
            self._process.record.moved("server", f"{self.name} left")
            self._process.node.disconnect(self.peer)

    def vanish(self, arriving: float) -> None:
        """The process is over for the connection."""
        self.is_open = False
        self.up.cut(0.0)
        self.down.cut(arriving)
        later = self._process.knobs.latency_s * 2
        self._process.loop.call_later(later, self._lost)

    def flush_all(self) -> None:
        """Write all that waits, before a clean end."""
        while (frame := self.peer.outbox.take()) is not None:
            self.down.push(frame)

    def ready(self) -> None:
        """Messages wait in the outbox."""
        self._process.call_soon(self._flush)

    def _receive(self, frame: bytes) -> None:
        if self.is_open:
            self._process.record.moved(f"{self.name} >", frame)
            self.largest = max(self.largest, len(frame))
            self.heaviest = max(self.heaviest, len(frame) + _MEMBER_BYTES * frame.count(b'":'))
            self._process.node.receive(self.peer, [frame])
            self._process.check_bounds(self)

    def _flush(self) -> None:
        if not self.is_open:
            return
        while self.down.size < self._window and (frame := self.peer.outbox.take()) is not None:
            self.down.push(frame)
        if not self.peer.outbox.is_full:
            self._process.node.catch_up(self.peer)

    def _close(self, code: int, reason: str) -> None:
        if not self.is_open:
            return
        self._process.record.moved("server", f"closes {self.name}: {code} {reason}")
        if code in (1011, 1012):
            self._process.record.breach("no faults", f"{self.name} closed with {code} {reason}")
        self.flush_all()
        self._process.loop.call_soon(self._leave_and_lose)

    def _leave_and_lose(self) -> None:
        self.leave()
        self.vanish(1.0)


class WatchedOutbox(Outbox):
    """An outbox that shows what is put in."""

    def __init__(self, connection: Connection) -> None:
        process = connection._process
        super().__init__(process.knobs.outbox, connection.ready, process.outboxes)
        self._connection = connection

    def put(self, lane: Lane, message: bytes) -> None:
        """See `Outbox.put`."""
        super().put(lane, message)
        self._connection.watch(message)


class Process:
    """One life of the server."""

    def __init__(
        self, loop: VirtualLoop, random: Random, knobs: Knobs, disk: Disk, record: Record
    ) -> None:
        self.loop, self.random, self.knobs, self.record = loop, random, knobs, record
        self._disk = disk
        self.store = SimulatedStore(disk, loop, random, knobs)
        self.node = Node(self.store, knobs.limits, clock=self._clock, call_soon=self.call_soon)
        self.connections: list[Connection] = []
        self.outboxes = Outboxes(knobs.outbox * _SHARES)
        self.alive = True
        self._settled = asyncio.Event()
        self._started = asyncio.Event()
        self._task = loop.create_task(self._run())

    async def start(self) -> None:
        """Wait until it takes connections, or has ended before."""
        await self._started.wait()

    async def kill(self, *, losing: bool) -> None:
        """End it between two instructions. `losing`: what was being written is lost."""
        if self.alive:
            self.strike(losing=losing)
        await asyncio.wait([self._task])

    def strike(self, *, losing: bool) -> None:
        """End it right now, and leave it to `kill` to wait for what becomes of it."""
        self._end(losing=losing, arriving=lambda: self.random.random())
        self._task.cancel()

    async def drain(self) -> None:
        """End it as the service does: make durable what arrived, say so, close."""
        for connection in self.connections:
            connection.up.read(False)
        self.node.drain()
        try:
            with anyio.fail_after(8.0):
                await self._settled.wait()
        except TimeoutError:
            self.record.note("server", "could not write in time")
        for connection in list(self.connections):
            connection.flush_all()
        self._end(losing=False, arriving=lambda: 1.0)
        self._task.cancel()
        await asyncio.wait([self._task])

    def call_soon(self, callback: Callable[[], None]) -> object:
        """Run something in the next round, if the process still lives then."""
        return self.loop.call_soon(lambda: callback() if self.alive else None)

    def watch(self, connection: Connection, message: bytes) -> None:
        """Check what is put into an outbox: acknowledgements are durable."""
        if not self.alive or not message.startswith(b'{"action":"known"'):
            return
        known = json.loads(message)
        value = self._disk.values.get(known["id"])
        if known["header"] and value is None:
            self.record.breach("acknowledged is durable", f"header of {known['id']}")
        for session, count in known["sessions"].items():
            if value is not None and value.deleted:
                continue  # As in Jazz: whatever the client claims is confirmed.
            held = self._disk.count(known["id"], session)
            if count > held:
                what = f"{known['id']} {session}: {count}, on disk {held}, to {connection.name}"
                self.record.breach("acknowledged is durable", what)

    def check_bounds(self, connection: Connection) -> None:
        """Check what the node keeps of one peer against its limits."""
        peer, knobs = connection.peer, self.knobs
        # All that is in hand may be answered at once, each load with a larger `known`.
        if peer.outbox.size > knobs.outbox + 3 * knobs.held + 2 * connection.largest + _SLACK:
            self._exceeded(peer, "outbox", peer.outbox.size)
        if peer.parked_bytes > knobs.parked:
            self._exceeded(peer, "parked", peer.parked_bytes)
        if peer.held_bytes > knobs.held + connection.heaviest:
            self._exceeded(peer, "held", peer.held_bytes)

    def _exceeded(self, peer: Peer, what: str, size: int) -> None:
        if not any("memory is bounded" in broken for broken in self.record.broken):
            self.record.breach("memory is bounded", f"{what} of {peer.name}: {size} bytes")

    async def _run(self) -> None:
        async def run_node(*, task_status: anyio.abc.TaskStatus[None]) -> None:
            await self.node.run(task_status=task_status)
            self._settled.set()

        try:
            async with anyio.create_task_group() as tasks:
                await tasks.start(run_node)
                self._started.set()
        finally:
            self._started.set()

    def _end(self, *, losing: bool, arriving: Callable[[], float]) -> None:
        self.alive = False
        self.store.die(losing=losing)
        for connection in list(self.connections):
            connection.vanish(arriving())
        self.connections.clear()

    def _clock(self) -> float:
        if self.knobs.thinking_s:
            self.loop.spend(self.knobs.thinking_s * self.random.random())
        return self.loop.time()
