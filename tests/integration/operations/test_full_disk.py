"""A disk that is full for a while: nothing is acknowledged, nothing is lost, all is told."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import pytest

from tests.integration.operations.command import Server, serving
from tests.integration.operations.talk import health, request, talking
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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("A FILE SYSTEM THAT IS FULL IS NOT TESTED: only root may mount one")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def test_a_file_system_that_is_full_for_a_while(small_disk: Path) -> None:
    band = Band()
    async with serving(small_disk) as server, talking(server.url) as alice:
        await alice.upload(*band.first())
        with suppress(OSError), (small_disk / "filling").open("wb", buffering=0) as filling:
            while True:
                filling.write(bytes(4096))
        await alice.send(*[band.edit("x" * 1_000) for _ in range(50)])
        await server.logged("store.unavailable")
        assert "full" in server.stderr
        assert await ready(server) == "503 store"
        async with talking(server.url) as bob:
            assert (await bob.load(band.account.id))["action"] == "content"
        (small_disk / "filling").unlink()
        assert (await alice.next())["sessions"] == {band.session.id: 51}
        assert await ready(server) == "200 ready"
        await server.stop()


async def ready(server: Server) -> str:
    """The status and the word that `/ready` answers."""
    status, body = await request(server.port, "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
    return f"{status.split()[1]} {body.strip()}"
