"""Floods of questions about what nobody has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice

import anyio
import pytest

from protocol.base58 import b58encode
from tests.hostile.conftest import Besiege, Scale
from tests.hostile.raw import Raw, connected, lines, load
from tests.hostile.siege import MB

pytestmark = pytest.mark.anyio


def unknown(count: int, first: int = 5) -> Iterator[str]:
    """So many ids of nothing."""
    return ("co_z" + b58encode(bytes([first]) + n.to_bytes(18, "big")) for n in range(count))


async def ask(raw: Raw, messages: Iterable[bytes], answers: int) -> None:
    """Send messages and read so many answers meanwhile."""
    async with anyio.create_task_group() as tasks:

        async def send() -> None:
            for frame in lines(messages, 20_000):
                await raw.send(frame)

        tasks.start_soon(send)
        for _ in range(answers):
            assert isinstance(await raw.next(), dict)


async def test_loads_of_unknown_ids_are_answered_and_bounded(
    besiege: Besiege, scale: Scale
) -> None:
    count, most = scale(20_000, 400_000), scale(5_000, 100_000)
    async with besiege(
        "loads of unknown ids",
        bound=scale(64, 160) * MB,
        env={"BANDSTAND_SUBSCRIPTIONS": str(most), "BANDSTAND_MEMORY_BYTES": str(16 * MB)},
    ) as under:
        async with connected(under.port) as raw:
            ids = list(unknown(count))
            for at in range(0, count, 50_000):
                questions = [json.dumps(load(each)).encode() for each in ids[at : at + 50_000]]
                await ask(raw, questions, len(questions))
        moved = await under.counters()
        assert count - most - 1000 <= moved["unsubscribed"] <= count - most + most // 10 + 1000


async def test_many_who_touch_much_give_way_in_total(besiege: Besiege, scale: Scale) -> None:
    peers, each, most = scale(8, 12), scale(4_000, 50_000), scale(10_000, 500_000)
    async with (
        besiege(
            "loads of unknown ids by many",
            bound=scale(96, 480) * MB,
            env={
                "BANDSTAND_TOTAL_SUBSCRIPTIONS": str(most),
                "BANDSTAND_MEMORY_BYTES": str(16 * MB),
            },
        ) as under,
        anyio.create_task_group() as tasks,
    ):

        async def flood(number: int) -> None:
            async with connected(under.port) as raw:
                ids = unknown(each, 10 + number)
                await ask(raw, [json.dumps(load(i)).encode() for i in ids], each)
                await under.moved("unsubscribed", peers * each - most)

        for number in range(peers):
            tasks.start_soon(flood, number)


async def test_known_states_of_unknown_ids(besiege: Besiege, scale: Scale) -> None:
    count = scale(20_000, 200_000)
    async with (
        besiege(
            "known states of unknown ids",
            bound=scale(64, 160) * MB,
            env={"BANDSTAND_MEMORY_BYTES": str(16 * MB)},
        ) as under,
        connected(under.port) as raw,
    ):
        for frame in lines(
            (
                json.dumps({"action": "known", "id": i, "header": True, "sessions": {}}).encode()
                for i in unknown(count)
            ),
            20_000,
        ):
            await raw.send(frame)
        last = next(unknown(1, 200))
        await raw.send(load(last))
        assert (await raw.about(last))["header"] is False


async def test_reconciliation_of_what_nobody_has(besiege: Besiege, scale: Scale) -> None:
    batches = scale(200, 2_000)
    async with besiege("reconcile batches", bound=128 * MB) as under, connected(under.port) as raw:
        ids = list(unknown(1_000))
        entries = [[each, "shortHash_z" + each[4:]] for each in ids]
        messages = [
            json.dumps({"action": "reconcile", "id": f"batch {n}", "values": entries}).encode()
            for n in range(batches)
        ]
        # A hundred may be open; each asks for all of its values.
        await ask(raw, messages[:50], 50_000)
        for message in messages[50:]:
            await raw.send(message)
        empty = b'{"action":"reconcile","id":"e","values":[]}\n'
        await raw.send(empty * 20_000)
        long = {"action": "reconcile", "id": "x" * 1000, "values": []}
        await raw.send(long)
        await under.moved("refused", batches - 100)


async def test_reconciliation_that_nobody_reads(besiege: Besiege, scale: Scale) -> None:
    peers, batches = scale(2, 10), 100
    async with (
        besiege(
            "reconcile batches, answers unread",
            bound=scale(128, 192) * MB,
            env={
                "BANDSTAND_MEMORY_BYTES": str(8 * MB),
                "BANDSTAND_TOTAL_ARREARS_BYTES": str(16 * MB),
            },
        ) as under,
        anyio.create_task_group() as tasks,
    ):

        async def flood(number: int) -> None:
            async with connected(under.port, receive_buffer=4096) as raw:
                ids = unknown(batches * 1_000, 100 + number)
                for batch in range(batches):
                    values = [[each, f"shortHash_z{each[4:]}"] for each in islice(ids, 1_000)]
                    message = {"action": "reconcile", "id": f"{batch}", "values": values}
                    await raw.send(message)
                await anyio.sleep_forever()

        for number in range(peers):
            tasks.start_soon(flood, number)
        # Each has a hundred open, with as many values as they may have: one of them has to go.
        await under.moved("behind")
        tasks.cancel_scope.cancel()
