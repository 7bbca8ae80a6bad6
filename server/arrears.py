"""What is remembered because peers are not in step, in bytes: per peer, and in total.

Known states, claims, and what is to follow deliveries. Next to nothing, as nearly every peer is in
step with nearly everything; but who claims very much, or does not read, makes it grow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from protocol.known_state import Sessions

_FREE: Final = 16
"""Sessions that are not counted: the number of subscriptions bounds them."""
_SESSION_BYTES: Final = 200


def weight(sessions: Sessions | None) -> int:
    """Roughly the bytes that a known state takes beyond what each subscription may take."""
    extra = 0 if sessions is None else len(sessions) - _FREE
    return extra * _SESSION_BYTES if extra > 0 else 0


class AllArrears:
    """What is remembered of all peers together."""

    __slots__ = ("limit", "on_over", "size")

    def __init__(self, limit: int, on_over: Callable[[], None] = lambda: None) -> None:
        """`limit` is in bytes; `on_over` is called whenever there is more than that."""
        self.limit = limit
        self.on_over = on_over
        self.size = 0

    @property
    def is_over(self) -> bool:
        """Whether somebody has to go."""
        return self.size > self.limit

    @property
    def has_room(self) -> bool:
        """Whether there is room for what can be read from the store again."""
        return self.size <= self.limit // 2


class Arrears:
    """What is remembered of one peer."""

    __slots__ = ("_all", "_closed", "size")

    def __init__(self, all_arrears: AllArrears | None = None) -> None:
        """Counted into `all_arrears`, too."""
        self._all = AllArrears(2**63) if all_arrears is None else all_arrears
        self._closed = False
        self.size = 0

    @property
    def has_room(self) -> bool:
        """See `AllArrears.has_room`."""
        return self._all.has_room

    def add(self, size: int) -> None:
        """So many bytes more, or fewer, are remembered."""
        if size and not self._closed:
            self.size += size
            self._all.size += size
            if size > 0 and self._all.is_over:
                self._all.on_over()

    def close(self) -> None:
        """The peer is gone, and with it what was remembered of it."""
        self._all.size -= self.size
        self.size = 0
        self._closed = True
