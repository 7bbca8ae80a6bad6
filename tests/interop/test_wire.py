"""What goes wrong on the wire: gaps, missing dependencies, forged and malformed messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.interop.cast import enter
from tests.interop.client import ClientError
from tests.interop.releases import NEWEST, not_applicable
from tests.signing import Agent, set_role

if TYPE_CHECKING:
    from tests.interop.driver_process import Driver
    from tests.interop.server_process import ServerProcess

pytestmark = pytest.mark.anyio

# "{value}" stands for an id the server knows, "{session}" for a session of it.
MALFORMED = [
    '"x"',
    "true",
    "42",
    "false",
    "0",
    "null",
    "[]",
    '["x"]',
    "not json",
    "",
    "{}",
    '{"action":"load"}',
    '{"action":"load","id":7,"header":false,"sessions":{}}',
    '{"action":"known","id":"{value}","header":true,"sessions":[]}',
    '{"action":"content","id":"{value}","priority":0}',
    '{"action":"content","id":"{value}","priority":0,"new":null}',
    '{"action":"content","id":"{value}","priority":0,"new":{"{session}":{"after":0}}}',
    '{"action":"content","id":"{value}","priority":0,"new":{"{session}":'
    '{"after":1,"newTransactions":[{"privacy":"trusting","madeAt":1}],"lastSignature":"x"}}}',
    '{"action":"content","id":"{value}","priority":0,"new":{"{session}":'
    '{"after":-1,"newTransactions":[],"lastSignature":"signature_z1"}}}',
    "[" * 10_000 + "]" * 10_000,
]


@pytest.mark.scenario("a lost message is asked for again")
async def test_correction(driver: Driver, server: ServerProcess) -> None:
    alice, bob = await enter(driver, server, "alice", "bob")
    note = await alice.create("map", await alice.group(everyone="reader"), {"start": 0})
    await bob.wait(note, equals={"start": 0})
    await alice.synced()
    await alice.lose_next_content(note)
    await alice.set(note, lost=1)
    await alice.content_lost()
    await alice.set(note, next=2)
    await bob.wait(note, equals={"start": 0, "lost": 1, "next": 2})
    corrections = [frame for frame in await alice.frames(note) if '"isCorrection":true' in frame]
    assert corrections, "the server did not say what it lacks"


@pytest.mark.scenario("missing dependencies are asked for")
async def test_missing_dependencies(driver: Driver, server: ServerProcess) -> None:
    alice = await driver.client(server.url, "alice", online=False)
    group = await alice.group(everyone="reader")
    note = await alice.create("map", group, {"by": "alice"})
    content = {value: await alice.content_of(value) for value in (note, group, alice.account)}
    raw = await driver.raw(server.url)

    async def upload(value: str) -> None:
        for message in content[value]:
            await raw.say(message)

    await upload(note)
    await raw.expect(action="load", id=group)
    await upload(group)
    await raw.expect(action="load", id=alice.account)
    await upload(alice.account)
    acknowledged = await raw.expect(action="known", id=note, header=True)
    assert sum(acknowledged["sessions"].values()) == 1
    (bob,) = await enter(driver, server, "bob")
    await bob.wait(note, equals={"by": "alice"})


@pytest.mark.scenario("a forged message does not spoil the author's session")
async def test_forged(driver: Driver, server: ServerProcess) -> None:
    alice, bob = await enter(driver, server, "alice", "bob")
    note = await alice.create("map", await alice.group(everyone="reader"), {"honest": 1})
    await bob.wait(note, equals={"honest": 1})
    await alice.synced()
    session, genuine = _only_session(await alice.content_of(note))
    count = len(genuine["newTransactions"])
    forged = {
        "privacy": "trusting",
        "madeAt": 1_800_000_000_000,
        "changes": '[{"op":"set","key":"evil","value":1}]',
    }
    raw = await driver.raw(server.url)
    await raw.say(
        {
            "action": "content",
            "id": note,
            "priority": 3,
            "new": {
                session: {
                    "after": count,
                    "newTransactions": [forged],
                    "lastSignature": genuine["lastSignature"],
                }
            },
        }
    )
    acknowledged = await raw.expect(action="known", id=note)
    assert acknowledged["sessions"] == {session: count}

    await alice.set(note, honest=2)
    await bob.wait(note, timeout_ms=5_000, equals={"honest": 2})
    await alice.synced(timeout_ms=5_000)
    (fresh,) = await enter(driver, server, "fresh")
    await fresh.wait(note, timeout_ms=5_000, equals={"honest": 2})


@pytest.mark.scenario("malformed messages harm nobody")
async def test_malformed(driver: Driver, own_server: ServerProcess) -> None:
    alice, bob = await enter(driver, own_server, "alice", "bob")
    note = await alice.create("map", await alice.group(everyone="reader"), {"round": -1})
    await bob.wait(note, equals={"round": -1})
    await alice.synced()
    session, _ = _only_session(await alice.content_of(note))
    deadly = []
    for number, template in enumerate(MALFORMED):
        raw = await driver.raw(own_server.url)
        await raw.say_text(template.replace("{value}", note).replace("{session}", session))
        # Asked on the same socket: once it is answered the bad frame has been dealt with. Closing
        # the socket that said it is the server's right, as long as the others notice nothing.
        await raw.answers({"action": "load", "id": note, "header": True, "sessions": {}})
        if await own_server.died():
            deadly.append(template[:80])
            await own_server.start()
        await alice.set(note, round=number)
        try:
            await bob.wait(note, timeout_ms=5_000, equals={"round": number})
        except ClientError as error:
            died = f"; the server died of {deadly}" if deadly else ""
            raise AssertionError(f"nothing arrives after {template[:200]}{died}") from error
        await raw.close()
    assert not deadly, f"the server died of {deadly}"


@pytest.mark.scenario("circles that a stranger ties harm nobody")
async def test_circles(driver: Driver, server: ServerProcess) -> None:
    alice, bob = await enter(driver, server, "alice", "bob")
    group = await alice.group(everyone="reader")
    note = await alice.create("map", group, {"n": 0})
    await bob.wait(note, equals={"n": 0})
    await alice.synced()
    # Anybody may write into an account and a group. These then depend on what depends on them.
    mallory, raw = Agent.named(f"mallory of {alice.account}"), await driver.raw(server.url)
    for value in (alice.account, group):
        log = mallory.session()
        named = log.append(set_role(note, "reader", made_at=1))
        new = {log.id: named.content()}
        await raw.say({"action": "content", "id": value, "priority": 0, "new": new})
        acknowledged = await raw.expect(action="known", id=value)
        assert acknowledged["sessions"][log.id] == 1
    await alice.set(note, n=1)
    await bob.wait(note, equals={"n": 1})
    for first in (note, group, alice.account):
        (fresh,) = await enter(driver, server, "fresh")
        await fresh.look(first)
        await fresh.wait(note, timeout_ms=5_000, equals={"n": 1})


@pytest.mark.scenario("sockets that linger after their goodbye harm nobody")
async def test_lingering(driver: Driver, own_server: ServerProcess, release: str) -> None:
    if release != NEWEST:
        not_applicable("about the server alone, so once is enough")
    observer = await driver.raw(own_server.url)

    async def keep_lingering() -> None:
        while True:
            await (await driver.raw(own_server.url)).linger()
            # Nothing tells a socket that does not listen when the server has let go of it.
            await anyio.sleep(0.5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep_lingering)
        # Whatever the server does from time to time, it has met such a socket by the second ping.
        await observer.pinged()
        await observer.pinged()
        tasks.cancel_scope.cancel()
    assert not await own_server.died()


def _only_session(content: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    sessions = {name: part for message in content for name, part in message["new"].items()}
    ((session, part),) = sessions.items()
    return session, part
