"""How often to kill, and what came of it.

`pytest tests/crash --kills 300` kills 300 times and `--restarts 20` restarts 20 times; the
environment variables KILLS and RESTARTS do the same.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

DEFAULT_KILLS = 25
DEFAULT_RESTARTS = 5

_FIGURES: pytest.StashKey[Counter[str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option exists if this folder is named on the command line."""
    parser.addoption("--kills", type=int, default=None, help="how often to kill the server")
    parser.addoption("--restarts", type=int, default=None, help="how often to restart the server")


@pytest.fixture
def kills(pytestconfig: pytest.Config) -> int:
    """How often to kill the server."""
    given = pytestconfig.getoption("kills", default=None)
    return int(given or os.environ.get("KILLS") or DEFAULT_KILLS)


@pytest.fixture
def restarts(pytestconfig: pytest.Config) -> int:
    """How often to restart the server."""
    given = pytestconfig.getoption("restarts", default=None)
    return int(given or os.environ.get("RESTARTS") or DEFAULT_RESTARTS)


@pytest.fixture
def figures(pytestconfig: pytest.Config) -> Counter[str]:
    """What is counted here is shown at the end of the run."""
    return pytestconfig.stash.setdefault(_FIGURES, Counter())


@pytest.fixture
def anyio_backend() -> str:
    """The backend of anyio's pytest plugin."""
    return "asyncio"


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show the figures."""
    if figures := config.stash.get(_FIGURES, None):
        shown = ", ".join(f"{count} {what}" for what, count in figures.items())
        terminalreporter.write_line(f"crash tests: {shown}")
