"""Filling a server with many CoValues, before what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench.authors import Agent, Log, open_map
from bench.client import connect
from bench.patience import until
from bench.signing import in_parallel
from bench.wire import masked
from bench.work import edit
from protocol.content import encode_content

_WINDOW: Final = 200
_ID: Final = b'"id":"'


_SHARD: Final = 1_000

Signed = tuple[str, str, bytes]
"""A CoValue's id, the session that wrote it, and the frame that uploads it."""


def _signed(tag: str, first: int, end: int, transactions: int) -> list[Signed]:
    agent = Agent(tag)
    texts = [edit(index, index) for index in range(transactions)]
    found = []
    for index in range(first, end):
        header = open_map(f"{tag} {index}")
        log = Log(agent.id, agent, f"{tag} {index}")
        message = encode_content(header, [log.append(texts)], with_header=True)
        found.append((header.id, log.session, masked(message)))
    return found


class Stock:
    """CoValues with the same number of transactions each, all signed."""

    def __init__(self, tag: str, values: int, transactions: int) -> None:
        self.transactions = transactions
        self.sessions: dict[str, str] = {}
        """The session that wrote each CoValue, by the CoValue's id."""
        self._frames: list[bytes] = []
        shards = [
            (tag, first, min(first + _SHARD, values), transactions)
            for first in range(0, values, _SHARD)
        ]
        for shard in in_parallel(_signed, shards):
            for covalue_id, session, frame in shard:
                self.sessions[covalue_id] = session
                self._frames.append(frame)

    @property
    def ids(self) -> Sequence[str]:
        """The CoValues."""
        return list(self.sessions)

    async def store(self, url: str) -> None:
        """Upload everything and wait until all of it is acknowledged."""
        acked: set[bytes] = set()
        sent = 0

        def take(line: bytes) -> None:
            nonlocal sent
            at = line.find(_ID)
            if at < 0:
                return
            acked.add(line[at + len(_ID) : line.index(b'"', at + len(_ID))])
            end = min(len(acked) + _WINDOW, len(self._frames))
            if end > sent and sent - len(acked) < _WINDOW // 2:
                client.send(b"".join(self._frames[sent:end]))
                sent = end

        client = await connect(url, take)
        sent = min(_WINDOW, len(self._frames))
        client.send(b"".join(self._frames[:sent]))
        await until(lambda: len(acked) == len(self._frames), lambda: len(acked), [client])
        client.leave()
