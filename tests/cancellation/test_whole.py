"""After the others: every place where the server waits was cancelled at, or its reason is given."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.cancellation.awaits import functions, not_ended

_README: Final = Path(__file__).with_name("README.md")
_EXCUSED: Final = re.compile(r"^\| `(\w+\.[\w.]+)` \| .+ \|$", re.MULTILINE)


def test_every_wait_was_ended_or_has_a_reason(request: pytest.FixtureRequest) -> None:
    ran = {item.path.name for item in request.session.items}
    there = {each.name for each in Path(__file__).parent.glob("test_*.py")}
    if ran < there or request.config.option.keyword or request.session.testsfailed:
        pytest.skip("this is about the others, all of them")
    missing = not_ended()
    excused = set(_EXCUSED.findall(_README.read_text()))
    assert {name: lines for name, lines in missing.items() if name not in excused} == {}
    assert excused <= functions()
