"""A disk that is full for a while: nothing is acknowledged, nothing is lost, all is told."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import pytest

from tests.integration.operations.command import Server, serving
from tests.integration.operations.talk import health, talking
from tests.integration.sync.stage import Band

pytestmark = pytest.mark.anyio


@contextmanager
def full_disk(server: Server) -> Iterator[None]:
    """No file of the server may grow inside the context."""
    soft, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (soft, hard))


async def becomes(server: Server, status: str) -> None:
    """Wait until `/health` says so."""
    with anyio.fail_after(20):
        while (await health(server.port))["status"] != status:  # noqa: ASYNC110
            await anyio.sleep(0.05)


async def test_edits_wait_for_the_disk(tmp_path: Path) -> None:
    band = Band()
    async with serving(tmp_path) as server, talking(server.url) as alice:
        await alice.upload(*band.first())
        with full_disk(server):
            await alice.send(band.edit("second"))
            await server.logged("store.unavailable")
            await becomes(server, "degraded")
            assert (await health(server.port))["store"] == "unavailable"
            # What is durable can still be had.
            async with talking(server.url) as bob:
                assert (await bob.load(band.account.id))["action"] == "content"
            await alice.send(band.edit("third"))
        # One answer for each commit.
        counts = [(await alice.next())["sessions"][band.session.id] for _ in range(2)]
        assert counts == [2, 3]
        await becomes(server, "ok")
        assert "store.recovered" in server.stderr
        await server.stop()
    async with serving(tmp_path) as server, talking(server.url) as carol:
        part = (await carol.load(band.map.id))["new"][band.session.id]
        assert len(part["newTransactions"]) == 3


async def test_a_stop_does_not_wait_for_ever_and_acknowledges_nothing(tmp_path: Path) -> None:
    band = Band()
    environment = {"BANDSTAND_SHUTDOWN_SECONDS": "0.3"}
    async with serving(tmp_path, env=environment) as server, talking(server.url) as alice:
        await alice.upload(*band.first())
        with full_disk(server):
            await alice.send(band.edit("second"))
            await server.logged("store.unavailable")
            await server.stop()
        assert await alice.rest() == ([], 1012)
        assert "server.undurable" in server.stderr
        assert "Traceback" not in server.stderr
    async with serving(tmp_path) as server, talking(server.url) as carol:
        part = (await carol.load(band.map.id))["new"][band.session.id]
        assert len(part["newTransactions"]) == 1
