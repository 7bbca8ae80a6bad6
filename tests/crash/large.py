"""A large file, written by the store itself: everything in it is signed as a client signs."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from protocol.content import Chunk
from server.store import Change
from server.store.sqlite import SqliteStore
from tests.signing import Account, CoValue, Session, canonical, group, owned_map, set_role, trusting

_ROOT = Path(__file__).parents[2]
_TRANSACTIONS = 10
_CHUNKS = 10
_VALUE_BYTES = 100_000
_COMMIT = 100
_PAD = "x" * (_VALUE_BYTES // _CHUNKS // _TRANSACTIONS - 100)


@dataclass
class Large:
    """What was written."""

    account: Account
    group: CoValue
    session: str
    """The session that wrote each of the maps."""
    maps: list[CoValue] = field(default_factory=list)
    transactions: int = _CHUNKS * _TRANSACTIONS
    """In each of the maps."""


def _chunk(session: Session, *transactions: dict[str, object]) -> Chunk:
    run = session.append(*transactions)
    data = b",".join(run.texts)
    return Chunk(session.id, run.after, len(run.texts), run.signature, data)


def _created(value: CoValue, chunks: list[Chunk], *dependencies: str) -> Change:
    return Change(value.id, canonical(value.header), list(dependencies), chunks)


def _map(large: Large, number: int) -> Change:
    """The change that creates one of the maps."""
    value = owned_map(large.group.id, unique=str(number))
    large.maps.append(value)
    session = large.account.session()
    edits = [
        trusting([{"op": "set", "key": f"{value.id} {n}", "value": _PAD}], made_at=n)
        for n in range(_TRANSACTIONS)
    ]
    return _created(value, [_chunk(session, *edits) for _ in range(_CHUNKS)])


async def make_long(path: Path, chunks: int) -> None:
    """Write a file with one map, whose one session has so many chunks of a kilobyte."""
    store, large = await _begun(path)
    try:
        value, session = owned_map(large.group.id, unique="long"), large.account.session()
        edit = {"op": "set", "key": "pad", "value": "x" * 1_000}
        edits = (trusting([edit], made_at=number) for number in range(chunks))
        change = _created(value, [_chunk(session, each) for each in edits])
        assert await store.commit([change]) == [True]
    finally:
        await store.close()


async def _begun(path: Path) -> tuple[SqliteStore, Large]:
    """A store with the account and the group that everything else depends on."""
    account = Account.named("large")
    large = Large(account, group(account.id), account.session().id)
    own, members = account.agent.session(), account.session()
    first = _chunk(own, set_role(account.agent.id, "admin", made_at=1))
    roles = _chunk(members, set_role(account.id, "admin", made_at=2))
    store = await SqliteStore.open(str(path))
    await store.commit([_created(account, [first]), _created(large.group, [roles], account.id)])
    return store, large


async def make_large(path: Path, size: int) -> Large:
    """Write a file of about `size` bytes."""
    store, large = await _begun(path)
    try:
        for begin in range(0, size // _VALUE_BYTES, _COMMIT):
            end = min(begin + _COMMIT, size // _VALUE_BYTES)
            assert all(await store.commit([_map(large, n) for n in range(begin, end)]))
    finally:
        await store.close()
    return large


async def add_to_log(path: Path, large: Large, size: int) -> list[CoValue]:
    """Write about `size` bytes more, all of them into the log, in a process that is killed then.

    Returns the maps that are in the log alone.
    """
    before, count = len(large.maps), size // _VALUE_BYTES
    arguments = [sys.executable, "-m", "tests.crash.large", str(path), str(before), str(count)]
    ended = await anyio.run_process(arguments, cwd=_ROOT, check=False, stderr=None)
    assert ended.returncode == -signal.SIGKILL
    assert path.with_name(f"{path.name}-wal").stat().st_size >= size
    return [owned_map(large.group.id, unique=str(before + n)) for n in range(count)]


async def _write_and_die(path: str, before: int, count: int) -> None:
    account = Account.named("large")
    large = Large(account, group(account.id), account.session().id)
    store = await SqliteStore.open(path)
    # Somebody who reads all along, as a backup does: so the log is not emptied.
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM chunks").fetchone()
    for number in range(before, before + count):
        assert await store.commit([_map(large, number)]) == [True]
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    anyio.run(_write_and_die, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
