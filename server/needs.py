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

        further = list(ids)
        found = set(further)

        def look_at(covalue: CoValue) -> None:
            sizes[covalue.id] = covalue.size
            fresh = [d for d in self.edges(covalue) if d not in found]
            found.update(fresh)
            further.extend(fresh)

        walked = 0
        while further and len(sizes) <= most:
            portion = further[:_WALK]
            del further[:_WALK]
            unreadable = await self._residents.look_through(portion, look_at, patient=False)
            if unreadable is not None:
                return Needed(sizes, unreadable)
            walked += len(portion)
            if walked >= _WALK:
                # Where all of them are in memory, nothing else would give way to others.
                walked = 0
                await anyio.lowlevel.checkpoint()
        return Needed(sizes, None)

    def _is_in_step_with(self, covalue_id: str) -> bool:
        subscription = self._peer.subscriptions.get(covalue_id)
        return subscription is not None and subscription.in_step
