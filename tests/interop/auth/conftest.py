"""Fixtures: a Clerk front end, an enforcing bandstand, and real clients of two releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.interop.auth.enforcing import WORKER_KEY, EnforcingServer
from tests.interop.auth.frontend import Frontend, serve
from tests.interop.auth.stage import Stage
from tests.interop.releases import not_run
from tests.interop.server_process import serving_reference

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from anyio.abc import TaskGroup


@pytest.fixture(params=["0.19.22", "0.20.19"])
def release(request: pytest.FixtureRequest) -> str:
    """The release of the clients in this test."""
    return str(request.param)


@pytest.fixture(autouse=True)
def bandstand_only() -> None:
    """Jazz's own server lets everybody in."""
    if serving_reference():
        not_run("about bandstand's own handshake")


@pytest.fixture(scope="session")
def frontend() -> Iterator[Frontend]:
    """A Clerk instance; every test has its own users."""
    with serve(Frontend()) as running:
        yield running


@pytest.fixture(scope="session")
async def enforcing(
    background: TaskGroup, frontend: Frontend, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EnforcingServer]:
    """The server of these tests."""
    process = EnforcingServer(tmp_path_factory.mktemp("enforcing"), background, frontend)
    await process.start()
    yield process
    await process.stop()
    assert not process.leaks()


@pytest.fixture
async def stage(
    release: str, frontend: Frontend, enforcing: EnforcingServer, background: TaskGroup
) -> AsyncIterator[Stage]:
    """The clients of one test; they are gone afterwards."""
    stage = Stage(release, enforcing.url, WORKER_KEY, frontend, background)
    yield stage
    for driver in stage.drivers:
        await driver.stop()
