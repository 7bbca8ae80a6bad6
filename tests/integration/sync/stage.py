"""A node without sockets: clients hand it frames and read what it puts into their outboxes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio

from protocol.content import Chunk
from server.errors import StoreUnavailable
from server.limits import Limits
from server.node import Node
from server.outbox import Outbox
from server.peer import Peer
from server.store import Change, Loaded, Range, Store
from server.store.memory import MemoryStore
from tests.signing import Account, CoValue, Run, content, group, owned_map, set_role

Message = dict[str, Any]

LIMITS = Limits(
    memory_bytes=64 * 1024 * 1024,
    outbox_bytes=1024 * 1024,
    held_bytes=4 * 1024 * 1024,
    total_held_bytes=16 * 1024 * 1024,
    parked_bytes=1024 * 1024,
    parked_s=60.0,
)


class Client:
    """One peer of the node, as a test sees it."""

    def __init__(self, node: Node, name: str) -> None:
        self._node = node
        self._arrived = anyio.Event()
        self._messages: list[Message] = []
        self.reading = True
        """Whether the client takes what is sent to it."""
        self.allowed = True
        """Whether the node reads from this client."""
        self.closed_with: int | None = None
        self.peer = Peer(
            name, Outbox(node.limits.outbox_bytes, self._ready), self._set_reading, self._closed
        )
        node.connect(self.peer)

    def send(self, *messages: bytes | Message) -> None:
        """Send messages in one frame."""
        texts = [m if isinstance(m, bytes) else json.dumps(m).encode() for m in messages]
        self._node.receive(self.peer, [b"\n".join(texts)])

    def load(self, value: str, sessions: Mapping[str, int] | None = None) -> None:
        """Ask for a CoValue. `sessions` is what is held; `None` means nothing at all."""
        self.send(
            {"action": "load", "id": value, "header": sessions is not None}
            | {"sessions": dict(sessions or {})}
        )

    def known(
        self, value: str, sessions: Mapping[str, int], *, header: bool = True, **more: Any
    ) -> None:
        """Say what is held."""
        self.send(
            {"action": "known", "id": value, "header": header, "sessions": dict(sessions)} | more
        )

    async def next(self) -> Message:
        """The next message that the node sends."""
        with anyio.fail_after(20):
            while not self._messages:
                self._arrived = anyio.Event()
                await self._arrived.wait()
        return self._messages.pop(0)

    async def take(self, count: int) -> list[Message]:
        """The next messages."""
        return [await self.next() for _ in range(count)]

    async def nothing(self) -> None:
        """Assert that nothing more comes: everything under way has come to rest."""
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        await self._node.journal.settled(self._node.journal.appended)
        # An answer to something of our own would come after whatever is still under way.
        probe = "co_z" + "1" * 19
        self.load(probe)
        assert await self.next() == {
            "action": "known",
            "id": probe,
            "header": False,
            "sessions": {},
        }

    async def upload(self, *messages: bytes) -> list[Message]:
        """Send content and wait for one answer to each CoValue of it."""
        ids = {json.loads(message)["id"] for message in messages}
        self.send(*messages)
        return await self.take(len(ids))

    def resume(self) -> None:
        """Read again."""
        self.reading = True
        self._drain()

    def leave(self) -> None:
        """Disconnect."""
        self._node.disconnect(self.peer)

    def _ready(self) -> None:
        if self.reading:
            asyncio.get_running_loop().call_soon(self._drain)

    def _drain(self) -> None:
        while self.reading and (frame := self.peer.outbox.take()) is not None:
            self._messages += [json.loads(line) for line in frame.split(b"\n")]
        self._arrived.set()
        if not self.peer.outbox.is_full:
            self._node.catch_up(self.peer)

    def _set_reading(self, reading: bool) -> None:
        self.allowed = reading

    def _closed(self, code: int, reason: str) -> None:
        self.closed_with = code


class GatedStore:
    """A store whose commits wait at a gate, or fail for a while."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.gate = anyio.Event()
        self.gate.set()
        self.waiting = anyio.Event()
        """Set once a commit waits at the closed gate."""
        self.failing = False
        self.commits = 0

    def shut(self) -> None:
        """Let commits wait from now on."""
        self.gate = anyio.Event()
        self.waiting = anyio.Event()

    async def load(self, ids: Collection[str]) -> Loaded:
        """See `Store.load`."""
        return await self._store.load(ids)

    async def read(self, ranges: Sequence[Range], limit: int) -> list[tuple[Range, Chunk]]:
        """See `Store.read`."""
        return await self._store.read(ranges, limit)

    async def commit(self, changes: Sequence[Change]) -> list[bool]:
        """See `Store.commit`."""
        self.commits += 1
        self.waiting.set()
        await self.gate.wait()
        if self.failing:
            raise StoreUnavailable("disk full")
        return await self._store.commit(changes)

    async def close(self) -> None:
        """See `Store.close`."""
        await self._store.close()


class Stage:
    """A running node and its clients."""

    def __init__(self, store: Store, limits: Limits) -> None:
        loop = asyncio.get_running_loop()
        self.store = store
        self.node = Node(store, limits, clock=loop.time, call_soon=loop.call_soon)
        self._count = 0

    def client(self) -> Client:
        """A new connection."""
        self._count += 1
        return Client(self.node, str(self._count))


@asynccontextmanager
async def stage(store: Store | None = None, limits: Limits = LIMITS) -> AsyncIterator[Stage]:
    """A node that runs inside the context."""
    running = Stage(store or MemoryStore(), limits)
    async with anyio.create_task_group() as tasks:
        await tasks.start(running.node.run)
        yield running
        tasks.cancel_scope.cancel()


class Band:
    """An account, a group that it administers and a map of the group, ready to be uploaded."""

    def __init__(self, name: str = "alice") -> None:
        self.account = Account.named(name)
        self.group = group(self.account.id, unique=f"band of {name}")
        self.map = owned_map(self.group.id, unique=f"map of {name}")
        self.account_session = self.account.agent.session()
        self.session = self.account.session()
        self.group_session = self.account.session()

    def first(self) -> list[bytes]:
        """The content that makes account, group and map known, dependencies first."""
        own = self.account_session.append(set_role(self.account.agent.id, "admin", made_at=1))
        members = self.group_session.append(set_role(self.account.id, "admin", made_at=2))
        return [
            content(self.account, {self.account_session.id: own}, with_header=True),
            content(self.group, {self.group_session.id: members}, with_header=True),
            self.edit("first", with_header=True),
        ]

    def edit(self, value: object, *, with_header: bool = False) -> bytes:
        """The next edit of the map."""
        return content(self.map, {self.session.id: self.run(value)}, with_header=with_header)

    def run(self, *values: object) -> Run:
        """The next transactions of the map."""
        return self.session.append(*[edit(value) for value in values])


async def edit_from_devices(client: Client, band: Band, count: int) -> dict[str, int]:
    """Upload one edit of the map from each of so many devices. Returns what is held then."""
    held = {band.session.id: band.session.count}
    for number in range(count):
        own = band.account.session(f"device {number}")
        client.send(content(band.map, {own.id: own.append(edit(number))}))
        held[own.id] = 1
    while (await client.next())["sessions"] != held:
        pass
    return held


def edit(value: object) -> Message:
    """A trusting transaction that sets one key of a map."""
    changes = json.dumps([{"op": "set", "key": "k", "value": value}])
    return {"privacy": "trusting", "madeAt": 3, "changes": changes}


def known(value: CoValue, sessions: Mapping[str, int], **more: Any) -> Message:
    """A `known` as the node sends it."""
    return {"action": "known", "id": value.id, "header": True, "sessions": dict(sessions)} | more
