"""The node: routes each message to its CoValue and its peers.

Everything here runs on the event loop's thread, in turns. What arrives in one turn of the loop is
gathered per CoValue and dealt with together. A CoValue that needs something from the store first
(itself, a dependency, a running hash, a verdict) is left `busy` until a task has fetched it; its
messages wait in its inbox, in their order, and nobody else's do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from itertools import chain
from typing import Any, Final

import anyio
import structlog
from anyio.abc import TaskGroup
from msgspec import UNSET

from protocol.errors import MalformedMessage, shown
from protocol.frames import split_frame
from protocol.ids import is_covalue_id
from protocol.messages import (
    Content,
    Known,
    Load,
    Reconcile,
    decode_message,
    encode_known,
    split_content,
)
from server.acceptance import Acceptance
from server.acks import Acknowledger
from server.allowance import Allowance
from server.backpressure import Backpressure
from server.conduct import Conduct
from server.covalue import CoValue, Item
from server.delivery import Delivery
from server.errors import StoreDamaged
from server.interests import Interests
from server.journal import Journal
from server.judgement import Judge
from server.limits import Limits
from server.offences import BEHIND, Closing
from server.parking import Parking
from server.peer import Peer
from server.reconcile import Reconciler
from server.residents import Residents
from server.statements import Statements, is_no_news
from server.store.interface import Store
from server.store.patient import PatientReads
from server.turns import Turns, portion

log: Final = structlog.get_logger(__name__)

_SWEEP_S: Final = 5.0
_HISTORY: Final = 1024 * 1024
"""Bytes of a group's history that are judged, however small the memory."""
_ABOUT_ONE: Final = (Content, Known, Load)
_LOADED_BYTES: Final = 100
"""What a session of a `load` takes beside its bytes on the wire, once it is decoded."""
_CREATING: Final = 6
"""How many messages' memory one takes that creates a CoValue: there is a record of it then, another
one of what it depends on, and a task that looks for that."""
_ID_LENGTH: Final = 1_000
_SESSIONS: Final = 16
"""Of one message, dealt with at once."""


class Node:
    """Who has what, and who is to learn of it. One per process; `run` must be running."""

    def __init__(
        self,
        store: Store,
        limits: Limits,
        *,
        clock: Callable[[], float],
        call_soon: Callable[[Callable[[], None]], object],
    ) -> None:
        """`clock` gives seconds, `call_soon` runs a function in the loop's next turn."""
        self.limits = limits
        self.reads = PatientReads(store, self._found_damage)
        """What the store has, and where it was found to be damaged."""
        self._tasks: TaskGroup | None = None
        self._draining = False
        self._deliveries: dict[Peer, Delivery | None] = {}
        """Each made when there is something to deliver: most connections say nothing."""
        self._large = anyio.Lock()
        self._allowance = Allowance(limits.memory_bytes, self._relieve)
        self._backpressure = Backpressure(limits)
        self.counters: Counter[str] = Counter()
        self._conduct = Conduct(self.counters, clock)
        self._acks = Acknowledger(Reconciler.answered)
        self.journal = Journal(store, self._committed, clock)
        self.on_commit: Callable[[], None] = lambda: None
        """Called after a commit, when everybody who waited for it has been told."""
        self._statements = Statements(self._conduct, self._acks, self._deliver)
        self._turns = Turns(self._deal_with, self._after_turn, clock, call_soon)
        self.residents = Residents(self.reads, limits.memory_bytes, self._turns.add)
        self._interests = Interests(limits, self.residents, self._conduct, self._start, self._expel)
        self._reconciler = Reconciler(self.residents, self.journal, limits.batches)
        self._parking = Parking(
            limits,
            self._backpressure,
            clock,
            self._turns.add,
            self._correct,
            self.residents.peek,
            self._start,
            self._expel,
        )
        self._acceptance = Acceptance(
            self.reads,
            self.residents,
            self.journal,
            Judge(
                self.residents, self.journal, self.reads, max(limits.memory_bytes // 4, _HISTORY)
            ),
            self._parking,
            self._acks,
            self._backpressure,
            self._conduct,
            deliver=self._deliver,
            first=self._turns.now,
            start=self._start,
        )

    @property
    def peers(self) -> int:
        """How many peers are connected."""
        return len(self._deliveries)

    @property
    def draining(self) -> bool:
        """Whether nothing more is taken in."""
        return self._draining

    @property
    def unreadable(self) -> bool:
        """Whether something that was to be read could not be read yet."""
        return self.reads.waiting > 0 or bool(self.residents.unreadable)

    async def run(
        self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Work until `drain` has been called and everything appended is durable."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            tasks.start_soon(self.residents.run)
            tasks.start_soon(self._sweep)
            task_status.started()
            try:
                await self.journal.run()
            finally:
                # What a last turn would start has nobody left to work for.
                self._tasks = None
            tasks.cancel_scope.cancel()

    def drain(self) -> None:
        """Deal with what has arrived and let `run` end once it is durable and acknowledged."""
        self._draining = True
        self._turns.finish()
        self.journal.close()

    def connect(self, peer: Peer) -> None:
        """A peer is there."""
        self._deliveries[peer] = None
        self._backpressure.join(peer)
        self._interests.join(peer)

    def disconnect(self, peer: Peer) -> None:
        """A peer is gone; all that was remembered of it goes, too."""
        peer.closed = True
        peer.outbox.close()
        self._backpressure.leave(peer)
        self._acks.forget(peer)
        self._deliveries.pop(peer, None)
        self._parking.forget(peer)
        self._conduct.left(peer)
        self._interests.leave(peer)

    def _expel(self, peer: Peer, closing: Closing) -> None:
        """Close a peer and forget it at once, however long its socket takes."""
        peer.disconnect(*closing)
        self.disconnect(peer)

    def receive(self, peer: Peer, frames: Sequence[bytes]) -> None:
        """Take in frames. What is no message is dropped and counted, line by line."""
        if self._draining:
            return
        held = self._receive(peer, frames)
        if held:
            self._backpressure.hold(peer, held)

    def _receive(self, peer: Peer, frames: Sequence[bytes]) -> int:
        """Put the messages into inboxes. Returns what they take in memory, in bytes."""
        held = 0
        latest: CoValue | None = None
        for line in chain.from_iterable(map(split_frame, frames)):
            try:
                message = decode_message(line)
            except MalformedMessage as error:
                if self._conduct.malformed(peer, error):
                    return held
                continue
            if isinstance(message, _ABOUT_ONE):
                covalue = self.residents.peek(message.id)
                if covalue is None:
                    if not is_covalue_id(message.id):
                        self._receive_impossible(peer, message)
                        continue
                    covalue = self.residents.get(message.id)
                elif (
                    isinstance(message, Known)
                    and not covalue.inbox
                    and is_no_news(covalue, peer, message)
                ):
                    continue
                size = len(line) + self.limits.message_bytes
                if isinstance(message, Load):
                    size += _LOADED_BYTES * len(message.sessions)
                elif isinstance(message, Content) and message.header is not UNSET:
                    size += _CREATING * self.limits.message_bytes
                if isinstance(message, Content) and len(message.new) > _SESSIONS:
                    parts = split_content(message, _SESSIONS)
                    share = size // len(parts)
                    covalue.inbox += [Item(peer, part, share) for part in parts]
                    size = share * len(parts)
                else:
                    covalue.inbox.append(Item(peer, message, size))
                held += size
                if covalue is not latest:
                    self._turns.add(covalue)
                    latest = covalue
            elif isinstance(message, Reconcile):
                self._reconcile(peer, message)
        return held

    def catch_up(self, peer: Peer) -> None:
        """The outbox has room again: read on, and deliver what did not fit."""
        peer.drained()
        self._acks.drained(peer)
        for covalue_id in list(peer.lagging):
            self._deliver(peer, self.residents.get(covalue_id))

    def _receive_impossible(self, peer: Peer, message: Load | Known | Content) -> None:
        self._conduct.malformed(peer, MalformedMessage("an id that no CoValue can have"))
        if isinstance(message, Load) and len(message.id) <= _ID_LENGTH:
            # An unanswered load would hold up the client's other loads for a minute.
            peer.tell(encode_known(message.id, False, {}))

    def _reconcile(self, peer: Peer, message: Reconcile) -> None:
        if self._reconciler.accepts(peer, message):
            self._start(lambda: self._reconciler.compare(peer, message))
        else:
            self._conduct.note(peer, "refused", "reconcile.refused", batch=shown(message.id))

    def _deal_with(self, covalue: CoValue) -> None:
        """Deal with the inbox, up to something that must be fetched first."""
        if not covalue.resident:
            self.residents.want(covalue)
            return
        if covalue.busy:
            return
        items, rest = portion(covalue.inbox, first=not covalue.pending)
        covalue.inbox = []
        try:
            self._deal_with_items(covalue, items)
        except Exception:
            # A fault of ours must not cost anybody but those whose messages met it.
            log.exception("node.fault", covalue=covalue.id)
            self.counters["faults"] += 1
            for item in items:
                item.peer.disconnect(1011, "internal error")
        if rest:
            covalue.inbox += rest
            self._turns.later(covalue)
        self.residents.touch(covalue)

    def _deal_with_items(self, covalue: CoValue, items: list[Item]) -> None:
        contents: list[Item] = []
        for index, item in enumerate(items):
            peer, message = item.peer, item.message
            if isinstance(message, Content):
                # Also from a peer that is gone: its last edit may be nowhere else.
                contents.append(item)
            elif peer.closed:
                continue
            elif isinstance(message, Known) and is_no_news(covalue, peer, message):
                self._backpressure.release(peer, item.size)
            else:
                if contents and not self._acceptance.take(covalue, contents):
                    covalue.inbox += items[index:]
                    return
                contents = []
                self._backpressure.release(peer, item.size)
                if isinstance(message, Load):
                    self._statements.load(covalue, peer, message)
                else:
                    self._statements.known(covalue, peer, message)
        if contents:
            self._acceptance.take(covalue, contents)

    def _deliver(self, peer: Peer, covalue: CoValue, answer: bool = False) -> None:
        if peer not in self._deliveries:
            return
        delivery = self._deliveries[peer]
        if delivery is None:
            delivery = self._deliveries[peer] = Delivery(
                peer,
                self.residents,
                self.journal,
                self.reads,
                self._acks.ask,
                self._start,
                memory_bytes=self.limits.memory_bytes,
                allowance=self._allowance,
                large=self._large,
                on_too_deep=self._note_too_deep,
            )
        delivery.request(covalue, answer=answer)

    def _relieve(self, since: float) -> None:
        """Deliveries wait for memory in vain: who takes most of it and does not read has to go."""
        stalled = [
            (delivery.taken, peer)
            for peer, delivery in self._deliveries.items()
            if delivery is not None and delivery.taken and peer.outbox.stalled_since <= since
        ]
        if stalled:
            self._expel(max(stalled, key=lambda each: each[0])[1], BEHIND)

    def _note_too_deep(self, peer: Peer, covalue_id: str) -> None:
        self._conduct.note(peer, "too_deep", "load.too_deep", covalue=covalue_id)

    def _correct(self, covalue: CoValue, peer: Peer) -> None:
        self._acks.ask(covalue, peer, correction=True)

    def _committed(self) -> None:
        self._acks.flush()
        self.on_commit()

    def _found_damage(self, damage: StoreDamaged) -> None:
        covalue = self.residents.peek(damage.covalue)
        if covalue is not None and damage.session and covalue.resident:
            covalue.cut_at(damage.session, damage.index)

    def _after_turn(self) -> None:
        self._interests.thin_out()
        self.residents.trim()

    def _start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work` as a task of this node; a fault in it is logged and ends nothing else."""
        if self._tasks is None:
            return

        async def guarded() -> None:
            try:
                await work()
            except Exception:
                self.counters["faults"] += 1
                log.exception("node.fault")

        self._tasks.start_soon(guarded)

    async def _sweep(self) -> None:
        while True:
            await anyio.sleep(_SWEEP_S)
            await self._interests.check_total()
            dropped = self._parking.expire()
            if dropped:
                self.counters["expired"] += dropped
                log.info("content.expired", messages=dropped)
