"""Async tests run on asyncio, the one loop that the server runs on."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The backend of anyio's pytest plugin."""
    return "asyncio"
