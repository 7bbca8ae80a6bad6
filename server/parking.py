"""Parking: content that waits for accounts and groups which its sender has been asked for.

Bounded in bytes, per peer and in total, and in time. What does not fit or waits too long is
dropped, and its sender is remembered instead: once what it needed is there, a correction makes it
send again.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

import msgspec

from protocol.messages import encode_load
from server.backpressure import Backpressure
from server.circles import circle_of
from server.covalue import CoValue, Item, Parked
from server.limits import Limits
from server.offences import PARKED, Closing
from server.peer import Peer


class Parking:
    """All parked content, by what it waits for."""

    def __init__(
        self,
        limits: Limits,
        backpressure: Backpressure,
        clock: Callable[[], float],
        wake: Callable[[CoValue], None],
        correct: Callable[[CoValue, Peer], None],
        find: Callable[[str], CoValue | None],
        start: Callable[[Callable[[], Coroutine[Any, Any, None]]], None],
        expel: Callable[[Peer, Closing], None],
    ) -> None:
        """What to do is the node's, so that this need not know it.

        `wake` has an inbox dealt with, `correct` makes a peer send again, `find` looks one up;
        `start` starts a task; `expel` closes a peer and forgets it.
        """
        self._limits = limits
        self._backpressure = backpressure
        self._clock = clock
        self._wake = wake
        self._correct = correct
        self._find = find
        self._start = start
        self._expel = expel
        self._waiting: dict[str, set[CoValue]] = {}
        self._of_peer: dict[Peer, dict[CoValue, set[str]]] = {}
        """Where each peer has something parked, or is starved, and all that this waits for."""
        self._total = 0
        self._bytes = 0
        self._relieving = False

    def holds(self, covalue: CoValue, peer: Peer) -> bool:
        """Whether content of the peer for this CoValue waits already, so that more must follow."""
        if covalue not in self._of_peer.get(peer, ()):
            return False
        return any(parked.item.peer is peer for parked in covalue.parked)

    def park(self, covalue: CoValue, item: Item, missing: set[str]) -> None:
        """Keep `item` until all of `missing` exist, and ask its sender for them.

        A peer because of whom too much would be waited for is closed.
        """
        peer = item.peer
        theirs = self._of_peer.get(peer, {})
        pairs = theirs.get(covalue)
        fresh = missing if pairs is None else missing - pairs
        cost = len(fresh) + (pairs is None)
        if peer.waiting + cost > self._limits.waiting:
            peer.disconnect(*PARKED)
            return
        if pairs is None:
            self._of_peer[peer] = theirs
            pairs = theirs[covalue] = set()
        pairs |= fresh
        peer.waiting += cost
        self._total += cost
        if self._total > self._limits.total_waiting and not self._relieving:
            # Soon, not in the middle of this.
            self._relieving = True
            self._start(self._relieve)
        for dependency in fresh:
            self._waiting.setdefault(dependency, set()).add(covalue)
            if dependency not in peer.asked and len(peer.asked) < self._limits.asked:
                peer.asked.add(dependency)
                peer.tell(encode_load(dependency, False, {}))
        if peer in covalue.starved or not self._has_room(peer, item.size):
            covalue.starved |= {peer}
            return
        self._count(peer, item.size)
        deadline = self._clock() + self._limits.parked_s
        covalue.parked.append(Parked(item, missing, deadline))

    def circle(self, covalue: CoValue) -> list[CoValue]:
        """Those through which `covalue` waits for itself, what was dropped of them included."""
        return circle_of(covalue, self._awaited, self._find)

    def ask_again(self, covalues: Iterable[CoValue]) -> None:
        """Have sent again what was dropped, because it can be used now."""
        for covalue in covalues:
            for peer in covalue.starved:
                self._correct(covalue, peer)

    def arrived(self, dependency: str) -> None:
        """A CoValue exists now: let go on what waited for it."""
        for covalue in self._waiting.pop(dependency, ()):
            starved, covalue.starved = covalue.starved, frozenset()
            for peer in starved:
                self._correct(covalue, peer)
            blocked: set[Peer] = set()
            ready: list[Item] = []
            waiting: list[Parked] = []
            for parked in covalue.parked:
                parked.missing.discard(dependency)
                peer = parked.item.peer
                if parked.missing or peer in blocked:
                    blocked.add(peer)
                    waiting.append(parked)
                else:
                    self._count(peer, -parked.item.size)
                    self._backpressure.hold(peer, parked.item.size)
                    ready.append(msgspec.structs.replace(parked.item, woken=True))
            covalue.parked = waiting
            for peer in starved | {item.peer for item in ready}:
                if peer not in blocked:
                    self._settle(peer, covalue)
            if ready:
                # Ahead of what came later, and behind what was woken before and still waits there.
                inbox = covalue.inbox
                at = next((n for n, item in enumerate(inbox) if not item.woken), len(inbox))
                inbox[at:at] = ready
                self._wake(covalue)

    def expire(self) -> int:
        """Drop what has waited too long. Returns how many messages that were."""
        now = self._clock()
        count = 0
        for theirs in list(self._of_peer.values()):
            for covalue in list(theirs):
                # In the order of their deadlines, so the first one says whether any is due.
                if covalue.parked and covalue.parked[0].deadline <= now:
                    count += self._drop(covalue, lambda parked: parked.deadline <= now)
        return count

    def forget(self, peer: Peer) -> None:
        """The peer is gone, and with it what it sent."""
        for covalue in list(self._of_peer.get(peer, ())):
            self._drop(covalue, lambda parked: parked.item.peer is peer)
            covalue.starved -= {peer}
            self._settle(peer, covalue)
        self._of_peer.pop(peer, None)

    async def _relieve(self) -> None:
        self._relieving = False
        while self._of_peer and self._total > self._limits.total_waiting:
            self._expel(max(self._of_peer, key=lambda p: p.waiting), PARKED)

    def _has_room(self, peer: Peer, size: int) -> bool:
        return (
            peer.parked_bytes + size <= self._limits.parked_bytes
            and self._bytes + size <= self._limits.total_parked_bytes
        )

    def _count(self, peer: Peer, size: int) -> None:
        """So many bytes more, or fewer, of a peer are parked."""
        peer.parked_bytes += size
        self._bytes += size

    def _drop(self, covalue: CoValue, condemned: Callable[[Parked], bool]) -> int:
        """Drop parked content of a CoValue; its senders are starved of it."""
        dropped = [parked for parked in covalue.parked if condemned(parked)]
        peers = {parked.item.peer for parked in dropped}
        # What follows a dropped message of the same peer would only be a gap.
        for parked in covalue.parked:
            if parked.item.peer in peers:
                self._count(parked.item.peer, -parked.item.size)
        covalue.parked = [p for p in covalue.parked if p.item.peer not in peers]
        covalue.starved |= peers
        return len(dropped)

    def _settle(self, peer: Peer, covalue: CoValue) -> None:
        """Nothing of the peer waits for anything in this CoValue any more."""
        theirs = self._of_peer.get(peer)
        pairs = None if theirs is None else theirs.pop(covalue, None)
        if theirs is None or pairs is None:
            return
        peer.waiting -= len(pairs) + 1
        self._total -= len(pairs) + 1
        if not theirs:
            del self._of_peer[peer]
        peer.asked -= pairs
        for other in {parked.item.peer for parked in covalue.parked} | covalue.starved:
            pairs = pairs - self._of_peer.get(other, {}).get(covalue, set())
        for dependency in pairs:
            waiting = self._waiting.get(dependency)
            if waiting is not None:
                waiting.discard(covalue)
                if not waiting:
                    del self._waiting[dependency]

    def _awaited(self, covalue: CoValue) -> Iterator[str]:
        """What is waited for in a CoValue; some of it may exist by now."""
        for peer in {parked.item.peer for parked in covalue.parked} | covalue.starved:
            yield from self._of_peer.get(peer, {}).get(covalue, ())
