"""A crowd: ever more connections that say nothing, and the memory that the server has with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from bench import procfs
from bench.client import Client, connect, leave_all
from bench.faults import NotMeasured
from bench.patience import until
from bench.servers import Server

_SETTLE_S: Final = 1.5
_BLOCK: Final = 100

Point = tuple[int, int]
"""Connections, and the bytes that the server's process has resident with them."""


async def gather_crowd(
    server: Server, counts: Sequence[int], tell: Callable[[int], None]
) -> list[Point]:
    """The memory at each of the `counts`, which grow. Raises `Fault`."""
    if server.pid is None:
        raise NotMeasured("the memory of a server that runs elsewhere cannot be seen")
    pinged: set[int] = set()
    clients: list[Client] = []
    found: list[Point] = []
    try:
        for count in counts:
            while len(clients) < count:
                first = len(clients)
                size = min(_BLOCK, count - first)
                block = (connect(server.url, _noting(pinged, first + at)) for at in range(size))
                clients += await asyncio.gather(*block)
                tell(len(clients))
            await until(partial(_all_of, pinged, count), pinged.__len__, clients)
            await asyncio.sleep(_SETTLE_S)
            found.append((count, procfs.memory(server.pid)))
    finally:
        leave_all(clients)
    return found


def _all_of(pinged: set[int], count: int) -> bool:
    return len(pinged) == count


def _noting(pinged: set[int], number: int) -> Callable[[bytes], None]:
    return lambda _line: pinged.add(number)
