"""Parking: content that waits for accounts and groups which its sender has been asked for.

Bounded in bytes per peer and in time. What does not fit or waits too long is dropped, and its
sender is remembered instead: once what it needed is there, a correction makes it send again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from protocol.messages import encode_load
from server.backpressure import Backpressure
from server.covalue import CoValue, Item, Parked
from server.limits import Limits
from server.peer import Peer

_SEARCHED: Final = 1_000


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
    ) -> None:
        """What to do is the node's, so that this need not know it.

        `wake` has an inbox dealt with, `correct` makes a peer send again, `find` looks one up.
        """
        self._limits = limits
        self._backpressure = backpressure
        self._clock = clock
        self._wake = wake
        self._correct = correct
        self._find = find
        self._waiting: dict[str, set[CoValue]] = {}

    def holds(self, covalue: CoValue, peer: Peer) -> bool:
        """Whether content of the peer for this CoValue waits already, so that more must follow."""
        return any(parked.item.peer is peer for parked in covalue.parked)

    def park(self, covalue: CoValue, item: Item, missing: set[str]) -> None:
        """Keep `item` until all of `missing` exist, and ask its sender for them."""
        peer = item.peer
        for dependency in missing:
            self._waiting.setdefault(dependency, set()).add(covalue)
            if dependency not in peer.asked and len(peer.asked) < self._limits.asked:
                peer.asked.add(dependency)
                peer.tell(encode_load(dependency, False, {}))
        if peer in covalue.starved or peer.parked_bytes + item.size > self._limits.parked_bytes:
            covalue.starved.add(peer)
            return
        peer.parked_bytes += item.size
        deadline = self._clock() + self._limits.parked_s
        covalue.parked.append(Parked(item, missing, deadline))

    def is_circular(self, covalue: CoValue) -> bool:
        """Whether `covalue` waits, by way of other parked ones, for itself."""
        seen: set[str] = set()
        queue = [d for parked in covalue.parked for d in parked.missing]
        while queue and len(seen) < _SEARCHED:
            dependency = queue.pop()
            if dependency == covalue.id:
                return True
            if dependency not in seen:
                seen.add(dependency)
                queue += [d for parked in self._records(dependency) for d in parked.missing]
        return False

    def arrived(self, dependency: str) -> None:
        """A CoValue exists now: let go on what waited for it."""
        for covalue in self._waiting.pop(dependency, ()):
            starved, covalue.starved = covalue.starved, set()
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
                    peer.parked_bytes -= parked.item.size
                    self._backpressure.hold(peer, parked.item.size)
                    ready.append(parked.item)
            covalue.parked = waiting
            if ready:
                covalue.inbox[:0] = ready
                self._wake(covalue)

    def expire(self) -> int:
        """Drop what has waited too long. Returns how many messages that were."""
        now = self._clock()
        return self._drop(lambda parked: parked.deadline <= now, starve=True)

    def forget(self, peer: Peer) -> None:
        """The peer is gone, and with it what it sent."""
        self._drop(lambda parked: parked.item.peer is peer, starve=False)
        for covalue in self._covalues():
            covalue.starved.discard(peer)

    def _drop(self, condemned: Callable[[Parked], bool], *, starve: bool) -> int:
        count = 0
        for covalue in self._covalues():
            dropped = [parked for parked in covalue.parked if condemned(parked)]
            if not dropped:
                continue
            count += len(dropped)
            peers = {parked.item.peer for parked in dropped}
            # What follows a dropped message of the same peer would only be a gap.
            dropped = [parked for parked in covalue.parked if parked.item.peer in peers]
            covalue.parked = [p for p in covalue.parked if p.item.peer not in peers]
            for parked in dropped:
                parked.item.peer.parked_bytes -= parked.item.size
            if starve:
                covalue.starved |= peers
        for dependency in [d for d, waiting in self._waiting.items() if not _any_left(waiting)]:
            del self._waiting[dependency]
        return count

    def _records(self, covalue_id: str) -> list[Parked]:
        covalue = self._find(covalue_id)
        return [] if covalue is None else covalue.parked

    def _covalues(self) -> set[CoValue]:
        return {covalue for waiting in self._waiting.values() for covalue in waiting}


def _any_left(waiting: Iterable[CoValue]) -> bool:
    return any(covalue.parked or covalue.starved for covalue in waiting)
