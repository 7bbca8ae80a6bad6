"""The client releases under test, oldest first, and what they lack."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from tests.interop.driver_process import Driver

RELEASES = ("0.15.16", "0.16.7", "0.17.15", "0.18.38", "0.19.22", "0.20.19")
OLDEST, NEWEST = RELEASES[0], RELEASES[-1]


def version(release: str) -> tuple[int, ...]:
    """`release` as numbers that compare."""
    return tuple(int(part) for part in release.split("."))


def needs(driver: Driver, feature: str, reason: str) -> None:
    """Leave the test, shown as "n.a.", when the release lacks a feature."""
    if not driver.features[feature]:
        not_applicable(reason)


def not_applicable(reason: str) -> NoReturn:
    """Leave the test, shown as "n.a." with its reason."""
    pytest.skip(f"n.a.: {reason}")


def not_run(reason: str) -> NoReturn:
    """Leave the test, shown as "not run" with its reason."""
    pytest.skip(f"not run: {reason}")
