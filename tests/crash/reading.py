"""A fresh client loads everything and checks it: contiguous, signed, as it was made, all there."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import anyio
from base58 import b58decode
from blake3 import blake3
from nacl.signing import VerifyKey
from websockets.asyncio.client import connect

from tests.crash.world import World
from tests.signing import Agent, Json, b58, canonical

_DEADLINE_S = 60


@dataclass
class _Session:
    """A session as the server gives it out."""

    transactions: list[Json] = field(default_factory=list)
    hasher: blake3 = field(default_factory=blake3)

    def take(self, part: dict[str, Any], agent: Agent) -> None:
        """Take in the next part, which must follow and be signed by the agent."""
        assert part["after"] == len(self.transactions), "not contiguous"
        for transaction in part["newTransactions"]:
            self.hasher.update(canonical(transaction))
            self.transactions.append(transaction)
        signed = f'"hash_z{b58(self.hasher.digest())}"'.encode()
        signature = b58decode(part["lastSignature"].removeprefix("signature_z"))
        VerifyKey(agent.public_key).verify(signed, signature)


class _Reader:
    """Loads all CoValues of a world over one connection."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._values = world.values
        self._waiting = set(self._values)
        self._until: dict[str, dict[str, int]] = {}
        self.headers: set[str] = set()
        self.sessions: dict[tuple[str, str], _Session] = {}

    async def read(self, url: str) -> None:
        """Load everything, until all of it has arrived."""
        async with connect(url, max_size=None, ping_interval=None, compression=None) as socket:
            for value in self._values:
                load = {"action": "load", "id": value, "header": False, "sessions": {}}
                await socket.send(json.dumps(load))
            with anyio.fail_after(_DEADLINE_S):
                while self._waiting:
                    for line in str(await socket.recv()).split("\n"):
                        self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        value = message.get("id", "")
        if message.get("action") == "known":
            # Nothing (more) to be had: not there, or sent already as a dependency.
            assert message["header"] == (value in self.headers)
            assert message["sessions"] == {
                session: len(held.transactions)
                for (owner, session), held in self.sessions.items()
                if owner == value
            }
            self._waiting.discard(value)
        elif message.get("action") == "content":
            self._take_content(value, message)

    def _take_content(self, value: str, message: dict[str, Any]) -> None:
        if "header" in message:
            assert message["header"] == self._values[value].header
            assert value not in self.headers, "the header came twice"
            self.headers.add(value)
            self._until[value] = message.get("expectContentUntil", {})
        assert value in self.headers, "content before its header"
        for session, part in message["new"].items():
            log = self._world.logs[value, session]
            self.sessions.setdefault((value, session), _Session()).take(part, log.session.agent)
        if all(
            len(self.sessions[value, session].transactions) >= count
            if (value, session) in self.sessions
            else count == 0
            for session, count in self._until[value].items()
        ):
            self._waiting.discard(value)


async def read_back(url: str, world: World) -> tuple[int, int]:
    """Load everything and hold it against what was made.

    Returns how many acknowledged transactions are lost, and how many are there that were not
    acknowledged. Notes in the world what the server holds.
    """
    reader = _Reader(world)
    await reader.read(url)
    lost = len(world.created - reader.headers)
    more = 0
    for key, log in world.logs.items():
        held = reader.sessions[key].transactions if key in reader.sessions else []
        assert held == log.made[: len(held)], "not what was made"
        lost += max(log.acknowledged - len(held), 0)
        more += max(len(held) - log.acknowledged, 0)
        log.sent = log.acknowledged = len(held)
    world.created = reader.headers
    world.seen.clear()
    return lost, more
