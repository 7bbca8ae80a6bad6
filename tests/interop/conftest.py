"""Fixtures of the interop tests, and the table at the end of their run.

One driver process per release and one server are shared by all tests: every test makes its own
accounts and values, so they do not meet. Tests that restart, kill or rob a server take
`own_server`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.interop import install
from tests.interop.driver_process import Driver, start_driver
from tests.interop.releases import RELEASES, not_run
from tests.interop.report import (
    FAIL,
    NOT_APPLICABLE,
    NOT_RUN,
    PASS,
    Table,
    write_between_markers,
)
from tests.interop.server_process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from anyio.abc import TaskGroup

HERE = Path(__file__).resolve().parent
TABLE = pytest.StashKey[Table]()
MISSING = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --write-interop-table."""
    parser.addoption(
        "--write-interop-table",
        metavar="FILE",
        help="replace the interop table between the markers in FILE",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker that names a test's row in the table."""
    config.addinivalue_line("markers", "scenario(name): the test's row in the interop table")
    config.stash[TABLE] = Table(list(RELEASES))
    config.stash[MISSING] = _what_is_missing()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test its place in the table."""
    for item in items:
        marker = item.get_closest_marker("scenario")
        callspec = getattr(item, "callspec", None)
        if marker is not None and callspec is not None:
            item.user_properties.append(("scenario", marker.args[0].format(**callspec.params)))
            item.user_properties.append(("release", callspec.params["release"]))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip everything, from this one place, where the clients cannot run."""
    if missing := item.config.stash[MISSING]:
        pytest.skip(missing)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Enter the outcome of a test into the table."""
    report: pytest.TestReport = yield
    place = dict(item.user_properties)
    if "scenario" in place and (report.when == "call" or report.outcome != "passed"):
        table = item.config.stash[TABLE]
        outcome, reason = _outcome(report)
        table.add(str(place["scenario"]), str(place["release"]), outcome, reason)
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table, and write it where asked."""
    missing, table = config.stash[MISSING], config.stash[TABLE]
    if missing:
        terminalreporter.section("INTEROP TESTS DID NOT RUN", sep="!")
        terminalreporter.write_line(missing)
        return
    if not table.cells:
        return
    terminalreporter.section("interop: scenario x client release")
    terminalreporter.write_line(table.markdown())
    file = config.getoption("--write-interop-table", default=None)
    if file:
        write_between_markers(Path(file), table.markdown())


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a machine that cannot run the clients is a failure, not a reason to skip."""
    if session.config.stash[MISSING] and os.environ.get("CI") == "true":
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _what_is_missing() -> str:
    if not install.node_is_here():
        return "NO NODE ON THIS MACHINE: interop with real Jazz clients is NOT TESTED"
    absent = [
        folder.name for folder in install.client_folders() if not install.is_installed(folder)
    ]
    if absent:
        return f"clients not installed ({', '.join(absent)}): run python tests/interop/install.py"
    return ""


def _outcome(report: pytest.TestReport) -> tuple[str, str]:
    if report.failed:
        return FAIL, ""
    if report.passed:
        return PASS, ""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if reason.startswith("n.a.: "):
        return NOT_APPLICABLE, reason.removeprefix("n.a.: ")
    return NOT_RUN, reason.removeprefix("not run: ")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The tests run on asyncio only."""
    return "asyncio"


@pytest.fixture(scope="session")
async def background(anyio_backend: str) -> AsyncIterator[TaskGroup]:
    """Where the tasks that read from other processes live.

    One group for the whole run: groups must end in the reverse order of their beginning, and the
    processes come and go in any order.
    """
    async with anyio.create_task_group() as tasks:
        yield tasks
        tasks.cancel_scope.cancel()


class Drivers:
    """The driver processes, started when a release is first asked for."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._running: dict[str, Driver] = {}

    async def of(self, release: str) -> Driver:
        """The driver that plays clients of `release`."""
        if release not in self._running:
            self._running[release] = await start_driver(release, self._tasks)
        return self._running[release]

    async def close_clients(self) -> None:
        """Let the clients of the test that just ended leave; none may have had a fault."""
        faults = [fault for driver in self._running.values() for fault in await driver.close_all()]
        assert not faults, "errors that no client caught:\n" + "\n".join(faults)

    async def stop(self) -> None:
        """End them all."""
        for driver in self._running.values():
            await driver.stop()


@pytest.fixture(scope="session")
async def all_drivers(background: TaskGroup) -> AsyncIterator[Drivers]:
    """Driver processes by release, shared by the whole run."""
    shared = Drivers(background)
    yield shared
    await shared.stop()


@pytest.fixture
async def drivers(all_drivers: Drivers) -> AsyncIterator[Drivers]:
    """The drivers, for one test; its clients are gone afterwards."""
    yield all_drivers
    await all_drivers.close_clients()


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    """The release of the clients in this test."""
    return str(request.param)


@pytest.fixture
async def driver(drivers: Drivers, release: str) -> Driver:
    """The driver of this test's release."""
    return await drivers.of(release)


@pytest.fixture(scope="session")
async def server(
    background: TaskGroup, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServerProcess]:
    """A server shared by all tests that leave it running."""
    process = ServerProcess(tmp_path_factory.mktemp("server"), background)
    await process.start()
    yield process
    if process.is_alive():
        await process.stop()


@pytest.fixture
async def own_server(background: TaskGroup, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """A server of this test's own."""
    process = ServerProcess(tmp_path, background)
    await process.start()
    yield process
    await process.end()


@pytest.fixture(autouse=True)
def server_survives(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test does, the shared server must be alive afterwards."""
    process = request.getfixturevalue("server") if "server" in request.fixturenames else None
    if process is not None and not process.is_alive():
        not_run("the server died in an earlier test")
    yield
    assert process is None or process.is_alive(), f"the server died:\n{process.output}"
