"""What clients made, and what of it the server acknowledged: the truth that survives the server."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from tests.signing import (
    Account,
    CoValue,
    Json,
    Run,
    Session,
    group,
    owned_map,
    set_role,
    trusting,
)

MAPS = 4
CLIENTS = 3


@dataclass
class Log:
    """One session of one CoValue, as its author has it."""

    value: CoValue
    session: Session
    made: list[Json] = field(default_factory=list)
    signature: str = ""
    sent: int = 0
    """How many the server was sent, or held when it was last read."""
    acknowledged: int = 0
    """How many the server said that it holds."""

    def write(self, *transactions: Json) -> None:
        """Make transactions and sign them."""
        self.signature = self.session.append(*transactions).signature
        self.made += transactions

    def unsent(self) -> Run:
        """What the server was not sent, from now on sent."""
        run = Run(self.sent, self.made[self.sent :], self.signature)
        self.sent = len(self.made)
        return run

    @property
    def key(self) -> tuple[str, str]:
        """The ids of the CoValue and the session."""
        return self.value.id, self.session.id


class World:
    """Accounts, a group, maps, and sessions that each belong to one of several clients."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.random = random.Random(name)
        self.logs: dict[tuple[str, str], Log] = {}
        self.created: set[str] = set()
        """CoValues that the server said it has."""
        self.seen: Counter[str] = Counter()
        """What happened since the last restart: `acknowledgements`, `messages`, `corrections`."""
        self._accounts = [Account.named(f"{name}, client {n}") for n in range(CLIENTS)]
        self.group = group(self._accounts[0].id, unique=name)
        self.base: list[Log] = []
        """What everything else depends on."""
        for account in self._accounts:
            own = self._log(account, account.agent.session())
            own.write(set_role(account.agent.id, "admin", made_at=1))
            self.base.append(own)
        members = self._log(self.group, self._accounts[0].session())
        members.write(
            *[set_role(a.id, "admin", made_at=2 + n) for n, a in enumerate(self._accounts)]
        )
        self.base.append(members)
        self.of_client: list[list[Log]] = [[] for _ in self._accounts]
        for n in range(MAPS):
            value = owned_map(self.group.id, unique=f"{name}, map {n}")
            for client, account in enumerate(self._accounts):
                self.of_client[client].append(self._log(value, account.session()))

    def _log(self, value: CoValue, session: Session) -> Log:
        log = Log(value, session)
        self.logs[log.key] = log
        return log

    @property
    def values(self) -> dict[str, CoValue]:
        """All CoValues that anybody made."""
        return {log.value.id: log.value for log in self.logs.values()}

    def some_log(self, client: int) -> Log:
        """One of the client's logs, sometimes of a new CoValue."""
        logs = self.of_client[client]
        if self.random.random() < 0.05:
            unique = f"{self.name}, client {client}, map {len(logs)}"
            value = owned_map(self.group.id, unique=unique)
            logs.append(self._log(value, self._accounts[client].session()))
            return logs[-1]
        # Mostly the maps that several clients write to.
        return self.random.choice(logs[:MAPS] if self.random.random() < 0.8 else logs)

    def write_something(self, log: Log) -> None:
        """One to four edits, mostly small."""
        for _ in range(self.random.randint(1, 4)):
            size = self.random.choice([10, 100, 100, 1_000, 1_000, 30_000])
            log.write(trusting([{"op": "set", "pad": "x" * size}], made_at=len(log.made)))

    def acknowledge(self, value: str, sessions: dict[str, int]) -> None:
        """The server says that it holds so much of a CoValue."""
        self.created.add(value)
        for session, count in sessions.items():
            log = self.logs[value, session]
            assert count <= len(log.made), "acknowledged what was never made"
            log.acknowledged = max(log.acknowledged, count)

    @property
    def acknowledged(self) -> int:
        """How many transactions were acknowledged, over all."""
        return sum(log.acknowledged for log in self.logs.values())
