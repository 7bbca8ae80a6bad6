"""Fixtures of the browser tests: Chromium, pages, an enforcing bandstand, a Clerk front end."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.browser.chromium import Chromium, find_chromium, running
from tests.browser.install import TOOLS
from tests.browser.website import serve_files
from tests.interop import install
from tests.interop.auth.enforcing import EnforcingServer
from tests.interop.auth.frontend import Frontend, serve
from tests.interop.releases import NEWEST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CLIENTS = ROOT / "tests" / "interop" / "clients" / NEWEST
MISSING = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Find out once what this machine has."""
    config.stash[MISSING] = _what_is_missing()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip everything, from this one place, where there is no browser."""
    if missing := item.config.stash[MISSING]:
        pytest.skip(missing)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say loudly what was not tested."""
    if missing := config.stash[MISSING]:
        terminalreporter.section("BROWSER TESTS DID NOT RUN", sep="!")
        terminalreporter.write_line(missing)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a machine without a browser is a failure, not a reason to skip."""
    if session.config.stash[MISSING] and os.environ.get("CI") == "true":
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _what_is_missing() -> str:
    if find_chromium() is None:
        return "NO CHROMIUM ON THIS MACHINE: the client helper is NOT TESTED in a browser"
    if not install.node_is_here():
        return "NO NODE ON THIS MACHINE: the client helper is NOT TESTED in a browser"
    if not (install.is_installed(TOOLS) and install.is_installed(CLIENTS)):
        return (
            "bundler or clients not installed: run python -m tests.browser.install (and interop's)"
        )
    return ""


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The tests run on asyncio only."""
    return "asyncio"


@pytest.fixture(scope="session")
def frontend() -> Iterator[Frontend]:
    """A Clerk instance; every test has its own users."""
    with serve(Frontend()) as live:
        yield live


@pytest.fixture(scope="session")
async def chromium(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Chromium]:
    """One browser for all tests."""
    path = find_chromium()
    assert path is not None
    async with running(path, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="session")
async def peer(
    anyio_backend: str, frontend: Frontend, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """The URL of a server that lets in nobody without a live token."""
    async with anyio.create_task_group() as tasks:
        server = EnforcingServer(tmp_path_factory.mktemp("server"), tasks, frontend)
        await server.start()
        yield server.url
        await server.stop()
        assert not server.leaks()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL under which the pages are; the helper is served as it is shipped."""
    bundle = tmp_path_factory.mktemp("bundle") / "app.js"
    bundle_app(bundle)
    files = {
        "/helper.html": HERE / "pages" / "helper.html",
        "/jazz.html": HERE / "pages" / "jazz.html",
        "/app.js": bundle,
        "/clerk-client/index.js": ROOT / "deploy" / "clerk-client" / "index.js",
    }
    with serve_files(files) as url:
        yield url


def bundle_app(bundle: Path) -> None:
    """Write the Jazz app and its packages into one file, all but the helper."""
    esbuild = TOOLS / "node_modules" / ".bin" / "esbuild"
    options = ["--bundle", "--format=esm", "--log-level=warning", f"--outfile={bundle}"]
    subprocess.run(
        [str(esbuild), str(HERE / "pages" / "app.mjs"), "--external:/clerk-client/*", *options],
        env={**os.environ, "NODE_PATH": str(CLIENTS / "node_modules")},
        check=True,
        timeout=60,
    )
