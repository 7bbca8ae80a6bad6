"""Every store that there is, on real files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from server.store import Store
from server.store.memory import MemoryStore
from server.store.sqlite import SqliteStore

Open = Callable[[], Awaitable[SqliteStore]]
Reopen = Callable[[], Awaitable[Store]]


async def open_and_close(path: str) -> None:
    """Open the SQLite store, which may well be refused; if it is not, nothing stays open."""
    await (await SqliteStore.open(path)).close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the SQLite file is to be."""
    return tmp_path / "band.db"


@pytest.fixture
async def opened(anyio_backend: str, path: Path) -> AsyncIterator[Open]:
    """Opens the SQLite store at `path`; the last one opened is closed after the test."""
    current: list[SqliteStore] = []

    async def again() -> SqliteStore:
        if current:
            await current.pop().close()
        current.append(await SqliteStore.open(str(path)))
        return current[0]

    yield again
    if current:
        await current[0].close()


@pytest.fixture(params=["memory", "sqlite"])
async def reopen(request: pytest.FixtureRequest, opened: Open) -> Reopen:
    """Opens the store, or closes and opens it again. What is in memory only stays open."""
    if request.param == "sqlite":
        return opened
    memory = MemoryStore()

    async def same() -> Store:
        return memory

    return same


@pytest.fixture
async def store(reopen: Reopen) -> Store:
    """An empty store, of each kind."""
    return await reopen()


@pytest.fixture
async def sqlite(opened: Open) -> SqliteStore:
    """An empty SQLite store."""
    return await opened()
