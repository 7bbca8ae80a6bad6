"""What stores are fed with: CoValues, sessions and chunks. A store never looks into them."""

from __future__ import annotations

from collections.abc import Iterable

from protocol.content import Chunk, split_transactions
from server.store import Change, Range, Store
from tests.signing import Account, group, owned_map

_ALICE = Account.named("alice")
_GROUP = group(_ALICE.id)

A, B, C = (owned_map(_GROUP.id, unique=name).id for name in "abc")
"""Three CoValues."""
HEADER = b'{"a":"header"}'
S1, S2, S3 = (_ALICE.session(name).id for name in "123")
"""Three live sessions."""
DELETES = _ALICE.delete_session().id
"""A delete session."""
EVERYTHING = 2**40


def chunk(session: str, first: int, count: int = 1, size: int = 0, mark: str = "") -> Chunk:
    """`count` transactions from index `first` on, each at least `size` bytes."""
    texts = [
        f'{{"n":{n},"mark":"{mark}","pad":"{"x" * size}"}}' for n in range(first, first + count)
    ]
    signature = f"signature_zAfter{first + count}"
    return Chunk(session, first, count, signature, ",".join(texts).encode())


def chunks(session: str, *counts: int, size: int = 0) -> list[Chunk]:
    """Adjacent chunks from the start of a session on."""
    made: list[Chunk] = []
    for count in counts:
        made.append(chunk(session, sum(c.count for c in made), count, size))
    return made


def created(covalue: str, *held: Chunk, dependencies: Iterable[str] = ()) -> Change:
    """The change that creates a CoValue."""
    return Change(covalue, HEADER + covalue.encode(), list(dependencies), list(held))


def appended(covalue: str, *held: Chunk, dependencies: Iterable[str] = ()) -> Change:
    """A change of a CoValue that exists."""
    return Change(covalue, None, list(dependencies), list(held))


def erased(covalue: str, *held: Chunk) -> Change:
    """The change that erases a CoValue; `held` is kept."""
    return Change(covalue, None, [], list(held), erase=True)


async def whole(store: Store, covalue: str) -> dict[str, list[bytes]]:
    """All transactions of a CoValue, by session, read as its known state says."""
    stored = (await store.load([covalue]))[covalue]
    held: dict[str, list[bytes]] = {}
    for session, count in stored.sessions.items():
        held[session] = []
        for _, found in await store.read([Range(covalue, session, 0, count)], EVERYTHING):
            assert found.first == len(held[session])
            held[session] += split_transactions(found.data)
            assert len(held[session]) == found.first + found.count
        assert len(held[session]) == count
    return held


def texts(*found: Chunk) -> list[bytes]:
    """The transactions of chunks."""
    return [text for each in found for text in split_transactions(each.data)]
