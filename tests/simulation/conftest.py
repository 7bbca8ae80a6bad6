"""Options of the simulation, and the loop of its tests."""

from __future__ import annotations

from typing import Final

import pytest

WORLDS: Final = pytest.StashKey[str]()
"""What to say at the end: how many worlds ran."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--seed N` replays one run and shows its trace; `--runs N` is the long mode."""
    group = parser.getgroup("simulation")
    group.addoption("--seed", type=int, default=None, help="replay the simulation with this seed")
    group.addoption("--runs", type=int, default=None, help="how many simulated runs")
    group.addoption("--first", type=int, default=0, help="the first seed of the simulated runs")


@pytest.fixture
def anyio_backend() -> str:
    """The backend of anyio's pytest plugin."""
    return "asyncio"


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how many worlds ran."""
    if worlds := config.stash.get(WORLDS, ""):
        terminalreporter.write_line(f"simulation: {worlds}")
