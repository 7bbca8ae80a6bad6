"""How often to kill and to cut the power, how large a large file is, and what came of it.

`pytest tests/crash --kills 1000 --power-losses 20000 --megabytes 1000` says so; the environment
variables KILLS, POWER_LOSSES and MEGABYTES do the same.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.crash.shim import Shim, ShimUnavailable

DEFAULT_KILLS = 25
DEFAULT_POWER_LOSSES = 300
DEFAULT_MEGABYTES = 50

_FIGURES: pytest.StashKey[Counter[str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option exists if this folder is named on the command line."""
    parser.addoption("--kills", type=int, default=None, help="how often to kill the server")
    parser.addoption(
        "--power-losses", type=int, default=None, help="how many states after a power loss to open"
    )
    parser.addoption("--megabytes", type=int, default=None, help="how large a large file is")


@pytest.fixture
def kills(pytestconfig: pytest.Config) -> int:
    """How often to kill the server."""
    given = pytestconfig.getoption("kills", default=None)
    return int(given or os.environ.get("KILLS") or DEFAULT_KILLS)


@pytest.fixture
def power_losses(pytestconfig: pytest.Config) -> int:
    """How many states after a power loss to open."""
    given = pytestconfig.getoption("power_losses", default=None)
    return int(given or os.environ.get("POWER_LOSSES") or DEFAULT_POWER_LOSSES)


@pytest.fixture
def megabytes(pytestconfig: pytest.Config) -> int:
    """How large a large file is."""
    given = pytestconfig.getoption("megabytes", default=None)
    return int(given or os.environ.get("MEGABYTES") or DEFAULT_MEGABYTES)


@pytest.fixture
def figures(pytestconfig: pytest.Config) -> Counter[str]:
    """What is counted here is shown at the end of the run."""
    return pytestconfig.stash.setdefault(_FIGURES, Counter())


@pytest.fixture
def shim() -> Iterator[Shim]:
    """The shim, as SQLite's default VFS."""
    try:
        made = Shim()
    except ShimUnavailable as error:
        pytest.skip(f"NO POWER LOSS, NO SICK DISK: the library of sqlite3 is out of reach: {error}")
    with made:
        yield made


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
