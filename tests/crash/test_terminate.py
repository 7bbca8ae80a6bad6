"""SIGTERM in the middle of load: peers are told, and nothing acknowledged is lost."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.crash.clients import load
from tests.crash.reading import read_back
from tests.crash.world import World
from tests.integration.operations.command import Server, serving

pytestmark = pytest.mark.anyio

MOMENTS = [1, 20, 120]


@pytest.mark.parametrize("cause", ["acknowledgements", "messages"])
async def test_nothing_acknowledged_is_lost_when_stopped(
    tmp_path: Path, cause: str, figures: Counter[str]
) -> None:
    world = World(f"stopped after some {cause}")
    for moment in MOMENTS:
        async with serving(tmp_path) as server:
            assert (await read_back(server.url, world))[0] == 0
            codes = await stop_under_load(server, world, cause, moment)
            assert await server.ended() == 0
            assert set(codes) <= {1012, 1001}, codes
            assert "server.stopped" in server.stderr
            assert world.seen["corrections"] == 0
            figures["stops"] += 1
    async with serving(tmp_path) as server:
        assert (await read_back(server.url, world))[0] == 0


async def stop_under_load(
    server: Server, world: World, cause: str, moment: int
) -> list[int | None]:
    """Send SIGTERM in the tick in which the clients see something for the n-th time."""

    def happened(what: str) -> None:
        world.seen[what] += 1
        if what == cause and world.seen[what] == moment:
            server.send(signal.SIGTERM)

    return await load(server.url, world, happened)
