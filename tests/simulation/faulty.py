"""A device that does everything that the server must not fall for.

It speaks the protocol well enough to be listened to, and then forges, replays, leaves gaps, signs
two histories, refers to what never comes, lies about what it holds and sends what is no message.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

from tests.signing import (
    Account,
    Session,
    content,
    deletion,
    group,
    owned_map,
    session_id,
    set_role,
    trusting,
)
from tests.simulation.client import Client
from tests.simulation.replica import Json

if TYPE_CHECKING:
    from tests.simulation.world import World

_JUNK = (
    b"",
    b"\n\n",
    b'"x"',
    b"42",
    b"[]",
    b"{}",
    b"\xff\xfe",
    b'{"action":"content","id":"co_z1"}',
    b'{"action":"load","id":"co_zzz","header":false,"sessions":{}}',
    b'{"action":"load","id":5,"header":false,"sessions":{}}',
    b'{"action":"known","id":"co_z1","header":true,"sessions":[]}',
    b'{"action":"reconcile","id":"b","values":[["co_z1","x"]]}',
    b'{"action":"dance"}',
    b"[" * 5_000,
)


class Faulty(Client):
    """Mallory. What is wrong with what it is sent, it does not mind."""

    is_honest = False

    def __init__(self, world: World, name: str, account: Account) -> None:
        super().__init__(world, name, account)
        self._count = 0
        self._forks: dict[str, tuple[Session, Session]] = {}

    def forge(self, value: str, session: str, dice: int, after: int | None = None) -> None:
        """Content for somebody else's session that this device signs, or nobody."""
        if after is None:
            after = self.world.disk.count(value, session) + dice % 2
        own = Session(session, self.account.agent)
        own.count = after
        run = own.append(self._transaction(dice))
        if dice % 3 == 0:
            run = run.with_flipped_signature()
        self._content(value, {session: run.content()}, with_header=dice % 5 == 0)

    def rewrite(self, value: str, session: str, kind: str, dice: int) -> None:
        """An honest run, sent again whole, without its last transaction, or elsewhere."""
        replica = self.held.get(value)
        if replica is None or not (texts := replica.log(session).texts):
            return
        count = len(texts) if kind != "truncate" else len(texts) - 1
        start = dice % len(texts)
        target = value
        if kind == "transplant":
            target = self.world.pick(self.world.values, dice >> 8) or value
            if self._may_be_written(target, session):
                target = value
            start = 0
        transactions = [json.loads(text) for text in texts[start:count]]
        run = {
            "after": start,
            "newTransactions": transactions,
            "lastSignature": replica.logs[session].marks[len(texts)],
        }
        self._content(target, {session: run})

    def _may_be_written(self, value: str, session: str) -> bool:
        """Whether an honest device may still begin this session in that value.

        No signature covers an id: a run that was sent elsewhere first holds there, and forks what
        the device writes. That is the protocol's, and no server can tell.
        """
        if self.world.disk.count(value, session):
            return False
        return any(
            client.session == session or session in client.held[value].logs
            for client in self.world.honest
            if client.session == session or value in client.held
        )

    def gap(self, value: str, dice: int) -> None:
        """A genuine run of its own that leaves out some before it."""
        log = self._session(f"gap {self._next()}")
        log.append(*[self._transaction(n) for n in range(dice % 3 + 1)])
        self._content(value, {log.id: log.append(self._transaction(dice)).content()})

    def fork(self, value: str, dice: int) -> None:
        """Two histories of one session, both signed; now one goes on, now the other."""
        if value not in self._forks:
            left, right = (self._session(f"fork {value}") for _ in range(2))
            left.append(self._transaction(1))
            right.append(self._transaction(1))
            self.world.forked.add(left.id)
            first = self._session(f"fork {value}").append(self._transaction(1))
            self._forks[value] = left, right
            self._content(value, {left.id: first.content()})
        log = self._forks[value][dice % 2]
        self._content(value, {log.id: log.append(self._transaction(dice)).content()})

    def orphan(self, dice: int) -> None:
        """Content whose group never comes."""
        lost = group(self.account.id, unique=f"never {self.name} {dice % 3}")
        value = owned_map(lost.id, unique=f"orphan {self.name} {dice % 4}")
        log = self._session("orphan")
        for size in (10, 400):
            run = log.append(self._transaction(dice, "o" * size))
            self.send(content(value, {log.id: run}, with_header=True))

    def stray_member(self, value: str, dice: int) -> None:
        """A group's transaction that names a member who never comes."""
        stray = _nobody(dice % 5)
        log = self._session(f"stray {value} {self._next()}")
        run = log.append(set_role(stray, "admin", made_at=self.world.now()))
        self._content(value, {log.id: run.content()})

    def entangle(self, group_or_account: str, dice: int) -> None:
        """Name what depends on a group or an account as a member of it."""
        member = self.world.pick(self.world.values, dice >> 6)
        if member is not None:
            log = self._session(f"entangle {group_or_account} {self._next()}")
            run = log.append(set_role(member, "reader", made_at=self.world.now()))
            self._content(group_or_account, {log.id: run.content()})

    def circle(self, dice: int) -> None:
        """Two groups that name each other as parents."""
        name = f"{self.name} {self._next()}"
        groups = [group(self.account.id, unique=f"circle {name} {n}") for n in range(2)]
        for one, other in (groups, reversed(groups)):
            log = self._session("circle")
            run = log.append(
                set_role(self.account.id, "admin", made_at=self.world.now()),
                set_role(f"parent_{other.id}", "extend", made_at=self.world.now()),
            )
            self.world.values.setdefault(one.id, one)
            self.world.admins[one.id] = {self.account.id: 0}
            self.world.parents[one.id] = {other.id: 0}
            self.send(content(one, {log.id: run}, with_header=True))

    def lie(self, value: str, session: str, dice: int) -> None:
        """Say that it holds what it does not, or that it holds nothing."""
        sessions = {session: (0, 1, 7, 2**52)[dice % 4]}
        if dice % 7 == 0:
            sessions = {f"{self.account.id}_session_z{n + 2}": n for n in range(1, 9)}
        message: Json = {"action": ("load", "known")[dice // 8 % 2], "id": value}
        message |= {"header": dice // 16 % 3 > 0, "sessions": sessions}
        if dice // 64 % 4 == 0:
            message["isCorrection"] = True
        self.send(json.dumps(message).encode())

    def junk(self, dice: int) -> None:
        """No message at all, or one that makes no sense."""
        self.send(*[_JUNK[(dice >> shift) % len(_JUNK)] for shift in (0, 4, 8)])

    def usurp(self, value: str, dice: int) -> None:
        """A deletion by somebody who is no admin."""
        log = self.account.delete_session(f"{self.name} {dice % 3}")
        run = log.append(deletion(value, made_at=self.world.now()))
        self._content(value, {log.id: run.content()})

    def haunt(self, value: str, dice: int) -> None:
        """Content for a value that is deleted."""
        log = self._session(f"haunt {self._next()}")
        self._content(value, {log.id: log.append(self._transaction(dice)).content()})

    def flood(self, dice: int) -> None:
        """Ask for very much that does not exist, and more than once; and read no answers."""
        if dice % 3 and self.connection is not None:
            self.connection.down.read(False)
        for n in range(800):
            self.send(_asks()[n % 500])

    def _wrong(self, promise: str, seen: str) -> None:
        """Whoever lies about what it holds may be sent anything."""

    def _content(self, value: str, new: Json, *, with_header: bool = False) -> None:
        message: Json = {"action": "content", "id": value, "priority": 3, "new": new}
        known = self.world.values.get(value)
        if with_header and known is not None:
            message["header"] = known.header
        self.send(json.dumps(message).encode())

    def _transaction(self, dice: int, text: str = "") -> Json:
        changes = [{"op": "set", "key": "m", "value": f"{dice}{text}"}]
        return trusting(changes, made_at=self.world.now())

    def _session(self, name: str) -> Session:
        return Session(session_id(self.account.id, f"{self.name} {name}"), self.account.agent)

    def _next(self) -> int:
        self._count += 1
        return self._count


@cache
def _nobody(number: int) -> str:
    return Account.named(f"nobody {number}").id


@cache
def _asks() -> list[bytes]:
    """Loads of values that nobody has."""
    owner = group("nobody").id
    made = [owned_map(owner, unique=f"flood {n}").id for n in range(500)]
    ask: Json = {"action": "load", "header": False, "sessions": {}}
    return [json.dumps(ask | {"id": identifier}).encode() for identifier in made]
