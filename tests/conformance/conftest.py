"""What the conformance tests share: texts that leave one by one, and an option."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The backend of anyio's pytest plugin."""
    return "asyncio"


@pytest.fixture(autouse=True)
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """No outbox joins two texts into one, as it may with messages of Jazz."""
    monkeypatch.setattr("server.outbox.FRAME_BYTES", 0)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option exists if this folder is named on the command line."""
    parser.addoption(
        "--write-conformance-tables",
        action="store_true",
        help="write the tables of tests/conformance/README.md anew",
    )
