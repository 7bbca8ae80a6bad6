"""The end of a node: what still comes afterwards finds nobody at work, and is no fault."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from server.node import Node
from server.store.memory import MemoryStore
from tests.integration.sync.stage import LIMITS, Band, Client

pytestmark = pytest.mark.anyio


async def test_what_comes_after_the_end_starts_nothing() -> None:
    # Found by the simulation (seed 701): a last turn met a load, and a delivery could not start.
    loop = asyncio.get_running_loop()
    node = Node(MemoryStore(), LIMITS, clock=loop.time, call_soon=loop.call_soon)
    band = Band()
    async with anyio.create_task_group() as tasks:
        await tasks.start(node.run)
        writer, reader = Client(node, "writer"), Client(node, "reader")
        await writer.upload(*band.first())
        node.drain()
    reader.peer.lagging.add(band.map.id)
    node.catch_up(reader.peer)
    assert node.counters["faults"] == 0
