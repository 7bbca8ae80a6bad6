"""The node is broken on purpose: the simulation must say so, or its silence means nothing."""

from __future__ import annotations

from typing import Final

import pytest

from tests.simulation.breaks import BREAKS, rewritten
from tests.simulation.mutations import found

_SOON: Final = (
    "acknowledge before the commit",
    "take any signature",
    "deliver without dependencies",
    "a gap is not corrected",
    "lanes ignore those of dependencies",
    "values go from memory while they are needed",
)
_RUNS: Final = 200
_SECONDS: Final = 20.0


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_fits_the_program_as_it_is(name: str) -> None:
    assert all(function.__code__ != code for function, code in rewritten(name))


@pytest.mark.parametrize("name", _SOON)
def test_a_break_is_found(name: str) -> None:
    assert found(name, _RUNS, _SECONDS).promise
