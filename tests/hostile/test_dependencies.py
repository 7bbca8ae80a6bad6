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


def groups(count: int) -> list[CoValue]:
    """So many groups of one agent."""
    return [group(AGENT.id, unique=f"link {n}") for n in range(count)]


def chain(links: list[CoValue], *, closed: bool = False) -> Iterator[bytes]:
    """Each group extends the one before it; the first one the last, if it is closed."""
    for index, link in enumerate(links):
        runs = {}
        if index or closed:
            session = AGENT.session(str(index))
            runs[session.id] = session.append(extend(links[index - 1].id, made_at=1))
        yield content(link, runs, with_header=True)


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
    count = scale(6_000, 60_000)
    async with besiege(
        "a long chain of groups, loaded at its end",
        bound=scale(64, 400) * MB,
        env={"BANDSTAND_MEMORY_BYTES": str(scale(16, 256) * MB)},
    ) as under:
        links = groups(count)
        async with connected(under.port) as raw:
            await upload(raw, chain(links), count)
        async with connected(under.port) as raw:
            # Its end depends on more than there is memory for.
            await raw.send(load(links[-1].id))
            said = await raw.about(links[-1].id)
            assert (said["action"], said["header"]) == ("known", False)
            # What depends on less is served, dependencies first.
            await raw.send(load(links[500].id))
            for link in links[:501]:
                assert (await raw.about(link.id))["action"] == "content"
        assert (await under.counters())["too_deep"] == 1


async def test_a_circle_of_groups(besiege: Besiege, scale: Scale) -> None:
    count = scale(500, 900)
    async with besiege("circles of groups", bound=64 * MB) as under:
        links = groups(count)
        async with connected(under.port) as raw:
            await upload(raw, chain(links, closed=True), count)
        async with connected(under.port) as raw:
            await raw.send(load(links[7].id))
            for _ in range(count):
                message = await raw.next()
                assert isinstance(message, dict)
                assert message["action"] == "content"


async def test_a_circle_that_is_too_long_to_be_seen_waits_and_is_closed(
    besiege: Besiege, scale: Scale
) -> None:
    count = scale(12_000, 100_000)
    async with besiege("a circle too long to be seen", bound=scale(96, 128) * MB) as under:
        async with connected(under.port) as raw:
            # The last first, so that each waits for one that does not come before the very end.
            links = groups(count)
            for frame in lines(reversed(list(chain(links, closed=True))), 20_000):
                await raw.send(frame)
            assert await raw.end() == (1008, "content without dependencies")
        await under.moved("unparked")


async def test_content_that_waits_for_what_never_comes(besiege: Besiege, scale: Scale) -> None:
    peers, count = scale(4, 20), scale(3_000, 9_900)
    async with besiege(
        "content without dependencies, by many", bound=scale(160, 600) * MB
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


async def test_one_message_that_names_half_a_million(besiege: Besiege, scale: Scale) -> None:
    count = scale(60_000, 250_000)
    name = "one message that names half a million"
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
    count = scale(2_000, 9_000)
    async with besiege("a chain of branches", bound=128 * MB) as under:
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
