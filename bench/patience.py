"""Waiting for a server, but not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from time import perf_counter
from typing import Final

from bench.client import Client
from bench.faults import ConnectionFailed, Stalled

_LOOK_S: Final = 0.004
_PATIENCE_S: Final = 20.0


async def until(
    done: Callable[[], bool],
    progress: Callable[[], int],
    clients: Collection[Client],
    *,
    deadline: float | None = None,
    tell: Callable[[int], None] | None = None,
) -> bool:
    """Wait until `done`, or until `deadline` (of `perf_counter`, s). Returns whether it is done.

    `progress` must grow meanwhile. Raises `Stalled` if it does not for 20 s, `ConnectionFailed` if
    a client was dropped.
    """
    moved, last, looks = perf_counter(), progress(), 0
    while not done():
        await asyncio.sleep(_LOOK_S)
        now, current = perf_counter(), progress()
        looks += 1
        if tell is not None and looks % 25 == 0:
            tell(current)
        if current != last:
            moved, last = now, current
        elif now - moved > _PATIENCE_S:
            raise Stalled(f"nothing moves any more after {current} operations")
        if looks % 50 == 0 and (lost := next((c.lost for c in clients if c.lost), None)):
            raise ConnectionFailed(lost)
        if deadline is not None and now >= deadline:
            return False
    return True
