"""Fixtures: a Clerk front end, an enforcing bandstand, and real clients of two releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from tests.interop.auth.frontend import Frontend, serve
from tests.interop.auth.gate import gate
from tests.interop.auth.stage import Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from anyio.abc import TaskGroup

    from tests.interop.server_process import ServerProcess

WORKER_KEY = "bsk_for-tests-only"


@pytest.fixture(params=["0.19.22", "0.20.19"])
def release(request: pytest.FixtureRequest) -> str:
    """The release of the clients in this test."""
    return str(request.param)


@pytest.fixture(scope="session")
def frontend() -> Iterator[Frontend]:
    """A Clerk instance; every test has its own users."""
    with serve(Frontend()) as running:
        yield running


@pytest.fixture
async def stage(
    release: str, frontend: Frontend, server: ServerProcess, background: TaskGroup
) -> AsyncIterator[Stage]:
    """The clients of one test; they are gone afterwards. No test may take a minute."""
    async with gate(frontend, server.url, WORKER_KEY) as url:
        stage = Stage(release, url, WORKER_KEY, frontend, background)
        with anyio.fail_after(60):
            yield stage
        for driver in stage.drivers:
            await driver.stop()
