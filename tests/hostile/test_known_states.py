"""Known states with a million sessions, and content with as many."""

from __future__ import annotations

import json

import anyio
import pytest

from protocol.base58 import b58encode
from tests.hostile.conftest import Besiege, Scale
from tests.hostile.raw import connected, crowd, load
from tests.hostile.siege import MB
from tests.hostile.test_unknown_ids import ask
from tests.integration.sync.stage import Band, edit
from tests.signing import content, owned_map

pytestmark = pytest.mark.anyio


def sessions(count: int) -> dict[str, int]:
    """So many session ids, with the shortest author there is."""
    author = "co_z" + "1" * 19
    return {f"{author}_session_z{b58encode(n.to_bytes(4, 'big'))}": n for n in range(1, count + 1)}


async def test_known_states_with_a_million_sessions(besiege: Besiege, scale: Scale) -> None:
    # About 340,000 sessions fill a message of 16 MB; three of them hold a million.
    count = scale(80_000, 340_000)
    async with besiege("known states with a million sessions", bound=scale(80, 220) * MB) as under:
        claimed = sessions(count)
        async with connected(under.port) as raw:
            for value in (under.kept.map, under.kept.group, under.kept.account):
                await raw.send(load(value.id, claimed))
                # What it claims is not held here, so it is asked for that.
                while not (await raw.about(value.id)).get("isCorrection"):
                    pass
                await raw.send(
                    {"action": "known", "id": value.id, "header": True, "sessions": claimed}
                )
            await raw.send(load(under.kept.map.id))
            assert (await raw.about(under.kept.map.id))["action"] == "content"


async def test_one_value_with_many_forged_sessions(besiege: Besiege, scale: Scale) -> None:
    count = scale(5_000, 40_000)
    async with besiege("content with many forged sessions", bound=scale(96, 180) * MB) as under:
        band = Band("alice")
        async with connected(under.port) as raw:
            for message in band.first():
                await raw.send(message)
            while (await raw.about(band.map.id))["action"] != "known":
                pass
            run = band.account.session("forged").append(edit(1)).content()
            signature = "signature_z" + b58encode(b"\x05" * 64)
            part = json.dumps(run | {"lastSignature": signature})
            new = ",".join(
                f'"{band.account.id}_session_z{b58encode(n.to_bytes(4, "big"))}":{part}'
                for n in range(1, count + 1)
            )
            await raw.send(f'{{"action":"content","id":"{band.map.id}","new":{{{new}}}}}'.encode())
            await under.moved("refused", count)
            # The offender is told what is held, and may go on.
            assert (await raw.about(band.map.id))["sessions"] == {band.session.id: 1}
            await raw.send(band.edit("honest again"))
            while (await raw.about(band.map.id))["sessions"] != {band.session.id: 2}:
                pass
        # Ten are logged; all are counted.
        assert under.server.stderr.count("content.refused") == 10


async def test_a_value_of_many_genuine_sessions(besiege: Besiege, scale: Scale) -> None:
    count = scale(3_000, 100_000)
    readers = scale(30, 50)
    async with besiege(
        "a value of many genuine sessions",
        bound=scale(64, 240) * MB,
        env={
            "BANDSTAND_OUTBOX_BYTES": str(64 * 1024),
            "BANDSTAND_MEMORY_BYTES": str(scale(8, 64) * MB),
            "BANDSTAND_TOTAL_ARREARS_BYTES": str(scale(8, 64) * MB),
            "BANDSTAND_TOTAL_OUTBOX_BYTES": str(32 * MB),
        },
    ) as under:
        band = Band("alice")
        async with connected(under.port) as raw, anyio.create_task_group() as tasks:
            for message in band.first():
                await raw.send(message)

            async def write() -> None:
                # So much that the sockets do not take all of it.
                transaction = edit("x" * scale(2_000, 100))
                for at in range(0, count, 1000):
                    written = [band.account.session(f"s{n}") for n in range(at, at + 1000)]
                    runs = {session.id: session.append(transaction) for session in written}
                    await raw.send(content(band.map, runs))

            tasks.start_soon(write)
            # Who does not read the answers, of megabytes each in the end, is not read from.
            while len((await raw.about(band.map.id)).get("sessions", {})) < count + 1:
                pass
        async with connected(under.port) as raw:
            await raw.send(load(band.map.id))
            held: set[str] = set()
            while len(held) < count + 1:
                held |= (await raw.about(band.map.id))["new"].keys()
        async with crowd(under.port, readers) as raws:
            # Few can be sent to at a time, and they read nothing.
            for raw in raws:
                await raw.send(load(band.map.id))
            await under.moved("behind")


async def test_many_values_of_many_sessions_at_once(besiege: Besiege, scale: Scale) -> None:
    values, sessions_each, readers = scale(60, 64), scale(400, 6_000), scale(10, 20)
    async with besiege(
        "many values of many sessions at once",
        bound=scale(48, 160) * MB,
        env={
            "BANDSTAND_OUTBOX_BYTES": str(64 * 1024),
            "BANDSTAND_MEMORY_BYTES": str(scale(4, 64) * MB),
            "BANDSTAND_TOTAL_OUTBOX_BYTES": str(16 * MB),
        },
    ) as under:
        band = Band("alice")
        ids: list[str] = []
        async with connected(under.port) as raw:
            for message in band.first():
                await raw.send(message)
            for number in range(values):
                value = owned_map(band.group.id, unique=f"value {number}")
                ids.append(value.id)
                await raw.send(content(value, {}, with_header=True))
                for at in range(0, sessions_each, 200):
                    written = [band.account.session(f"s{n}") for n in range(at, at + 200)]
                    runs = {session.id: session.append(edit(1)) for session in written}
                    await raw.send(content(value, runs))
                while len((await raw.about(value.id)).get("sessions", {})) < sessions_each:
                    pass
        async with crowd(under.port, readers) as raws:
            for raw in raws:
                await raw.send(*[load(value) for value in ids])
            # Nobody reads; who comes now and does gets all of it.
            async with connected(under.port) as raw:
                await raw.send(*[load(value) for value in ids])
                wanted = set(ids)
                with anyio.fail_after(240):
                    while wanted:
                        said = await raw.next()
                        assert isinstance(said, dict), said
                        wanted.discard(said.get("id", ""))


async def test_one_message_of_many_small_transactions(besiege: Besiege, scale: Scale) -> None:
    count = scale(30_000, 150_000)
    async with besiege("one message of many small transactions", bound=250 * MB) as under:
        band = Band("alice")
        async with connected(under.port) as raw:
            for message in band.first():
                await raw.send(message)
            run = band.session.append(*[edit(1)] * count)
            await raw.send(content(band.map, {band.session.id: run}))
            while (await raw.about(band.map.id))["sessions"] != {band.session.id: count + 1}:
                pass


async def test_large_headers_are_let_go(besiege: Besiege, scale: Scale) -> None:
    count, size = scale(600, 10_000), 60_000
    async with besiege(
        "many values with large headers",
        bound=scale(48, 96) * MB,
        env={"BANDSTAND_MEMORY_BYTES": str(8 * MB)},
    ) as under:
        band = Band("alice")
        async with connected(under.port) as raw:
            await raw.send(content(band.account, {}, with_header=True))
            values = (
                content(
                    owned_map(band.account.id, unique=str(n), meta={"x": "y" * size}),
                    {},
                    with_header=True,
                )
                for n in range(count)
            )
            await ask(raw, values, count + 1)


async def test_a_header_of_megabytes(besiege: Besiege, scale: Scale) -> None:
    size = scale(2 * MB, 15 * MB)
    async with besiege("headers of megabytes", bound=140 * MB) as under:
        members = ",".join(f'"{n}":{{}}' for n in range(size // 12))
        nested = '{"a":' * 100_000 + "1" + "}" * 100_000
        async with connected(under.port) as raw:
            for meta in (f"{{{members}}}", nested):
                await raw.send(
                    f'{{"action":"content","id":"co_z{"1" * 19}","new":{{}},"header":{{"type":'
                    f'"comap","ruleset":{{"type":"unsafeAllowAll"}},"meta":{meta},'
                    f'"uniqueness":null}}}}'.encode()
                )
            # The first waits its turn behind its own check, the second falls where it is read.
            await under.moved("malformed")
            await under.moved("refused")
            assert {"refused": 1, "malformed": 1}.items() <= (await under.counters()).items()
