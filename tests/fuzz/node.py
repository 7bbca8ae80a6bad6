"""The whole node: a few bytes decide what several peers do, and what must hold at the end."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any, Final

import anyio
import base58
import structlog
from blake3 import blake3

from protocol.content import Chunk
from protocol.errors import ProtocolError
from protocol.messages import decode_message
from server.limits import Limits
from server.node import Node
from server.outbox import Outbox
from server.peer import Peer
from server.store.memory import MemoryStore
from tests.integration.sync.stage import Band
from tests.signing import (
    Account,
    content,
    deletion,
    extend,
    owned_map,
    private,
    set_role,
    trusting,
)
from tests.simulation.proof import author_of, is_signed, signer_of
from tests.simulation.virtual_loop import VirtualLoop

_LIMITS: Final = Limits(
    memory_bytes=20_000,
    outbox_bytes=4_000,
    held_bytes=20_000,
    total_held_bytes=40_000,
    parked_bytes=10_000,
    parked_s=60.0,
    asked=20,
    batches=2,
)
_PEERS: Final = 4
_DEEDS: Final = 60


def prepared() -> list[bytes]:
    """Messages that fit together: a band's, edits in and out of order, forgeries, a deletion."""
    band, other = Band(), Band("bob")
    first = band.first()
    runs = [band.run(n) for n in range(4)]
    alice = band.session.id
    made = [*first, *(content(band.map, {alice: run}) for run in runs)]
    made += [
        content(band.map, {alice: each})
        for run in runs[:2]
        for each in (run.with_flipped_signature(), run.with_changed_transaction())
    ]
    member = band.group_session.append(set_role(other.account.id, "writer", made_at=4))
    made.append(content(band.group, {band.group_session.id: member}))
    made += other.first()
    by_bob = other.account.session("2")
    made.append(content(band.map, {by_bob.id: by_bob.append(private("x" * 500, made_at=5))}))
    parent = other.group_session.append(extend(band.group.id, made_at=6))
    made.append(content(other.group, {other.group_session.id: parent}))
    for name, value in (("1", band.map), ("2", other.map)):
        ending = band.account.delete_session(name)
        marker = ending.append(deletion(value.id, made_at=7))
        made.append(content(value, {ending.id: marker}))
    lonely = owned_map(Account.named("nobody").id, "lonely")
    made.append(content(lonely, {alice: band.account.session().append(trusting([], made_at=1))},
                        with_header=True))  # fmt: skip
    for value in (band.account, band.group, band.map, other.map, lonely):
        for more in ({"header": False, "sessions": {}}, {"header": True, "sessions": {alice: 2}}):
            made.append(_json({"action": "load", "id": value.id} | more))
            made.append(_json({"action": "known", "id": value.id} | more))
    made.append(_json({"action": "known", "id": band.map.id, "header": True, "sessions": {alice: 1},
                       "isCorrection": True}))  # fmt: skip
    made.append(
        _json({"action": "reconcile", "id": "b", "values": [[band.map.id, "shortHash_z1"]]})
    )
    made.append(_json({"action": "reconcile-ack", "id": "b"}))
    made.append(_json({"action": "done", "id": band.map.id}))
    for name, value, markers in (
        ("3", band.map, [deletion(other.map.id, made_at=8)]),
        ("4", band.map, [deletion(band.map.id, made_at=8)] * 2),
        ("5", band.map, [trusting([], made_at=8)]),
        ("6", band.group, [deletion(band.group.id, made_at=8)]),
    ):
        ending = band.account.delete_session(name)
        made.append(content(value, {ending.id: ending.append(*markers)}))
    return made


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


PREPARED: Final = prepared()


class Ghost:
    """A peer that does what the bytes say, and reads all it is sent (or, for a while, nothing)."""

    def __init__(self, node: Node, name: str) -> None:
        self._node = node
        self.reads = True
        self.told: list[bytes] = []
        self.peer = Peer(name, Outbox(_LIMITS.outbox_bytes, self._ready), _nothing, self._closed)
        node.connect(self.peer)

    def take(self) -> None:
        """Read what waits."""
        while self.reads and (frame := self.peer.outbox.take()) is not None:
            self.told.append(frame)
        if not self.peer.closed and not self.peer.outbox.is_full:
            self._node.catch_up(self.peer)

    def _ready(self) -> None:
        asyncio.get_running_loop().call_soon(self.take)

    def _closed(self, code: int, reason: str) -> None:
        assert code != 1011, "a fault of ours"


def _nothing(reading: bool) -> None:
    """What is sent is sent, read or not."""


def node(data: bytes) -> Counter[str]:
    """Whatever peers send: no fault, nothing stored that does not verify, nothing held at the end.

    And all that the node says is JSON, which our own decoder reads. Returns what it has counted.
    """
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    loop = VirtualLoop(Random(0), shuffles=False)
    asyncio.set_event_loop(loop)
    try:
        counted = loop.run_until_complete(_play(data))
        assert not loop.faults, loop.faults
        return counted
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        structlog.configure(**before)


async def _play(data: bytes) -> Counter[str]:
    loop, store = asyncio.get_running_loop(), MemoryStore()
    server = Node(store, _LIMITS, clock=loop.time, call_soon=loop.call_soon)
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.run)
        ghosts = [Ghost(server, str(n)) for n in range(_PEERS)]
        gone: list[Ghost] = []
        for who, what, text in _deeds(data):
            ghost = ghosts[who]
            if what == 0:
                server.receive(ghost.peer, [text])
            elif what == 1:
                server.receive(ghost.peer, [b"\n".join(_prepared(text))])
            elif what == 2:
                server.receive(ghost.peer, [_patched(text)])
            elif what == 3:
                server.disconnect(ghost.peer)
                gone.append(ghost)
                ghosts[who] = Ghost(server, f"{who}/{len(gone)}")
            elif what == 4:
                await anyio.sleep(0.01)
            elif what == 5:
                ghost.reads = not ghost.reads
                ghost.take()
            elif what == 6:
                await anyio.sleep(61)
            else:
                await anyio.lowlevel.checkpoint()
        for ghost in ghosts:
            ghost.reads = True
            ghost.take()
        await anyio.sleep(1)
        for ghost in ghosts:
            server.disconnect(ghost.peer)
        await anyio.sleep(70)
        assert server.counters["faults"] == 0
        for ghost in (*gone, *ghosts):
            assert (ghost.peer.held_bytes, ghost.peer.parked_bytes) == (0, 0)
            _check_told(ghost.told)
        assert server._backpressure._held == 0
        assert not server._parking._waiting
        tasks.cancel_scope.cancel()
    _check_stored(store)
    deleted = sum(stored.deleted for stored in store._covalues.values())
    return server.counters + Counter(stored=len(store._covalues), deleted=deleted)


def _deeds(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Who does what: one byte, then the length of what is sent (two bytes), then that."""
    at = 0
    for _ in range(_DEEDS):
        if at >= len(data):
            return
        who, what = data[at] % _PEERS, data[at] // _PEERS % 8
        at += 1
        text = b""
        if what < 3:
            size = int.from_bytes(data[at : at + 2], "big")
            text = data[at + 2 : at + 2 + size]
            at += 2 + size
        yield who, what, text


def _prepared(text: bytes) -> list[bytes]:
    return [PREPARED[byte % len(PREPARED)] for byte in text[:20]]


def _patched(text: bytes) -> bytes:
    """A prepared message with some other bytes in it: which, where, how many go, what comes."""
    which, where, less = text[:1], text[1:3], text[3:4]
    message = PREPARED[(which or b"\0")[0] % len(PREPARED)]
    at = int.from_bytes(where, "big") % (len(message) + 1)
    return message[:at] + text[4:] + message[at + (less or b"\0")[0] :]


def _check_told(frames: list[bytes]) -> None:
    for frame in frames:
        frame.decode()
        for line in frame.split(b"\n"):
            said: Any = json.loads(line)
            try:
                message = decode_message(line)
            except ProtocolError as error:
                raise AssertionError(f"we said what we do not read: {line!r}") from error
            assert said["id"] == getattr(message, "id", None)


def _check_stored(store: MemoryStore) -> None:
    """By code that shares nothing with the server's: hashes, signatures, counts."""
    headers = {i: json.loads(stored.header) for i, stored in store._covalues.items()}
    for identifier, stored in store._covalues.items():
        digest = blake3(stored.header).digest()[:19]
        assert identifier == "co_z" + base58.b58encode(digest).decode()
        for session, count in stored.sessions.items():
            author, hasher, at = author_of(session), blake3(), 0
            signer = signer_of(author, headers.get(author))
            for chunk in store._chunks[identifier, session]:
                texts = json.loads(b"[" + chunk.data + b"]")
                assert (chunk.first, chunk.count) == (at, len(texts))
                at += chunk.count
                hasher.update(_without_commas(chunk.data, texts))
                digest_text = "hash_z" + base58.b58encode(hasher.digest()).decode()
                assert signer is not None
                assert is_signed(signer, digest_text, chunk.signature)
            assert at == count
            if stored.deleted:
                _check_deletion(identifier, store._chunks[identifier, session], session)


def _check_deletion(identifier: str, chunks: list[Chunk], session: str) -> None:
    """Of what is deleted the marker is left, and nothing else."""
    assert session.endswith("$")
    ((marker,),) = (json.loads(b"[" + chunk.data + b"]") for chunk in chunks)
    assert json.loads(marker["meta"])["deleted"] == identifier


def _without_commas(data: bytes, values: list[Any]) -> bytes:
    """The texts joined by nothing, found again in what is joined by commas."""
    decoder, text, parts, at = json.JSONDecoder(), data.decode(), [], 0
    for _ in values:
        _, end = decoder.raw_decode(text, at)
        parts.append(text[at:end])
        at = end + 1
    return "".join(parts).encode()
