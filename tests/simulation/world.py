"""The world of one run: the disk, the server's lives, the devices, and what everybody can know."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from functools import cache
from random import Random
from typing import TypeVar

from tests.signing import Account, CoValue
from tests.simulation.client import Client
from tests.simulation.disk import Disk
from tests.simulation.faulty import Faulty
from tests.simulation.knobs import Knobs
from tests.simulation.process import Connection, Process
from tests.simulation.record import Record
from tests.simulation.virtual_loop import VirtualLoop

T = TypeVar("T")

_account = cache(Account.named)
_EPOCH_MS = 1_700_000_000_000


class World:
    """Everything there is in a run. `random` decides what the plan left open."""

    def __init__(self, knobs: Knobs, loop: VirtualLoop, random: Random, record: Record) -> None:
        self.knobs, self.loop, self.random, self.record = knobs, loop, random, record
        self.values: dict[str, CoValue] = {}
        """Every value that anybody ever made."""
        self.forked: set[str] = set()
        """Sessions that their author signed twice."""
        self.has_crashed = False
        """Whether the server ever lost what it had relayed: who forks may then be believed anew."""
        self.admins: dict[str, dict[str, int]] = {}
        """By group: who is an admin, since when."""
        self.parents: dict[str, dict[str, int]] = {}
        """By group: which groups it extends, since when."""
        self._ms = 0
        self._connections = 0
        self.disk = Disk(record, self.may_delete)
        self.process = Process(loop, random, knobs, self.disk, record)
        self._restarts: set[asyncio.Task[None]] = set()
        self.clients: list[Client] = []
        accounts = [_account(f"simulated {n}") for n in range(knobs.accounts)]
        for n in range(knobs.honest):
            account = accounts[n % len(accounts)]
            self._join(Client(self, f"device{n}", account))
        for n in range(knobs.faulty):
            self._join(Faulty(self, f"mallory{n}", _account(f"mallory {n}")))

    @property
    def honest(self) -> list[Client]:
        """The devices that keep to the protocol."""
        return [client for client in self.clients if client.is_honest]

    def connection(self, client: Client, process: Process) -> Connection:
        """A new connection of a client to the process."""
        self._connections += 1
        box: list[Connection] = []

        def receive(frame: bytes) -> None:
            if client.connection is box[0]:
                client.receive(frame)

        connection = Connection(
            process,
            f"{client.name}/{self._connections}",
            receive,
            lambda: client.lost(box[0]),
            is_watched=client.is_honest,
        )
        box.append(connection)
        return connection

    def now(self) -> int:
        """A `madeAt` in ms that nobody has used."""
        self._ms = max(self._ms + 1, _EPOCH_MS + int(self.loop.time() * 1_000))
        return self._ms

    def pick(self, among: Collection[T] | Mapping[T, object], dice: int) -> T | None:
        """One of several, as the dice say."""
        chosen = list(among)
        return chosen[dice % len(chosen)] if chosen else None

    def may_delete(self, identifier: str, author: str, at: int) -> bool:
        """Whether the author is an admin of the value's group at that time."""
        value = self.values.get(identifier)
        owner = None if value is None else value.header["ruleset"].get("group")
        return owner is not None and self.is_admin(owner, author, at, set())

    def is_admin(self, group: str, account: str, at: int, seen: set[str]) -> bool:
        """Whether the account is an admin of the group, or of one that it extends."""
        if group in seen:
            return False
        seen.add(group)
        if self.admins.get(group, {}).get(account, at + 1) <= at:
            return True
        parents = self.parents.get(group, {})
        return any(self.is_admin(p, account, at, seen) for p, t in parents.items() if t <= at)

    def restart(self, kind: str, pause_s: float) -> None:
        """End the server in one of three ways, and start another one after a pause."""
        if self.process.alive and not self._restarts:
            task = self.loop.create_task(self._restart(kind, pause_s))
            self._restarts.add(task)
            task.add_done_callback(self._restarts.discard)

    async def settled(self) -> None:
        """Wait until no restart is under way."""
        while self._restarts:
            await asyncio.wait(set(self._restarts))

    async def end(self) -> None:
        """Stop everything."""
        await self.settled()
        await self.process.kill(losing=True)

    async def _restart(self, kind: str, pause_s: float) -> None:
        self.record.note("server", f"ends: {kind}")
        if kind == "drain":
            await self.process.drain()
        else:
            self.has_crashed = True
            await self.process.kill(losing=kind == "power")
        await asyncio.sleep(pause_s)
        self.record.note("server", "starts")
        await self._start()
        while not self.process.alive:
            # It was ended while it started.
            await self.process.kill(losing=True)
            await self._start()

    async def _start(self) -> None:
        self.process = Process(self.loop, self.random, self.knobs, self.disk, self.record)
        await self.process.start()

    def _join(self, client: Client) -> None:
        account = client.account
        self.clients.append(client)
        self.record.name(account.id, f"account of {client.name}")
        self.values[account.id] = account
        log = account.agent.session()
        run = log.append(
            {
                "privacy": "trusting",
                "madeAt": 1,
                "changes": f'[{{"op":"set","key":"{account.agent.id}","value":"admin"}}]',
            }
        )
        # A second device has logged in before: it holds what the first one made.
        replica = client.create(account.id, account.header)
        signer = account.agent.id.partition("/")[2]
        assert replica.log(log.id).accept(tuple(run.texts), run.signature, signer)
