"""Addresses that were refused again and again: answered later and later, then not looked at."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_FREE: Final = 5.0
_STEP_S: Final = 0.1
_MOST_S: Final = 2.0
_BANNED: Final = 60.0
_FORGOTTEN_PER_S: Final = 1.0
_TABLE: Final = 10_000


class Penalties:
    """Refusals per address, forgotten at one a second. A bounded table: the oldest goes first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._table: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def note(self, address: str) -> float:
        """Count a refusal. Returns after how many seconds to answer it: 0 up to 2."""
        score = min(self._score(address) + 1, _BANNED)
        self._table[address] = (score, self._clock())
        self._table.move_to_end(address)
        while len(self._table) > _TABLE:
            self._table.popitem(last=False)
        return min(max(score - _FREE, 0) * _STEP_S, _MOST_S)

    def is_banned(self, address: str) -> bool:
        """Whether the address is refused unseen for now: about sixty refusals in a minute."""
        return self._score(address) > _BANNED - 1

    def _score(self, address: str) -> float:
        score, then = self._table.get(address, (0.0, 0.0))
        return max(score - (self._clock() - then) * _FORGOTTEN_PER_S, 0)
