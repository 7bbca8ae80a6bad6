"""For every run: machines may be slow; and at its end, no server has printed a secret."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from tests.printed import PRINTED

# How long an example takes says something about the machine, not about the program.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A secret in what servers printed fails the run, whatever its tests say."""
    if PRINTED.leaks:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was looked through, and what was found."""
    if PRINTED.leaks:
        terminalreporter.section("SERVERS PRINTED SECRETS", sep="!")
        for leak in dict.fromkeys(PRINTED.leaks):
            terminalreporter.write_line(leak)
    elif PRINTED.characters:
        terminalreporter.write_line(
            f"servers printed {PRINTED.characters} characters, no secret among them"
        )
