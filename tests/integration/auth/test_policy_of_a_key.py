"""A key may have a policy and origins of its own, stricter or milder than the server's."""

from __future__ import annotations

import pytest

from server.control.messages import CreateKey, ListSessions
from tests.clerk.server import StandIn
from tests.integration.auth.conftest import House, Serve, bearer

pytestmark = pytest.mark.anyio

APP, EVIL = "https://app.example.com", "https://evil.example.com"


async def made(
    house: House, name: str, policy: str | None = None, origins: tuple[str, ...] = ()
) -> str:
    """The secret of a new app key."""
    answer = await house.desk.answer(CreateKey(name, policy=policy, origins=origins))
    assert answer.secret is not None
    return answer.secret


async def test_milder_than_the_server(serve: Serve, clerk: StandIn) -> None:
    house = await serve(policy="enforce", clerk=clerk.url)
    watched = await made(house, "watched", "observe", (APP,))
    free = await made(house, "free", "off", (APP,))
    assert await house.status(f"?key={free}", origin=EVIL) == 101
    assert not house.door.counters
    async with house.joined(f"?key={watched}") as peer:
        await peer.recv()
        [row] = (await house.desk.answer(ListSessions())).rows
        assert (row["key"], row["unmet"]) == ("watched", "token-missing")
    assert await house.status(f"?key={watched}", origin=EVIL) == 101
    assert house.door.counters == {"token-missing": 1, "origin-not-allowed": 1}
    assert await house.status(f"?key={watched[:-1]}") == 401
    strict = await made(house, "strict")
    assert await house.status(f"?key={strict}") == 401


async def test_stricter_than_the_server(serve: Serve, clerk: StandIn) -> None:
    house = await serve(policy="observe", clerk=clerk.url)
    strict = await made(house, "strict", "enforce", (APP,))
    token = bearer(clerk.instance.mint())
    assert await house.status(f"?key={strict}", origin=APP) == 401
    assert await house.status(f"?key={strict}", origin=APP, **token) == 101
    assert await house.status(f"?key={strict}", origin=EVIL, **token) == 403
    # Who brings another key, or none, is only observed.
    assert await house.status() == 101


async def test_origins_of_a_key_narrow_those_of_the_server(serve: Serve, clerk: StandIn) -> None:
    other = "https://other.example.com"
    house = await serve(policy="enforce", clerk=clerk.url, origins=f"{APP} {other}")
    key = await made(house, "app", origins=(APP, EVIL))
    token = bearer(clerk.instance.mint())
    assert await house.status(f"?key={key}", origin=APP, **token) == 101
    assert await house.status(f"?key={key}", origin=other, **token) == 403
    assert await house.status(f"?key={key}", origin=EVIL, **token) == 403
    # Native apps and workers send none.
    assert await house.status(f"?key={key}", **token) == 101
