"""What a peer needs to get with CoValues: all that they depend on and it is not in step with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import anyio

from server.covalue import CoValue
from server.peer import Peer
from server.residents import Residents

_WALK: Final = 250
"""CoValues that are looked at in one go."""


class Needed(NamedTuple):
    """What is needed with some CoValues, these among it."""

    sizes: dict[str, int]
    """By id: the bytes that it takes in memory."""
    unreadable: str | None
    """One of them that cannot be read now; then the rest was not looked for."""


class Needs:
    """What one peer needs."""

    def __init__(self, peer: Peer, residents: Residents) -> None:
        self._peer = peer
        self._residents = residents

    def edges(self, covalue: CoValue) -> list[str]:
        """What `covalue` depends on, as far as the peer lacks it."""
        return [d for d in covalue.dependencies if not self._is_in_step_with(d)]

    async def look_for(self, ids: Iterable[str], most: int) -> Needed:
        """Look for what is needed with `ids`, and stop if these are more than `most`."""
        sizes: dict[str, int] = {}

        def look_at(covalue: CoValue) -> list[str]:
            sizes[covalue.id] = covalue.size
            return [d for d in self.edges(covalue) if d not in sizes]

        further = list(ids)
        walked = 0
        while further and len(sizes) <= most:
            portion, further = further[:_WALK], further[_WALK:]
            self._residents.prefetch(portion)
            for covalue_id in portion:
                if covalue_id in sizes:
                    continue
                covalue = self._residents.get(covalue_id)
                if covalue.resident:
                    further += look_at(covalue)
                    continue
                # One by one: all together may be more than may be kept.
                async with self._residents.reached(covalue_id) as is_here:
                    if not is_here:
                        return Needed(sizes, covalue_id)
                    further += look_at(covalue)
            walked += len(portion)
            if walked >= _WALK:
                # Where all of them are in memory, nothing else would give way to others.
                walked = 0
                await anyio.lowlevel.checkpoint()
        return Needed(sizes, None)

    def _is_in_step_with(self, covalue_id: str) -> bool:
        subscription = self._peer.subscriptions.get(covalue_id)
        return subscription is not None and subscription.in_step
