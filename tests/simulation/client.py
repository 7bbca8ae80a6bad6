"""An honest device: the reference model of a Jazz client (cojson `sync.ts`), in small.

It keeps what it holds across reconnects and restarts, and what it believes of the server across
reconnects only. It loads all that it holds when it connects, sends edits blindly, obeys
corrections, answers each content with `known`, and verifies what it is sent by its own means. What
no honest server would send is a broken promise.
"""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

from tests.signing import Account, session_id
from tests.simulation.proof import (
    author_of,
    decode,
    decode_content,
    dependencies,
    hashes_to,
    signer_of,
)
from tests.simulation.replica import Json, Replica, Sessions

if TYPE_CHECKING:
    from tests.simulation.process import Connection
    from tests.simulation.world import World

Run = tuple[str, int, tuple[bytes, ...], str]


class Client:
    """One device of one account."""

    is_honest = True

    def __init__(self, world: World, name: str, account: Account) -> None:
        self.world, self.name, self.account = world, name, account
        self.random: Random = world.random
        self.held: dict[str, Replica] = {}
        self.wanted: set[str] = set()
        """What it asked for, held or not."""
        self.server: dict[str, Sessions] = {}
        """What it believes that the server holds, by value; no entry: not even the header."""
        self.acked: dict[tuple[str, str], int] = {}
        self.unanswered: set[str] = set()
        """Loads on this connection that had no answer yet."""
        self.batches: set[str] = set()
        """Reconciliations on this connection that were not acknowledged yet."""
        self._forgotten: set[str] = set()
        """What was let go of on this connection, and is being sent again from its header on."""
        self.withheld: set[str] = set()
        """What its storage has not given out yet."""
        self._tombs: set[str] = set()
        """What this connection has brought a deletion of."""
        self.connection: Connection | None = None
        self.is_online = False
        """Whether it wants to be connected."""
        self._lives = 0
        self._connects = 0
        self._written: dict[str, set[str]] = {}
        self.session = ""
        self.begin_life()

    def begin_life(self) -> None:
        """The process starts anew: what is held stays, what was believed of the server not."""
        self._lives += 1
        self.server.clear()
        self.session = session_id(self.account.id, f"{self.name}/{self._lives}")
        self.world.record.name(self.session, f"session {self.name}/{self._lives}")

    def forget(self, identifier: str) -> None:
        """Let a value go from memory, and want it again: there is no storage behind it."""
        del self.held[identifier]
        self.server.pop(identifier, None)
        self._written.pop(identifier, None)
        self._forgotten.add(identifier)
        self.load(identifier)

    def reinstall(self) -> None:
        """Lose all that is stored on the device, but for the account that it logs in with."""
        self.held = {self.account.id: self.held[self.account.id]}
        self._written.clear()
        self._forgotten.clear()
        self.begin_life()

    # Connecting

    def connect(self) -> None:
        """Open a connection and load all that is held, dependencies first."""
        process = self.world.process
        if self.connection is not None or not self.is_online:
            return
        if not process.alive:
            self.world.loop.call_later(0.2, self.connect)
            return
        self.unanswered.clear()
        self.batches.clear()
        self._tombs.clear()
        self._forgotten.clear()
        self._connects += 1
        self.connection = self.world.connection(self, process)
        self.world.record.note(self.name, "connects")
        for identifier in self._in_order():
            self.load(identifier)
        for identifier in sorted(self.wanted - self.held.keys()):
            self.load(identifier)

    def cut(self) -> None:
        """Lose the connection, with some of what is under way."""
        if self.connection is not None:
            self.world.record.note(self.name, "is cut off")
            connection, self.connection = self.connection, None
            later = self.random.choice((0.0, 0.05, 3.0))
            connection.lose(self.random.random(), later)

    def lost(self, connection: Connection | None) -> None:
        """The server's side is gone: connect again after a while."""
        if self.connection is connection:
            self.connection = None
            delay = self.random.choice((0.0, 0.1, 0.5))
            self.world.loop.call_later(delay, self.connect)

    def send(self, *messages: bytes) -> None:
        """Send messages, in one frame or in several."""
        if self.connection is None or not messages:
            return
        if self.random.random() < 0.5:
            self.connection.up.push(b"\n".join(messages))
        else:
            for message in messages:
                self.connection.up.push(message)

    def load(self, identifier: str) -> None:
        """Ask for a value and say what is held of it."""
        self.wanted.add(identifier)
        if self.connection is not None:
            self.unanswered.add(identifier)
            self.send(self._state("load", identifier))

    def reconcile(self, values: list[tuple[str, str]], batch: str) -> None:
        """Compare what is stored with what the server has."""
        if self.connection is not None:
            self.batches.add(batch)
            self.send(json.dumps({"action": "reconcile", "id": batch, "values": values}).encode())

    # Writing

    def write(
        self,
        identifier: str,
        *transactions: Json,
        session: str | None = None,
        is_lost: bool = False,
    ) -> None:
        """Append to a session of this device, and send it.

        `is_lost`: it gets lost inside the device, which takes it for sent.
        """
        self.append(identifier, *transactions, session=session)
        if is_lost:
            self._believe(identifier, self.held[identifier].counts())
        else:
            self.sync(identifier)

    def append(self, identifier: str, *transactions: Json, session: str | None = None) -> None:
        """Append to a session of this device without sending it."""
        session = session or self.session
        self.held[identifier].log(session).write(self.account.agent.key, *transactions)
        self._written.setdefault(identifier, set()).add(session)

    def withhold(self, identifier: str, seconds: float) -> None:
        """Send a value only after a while: its storage is slow."""
        self.withheld.add(identifier)
        self.world.loop.call_later(seconds, self._give_out, identifier)

    def create(self, identifier: str, header: Json) -> Replica:
        """Begin a new value."""
        replica = self.held[identifier] = Replica(identifier, header)
        self.wanted.add(identifier)
        return replica

    def sync(self, identifier: str) -> bool:
        """Send what the server is not known to hold. Returns whether there was anything."""
        replica = self.held.get(identifier)
        if replica is None or self.connection is None or identifier in self.withheld:
            return False
        believed = self.server.get(identifier)
        messages = replica.contents(
            believed is None, believed or {}, cut=self.random.random() < 0.3
        )
        self._believe(identifier, replica.counts())
        self.send(*messages)
        return bool(messages)

    def _give_out(self, identifier: str) -> None:
        self.world.record.moved(self.name, f"has {identifier} at last")
        self.withheld.discard(identifier)
        self.sync(identifier)

    # Reading

    def receive(self, frame: bytes) -> None:
        """Take in one frame."""
        self.world.record.moved(f"> {self.name}", frame)
        for line in frame.split(b"\n"):
            message = decode(line)
            action = message["action"]
            if action == "known":
                self._on_known(message)
            elif action == "load":
                self._on_load(message)
            elif action == "content":
                self.unanswered.discard(message["id"])
                self._on_content(message, decode_content(line))
            elif action == "reconcile-ack":
                self.batches.discard(message["id"])

    def _on_known(self, message: Json) -> None:
        identifier = message["id"]
        self.unanswered.discard(identifier)
        sessions: Sessions = message["sessions"]
        replica = self.held.get(identifier)
        for session, count in sessions.items():
            own = (
                0 if replica is None or session not in replica.logs else len(replica.logs[session])
            )
            key = identifier, session
            self.acked[key] = max(self.acked.get(key, 0), min(count, own))
        if message.get("isCorrection"):
            self.server.pop(identifier, None)
        if message["header"]:
            self._believe(identifier, sessions)
        self.sync(identifier)

    def _on_load(self, message: Json) -> None:
        identifier = message["id"]
        self.server.pop(identifier, None)
        if message["header"]:
            self._believe(identifier, message["sessions"])
        if not self.sync(identifier) and identifier not in self.withheld:
            self.send(self._state("known", identifier))

    def _on_content(self, message: Json, runs: list[Run]) -> None:
        identifier = message["id"]
        replica = self.held.get(identifier)
        header = message.get("header") if replica is None else replica.header
        if header is None:
            if identifier not in self._forgotten:
                self._wrong("content comes with its header", identifier)
            return
        self._forgotten.discard(identifier)
        if replica is None:
            if not hashes_to(identifier, header):
                self._wrong("nothing unverified is relayed", f"the header of {identifier}")
                return
            self._check_dependencies(identifier, dependencies(header, []))
            replica = self.held[identifier] = Replica(identifier, header)
            self.wanted.add(identifier)
        self._check_dependencies(identifier, dependencies(header, runs))
        for session, *_ in runs:
            author = self.held.get(author_of(session))
            if author is not None and not author.logs and not replica.is_account:
                # Clients up to 0.18 do not know its key then. Accounts are signed by agents.
                self._wrong("accounts come before what they sign", f"{identifier} {session}")
        for run in runs:
            self._take(replica, *run)
        self._believe(identifier, {s: after + len(texts) for s, after, texts, _ in runs})
        self.send(self._state("known", identifier))
        self.sync(identifier)

    def _take(
        self, replica: Replica, session: str, after: int, texts: tuple[bytes, ...], signature: str
    ) -> None:
        log = replica.log(session)
        if session in self.world.forked and self.world.has_crashed:
            # Whose author signs two histories is not to be agreed upon.
            if after <= len(log):
                self._accept(replica, session, texts[len(log) - after :], signature)
            return
        if replica.deleted and not session.endswith("$"):
            if replica.id in self._tombs:
                self._wrong("tombstones stay empty", f"{replica.id} {session} at {after}")
            return
        if after > len(log):
            self._wrong("prefixes arrive in order", f"{replica.id} {session}: {len(log)}, {after}")
            return
        if session in self._written.get(replica.id, ()):
            if self._connects == 1:
                # Later ones may be asked for what an earlier one still brings.
                what = f"{replica.id} {session} at {after}"
                self._wrong("nobody is sent what they sent", what)
            return
        fresh = texts[len(log) - after :]
        if fresh and not self._accept(replica, session, fresh, signature):
            self._wrong("nothing unverified is relayed", f"{replica.id} {session} at {after}")
        if session.endswith("$") and fresh:
            at = json.loads(fresh[0])["madeAt"]
            if not self.world.may_delete(replica.id, author_of(session), at):
                self._wrong("only admins delete", f"{replica.id} {session}")
            replica.erase()
            self._tombs.add(replica.id)

    def _accept(
        self, replica: Replica, session: str, texts: tuple[bytes, ...], signature: str
    ) -> bool:
        author = author_of(session)
        account = self.held.get(author)
        signer = signer_of(author, None if account is None else account.header)
        return signer is not None and replica.logs[session].accept(texts, signature, signer)

    def _check_dependencies(self, identifier: str, needed: set[str]) -> None:
        # The server cannot know yet what was let go of after it was said to be held.
        for dependency in needed - self._forgotten - {identifier}:
            if dependency not in self.held:
                self._wrong("dependencies come first", f"{identifier} before {dependency}")

    def _wrong(self, promise: str, seen: str) -> None:
        self.world.record.breach(promise, f"{seen}, at {self.name}")

    def _believe(self, identifier: str, sessions: Sessions) -> None:
        believed = self.server.setdefault(identifier, {})
        for session, count in sessions.items():
            believed[session] = max(believed.get(session, 0), count)

    def _state(self, action: str, identifier: str) -> bytes:
        replica = self.held.get(identifier)
        state: dict[str, Any] = {"action": action, "id": identifier, "header": replica is not None}
        state["sessions"] = {} if replica is None else replica.counts()
        return json.dumps(state).encode()

    def _in_order(self) -> list[str]:
        order: dict[str, None] = {}
        entered: set[str] = set()

        def enter(identifier: str) -> None:
            if identifier in entered or identifier not in self.held:
                return
            entered.add(identifier)
            replica = self.held[identifier]
            runs = [(s, 0, tuple(log.texts), "") for s, log in replica.logs.items()]
            for dependency in sorted(dependencies(replica.header, runs)):
                enter(dependency)
            order[identifier] = None

        for identifier in self.held:
            enter(identifier)
        return list(order)
