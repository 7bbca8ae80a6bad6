"""How often to kill and to cut the power, how large a large file is, and what came of it.

`pytest tests/crash --kills 1000 --power-losses 20000 --megabytes 1000 --restarts 20` says how much;
the environment variables KILLS, POWER_LOSSES, MEGABYTES and RESTARTS do the same.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Final

import pytest

from tests.crash.shim import Shim, ShimUnavailable

_AMOUNTS: Final = {
    "kills": (15, "how often to kill the server"),
    "power-losses": (300, "how many states after a power loss to open"),
    "megabytes": (35, "how large a large file is"),
    "restarts": (3, "how often to restart the server under load"),
}
"""Options: what each is if nobody says, and what it means."""

_FIGURES: pytest.StashKey[Counter[str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options exist if this folder is named on the command line."""
    for name, (_, meaning) in _AMOUNTS.items():
        parser.addoption(f"--{name}", type=int, default=None, help=meaning)


def _amount(config: pytest.Config, name: str) -> int:
    given = config.getoption(name.replace("-", "_"), default=None)
    return int(given or os.environ.get(name.replace("-", "_").upper()) or _AMOUNTS[name][0])


@pytest.fixture
def kills(pytestconfig: pytest.Config) -> int:
    """How often to kill the server."""
    return _amount(pytestconfig, "kills")


@pytest.fixture
def power_losses(pytestconfig: pytest.Config) -> int:
    """How many states after a power loss to open."""
    return _amount(pytestconfig, "power-losses")


@pytest.fixture
def megabytes(pytestconfig: pytest.Config) -> int:
    """How large a large file is."""
    return _amount(pytestconfig, "megabytes")


@pytest.fixture
def restarts(pytestconfig: pytest.Config) -> int:
    """How often to restart the server under load."""
    return _amount(pytestconfig, "restarts")


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
