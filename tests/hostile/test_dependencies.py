"""Chains and circles of dependencies, and content that waits for what never comes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import anyio
import pytest

from tests.hostile.conftest import Besiege, Scale
from tests.hostile.raw import Raw, connected, lines, load
from tests.hostile.siege import MB
from tests.signing import Agent, CoValue, content, extend, group, owned_map

pytestmark = pytest.mark.anyio

AGENT = Agent.named("mallory")


def link(number: int) -> CoValue:
    """One of the groups of one agent, of which there are as many as one likes."""
    return group(AGENT.id, unique=f"link {number}")


def chain(count: int, *, closed: bool = False, backwards: bool = False) -> Iterator[bytes]:
    """Each group extends the one before it; the first one the last, if it is closed."""
    for number in range(count - 1, -1, -1) if backwards else range(count):
        runs = {}
        if number or closed:
            session = AGENT.session()
            before = link((number or count) - 1)
            runs[session.id] = session.append(extend(before.id, made_at=1))
        yield content(link(number), runs, with_header=True)


async def upload(raw: Raw, messages: Iterator[bytes], answers: int) -> None:
    """Send content and read until so many values are acknowledged."""
    async with anyio.create_task_group() as tasks:

        async def send() -> None:
            for frame in lines(messages, 20_000):
                await raw.send(frame)

        tasks.start_soon(send)
        known: set[str] = set()
        while len(known) < answers:
            message = await raw.next()
            assert isinstance(message, dict), message
            if message["action"] == "known" and message["header"]:
                known.add(message["id"])


async def test_a_long_chain_of_groups(besiege: Besiege, scale: Scale) -> None:
    count, loads = scale(6_000, 1_000_000), scale(3, 5)
    async with besiege(
        "a long chain of groups, made a circle",
        bound=scale(64, 320) * MB,
        env={"BANDSTAND_MEMORY_BYTES": str(scale(16, 128) * MB)},
    ) as under:
        async with connected(under.port) as raw:
            await upload(raw, chain(count), count)
        async with connected(under.port) as raw:
            # Its end depends on more than there is memory for.
            await too_deep(raw, count - 1)
            # What depends on less is served, dependencies first.
            await raw.send(load(link(500).id))
            for number in range(501):
                assert (await raw.about(link(number).id))["action"] == "content"
        async with connected(under.port) as raw:
            first, session = link(0), AGENT.session()
            run = session.append(extend(link(count - 1).id, made_at=1))
            await raw.send(content(first, {session.id: run}))
            # Who wrote to it is to have what it depends on, too, which is far too much by now.
            while (await raw.about(first.id))["sessions"] != {session.id: 1}:
                pass
            for number in range(loads):
                await too_deep(raw, number * count // loads)
        assert (await under.counters())["too_deep"] >= 1 + loads


async def too_deep(raw: Raw, number: int) -> None:
    """A link of the chain is not served."""
    await raw.send(load(link(number).id))
    said = await raw.about(link(number).id)
    assert (said["action"], said["header"]) == ("known", False)


async def test_a_circle_of_groups(besiege: Besiege, scale: Scale) -> None:
    count = scale(500, 900)
    async with besiege("circles of groups", bound=64 * MB) as under:
        async with connected(under.port) as raw:
            await upload(raw, chain(count, closed=True), count)
        async with connected(under.port) as raw:
            await raw.send(load(link(7).id))
            for _ in range(count):
                message = await raw.next()
                assert isinstance(message, dict)
                assert message["action"] == "content"


async def test_a_circle_that_is_too_long_to_be_seen_waits_and_is_closed(
    besiege: Besiege, scale: Scale
) -> None:
    count = scale(12_000, 1_000_000)
    async with besiege("a circle too long to be seen", bound=scale(96, 128) * MB) as under:
        async with connected(under.port) as raw, anyio.create_task_group() as tasks:

            async def send() -> None:
                # The last first, so that each waits for one that does not come before the very end.
                for frame in lines(chain(count, closed=True, backwards=True), 20_000):
                    await raw.send(frame)

            tasks.start_soon(send)
            assert await raw.end() == (1008, "content without dependencies")
            tasks.cancel_scope.cancel()
        await under.moved("unparked")


async def test_content_that_waits_for_what_never_comes(besiege: Besiege, scale: Scale) -> None:
    peers, count = scale(4, 20), scale(3_000, 9_900)
    async with besiege(
        "content without dependencies, by many", bound=scale(160, 400) * MB
    ) as under:
        async with anyio.create_task_group() as tasks:

            async def park(number: int) -> None:
                async with connected(under.port) as raw:
                    values = (
                        content(
                            owned_map(
                                group(AGENT.id, unique=f"never {number} {n}").id,
                                unique=f"waits {number} {n}",
                            ),
                            {},
                            with_header=True,
                        )
                        for n in range(count)
                    )
                    for frame in lines(values, 20_000):
                        await raw.send(frame)
                    ended = False
                    asked = 0
                    while not ended and asked < count:
                        message = await raw.next()
                        ended = not isinstance(message, dict)
                        asked += 1

            for number in range(peers):
                tasks.start_soon(park, number)
        assert (await under.counters())["parked"] >= count


async def test_one_message_that_names_many(besiege: Besiege, scale: Scale) -> None:
    count = scale(60_000, 200_000)
    name = "one message that names 200,000"
    async with besiege(name, bound=200 * MB) as under, connected(under.port) as raw:
        value = group(AGENT.id, unique="names many")
        session = AGENT.session()
        names = "".join(
            f',{{"op":"set","key":"co_z{n:05d}{"x" * 21}","value":"reader"}}'.replace("0", "1")
            for n in range(count)
        )
        text = f'[{{"op":"set","key":"a","value":1}}{names}]'
        run = session.append({"privacy": "trusting", "madeAt": 1, "changes": text})
        await raw.send(content(value, {session.id: run}, with_header=True))
        # One that names few comes through after it.
        other = group(AGENT.id, unique="names nobody")
        await raw.send(content(other, {}, with_header=True))
        assert (await raw.about(other.id))["header"] is True


async def test_the_same_chain_in_headers(besiege: Besiege, scale: Scale) -> None:
    count = scale(2_000, 6_000)
    # All of it waits for its root, and each counts for what a new CoValue takes.
    env = {"BANDSTAND_PARKED_BYTES": str(56 * MB)}
    async with besiege("a chain of branches", bound=128 * MB, env=env) as under:
        async with connected(under.port) as raw:
            parent = group(AGENT.id, unique="root of all")
            values = [parent]
            for n in range(count):
                meta = {"source": values[-1].id, "branch": "x"}
                values.append(owned_map(parent.id, unique=f"branch {n}", meta=meta))
            # The end first: each waits for the one before it, and all come in at the last one.
            made = [content(v, {}, with_header=True) for v in reversed(values)]
            await upload(raw, iter(made), len(values))
        async with connected(under.port) as raw:
            await raw.send(json.loads(json.dumps(load(values[-1].id))))
            said = await raw.about(values[-1].id)
            assert said["action"] == "content"
