"""The cases of the Autobahn test suite, which `kosoku` runs, against our connection."""

from __future__ import annotations

import pytest

from tests.conformance.autobahn import NOT_PASSED, NOT_STRICT, run
from tests.conformance.stacks import bandstand

pytestmark = pytest.mark.anyio


async def test_the_cases_of_autobahn() -> None:
    async with bandstand() as port:
        verdicts = await run(port)
    assert len(verdicts) > 250
    failed = {case: verdict for case, verdict in verdicts.items() if not verdict.passed}
    assert failed.keys() == NOT_PASSED.keys(), failed
    lax = {case for case, verdict in verdicts.items() if verdict.behavior.value == "NON-STRICT"}
    assert lax <= NOT_STRICT.keys()
