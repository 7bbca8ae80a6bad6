"""A large file, written by the store itself: everything in it is signed as a client signs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from protocol.content import Chunk
from server.store import Change
from server.store.sqlite import SqliteStore
from tests.signing import Account, CoValue, Session, canonical, group, owned_map, set_role, trusting

_TRANSACTIONS = 10
_CHUNKS = 10
_VALUE_BYTES = 100_000
_COMMIT = 100


@dataclass
class Large:
    """What was written."""

    account: Account
    group: CoValue
    maps: list[CoValue]
    session: str
    """The session that wrote each of the maps."""
    transactions: int = _CHUNKS * _TRANSACTIONS
    """In each of the maps."""


def _chunk(session: Session, *transactions: dict[str, object]) -> Chunk:
    run = session.append(*transactions)
    data = b",".join(run.texts)
    return Chunk(session.id, run.after, len(run.texts), run.signature, data)


def _created(value: CoValue, chunks: list[Chunk], dependencies: list[str]) -> Change:
    return Change(value.id, canonical(value.header), dependencies, chunks)


async def make_large(path: Path, size: int) -> Large:
    """Write a file of about `size` bytes."""
    account = Account.named("large")
    band = group(account.id)
    own, members = account.agent.session(), account.session()
    store = await SqliteStore.open(str(path))
    try:
        changes = [
            _created(account, [_chunk(own, set_role(account.agent.id, "admin", made_at=1))], []),
            _created(
                band, [_chunk(members, set_role(account.id, "admin", made_at=2))], [account.id]
            ),
        ]
        assert all(await store.commit(changes))
        maps = [owned_map(band.id, unique=str(n)) for n in range(size // _VALUE_BYTES)]
        pad = "x" * (_VALUE_BYTES // _CHUNKS // _TRANSACTIONS - 100)
        for begin in range(0, len(maps), _COMMIT):
            changes = []
            for value in maps[begin : begin + _COMMIT]:
                session = account.session()
                chunks = [
                    _chunk(
                        session,
                        *[
                            trusting(
                                [{"op": "set", "key": f"{value.id} {n}", "value": pad}], made_at=n
                            )
                            for n in range(_TRANSACTIONS)
                        ],
                    )
                    for _ in range(_CHUNKS)
                ]
                changes.append(_created(value, chunks, []))
            assert all(await store.commit(changes))
    finally:
        await store.close()
    return Large(account, band, maps, account.session().id)
