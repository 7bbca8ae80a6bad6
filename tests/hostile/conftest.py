"""How large the attacks are, and what they cost.

`pytest tests/hostile --hostile-scale whole` attacks with millions; without it, with as much as fits
a minute. The figures are shown at the end: memory, and what the honest peers waited (relay of an
edit from one to the other, in ms).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.hostile.siege import Figures, Siege, siege

_FIGURES: pytest.StashKey[list[Figures]] = pytest.StashKey()

Besiege = Callable[..., AbstractAsyncContextManager[Siege]]
Scale = Callable[[int, int], int]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option exists if this folder is named on the command line."""
    parser.addoption(
        "--hostile-scale", choices=("small", "whole"), default=None, help="how large attacks are"
    )


@pytest.fixture
def scale(pytestconfig: pytest.Config) -> Scale:
    """Chooses between a number that fits a minute and the whole one."""
    whole = pytestconfig.getoption("hostile_scale", default=None) == "whole"
    return lambda small, large: large if whole else small


@pytest.fixture
def besiege(pytestconfig: pytest.Config, tmp_path: Path) -> Besiege:
    """`siege` in a folder of its own, its figures kept for the end."""
    figures = pytestconfig.stash.setdefault(_FIGURES, [])
    return partial(siege, tmp_path, figures)


@pytest.fixture
def anyio_backend() -> str:
    """The backend of anyio's pytest plugin."""
    return "asyncio"


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show the figures."""
    if figures := config.stash.get(_FIGURES, []):
        terminalreporter.section("attacks")
        terminalreporter.write_line(
            f"{'attack':<44} {'memory grown':<29} | {'p50 p99 max before':<20}"
            f" | {'p50 p99 max during':<20} | counters"
        )
        for each in figures:
            terminalreporter.write_line(each.row())
