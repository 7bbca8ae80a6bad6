"""The instance's keys: rotation, outages, floods, and waiting for them without harm."""

from __future__ import annotations

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.clerk.server import Behaviour, StandIn
from tests.integration.auth.conftest import Serve, bearer

pytestmark = pytest.mark.anyio


async def test_rotation_is_seen_at_once(
    serve: Serve, clerk: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.auth.jwks.COOLDOWN_S", 0.0)
    house = await serve(policy="enforce", clerk=clerk.url)
    before = clerk.instance.mint()
    assert await house.status(**bearer(before)) == 101
    clerk.instance.rotate()
    assert await house.status(**bearer(clerk.instance.mint())) == 101
    assert clerk.fetches == 2
    assert await house.status(**bearer(before)) == 401


async def test_forged_tokens_and_unknown_keys_fetch_nothing(serve: Serve, clerk: StandIn) -> None:
    house = await serve(policy="enforce", clerk=clerk.url)
    assert await house.status(**bearer(clerk.instance.mint())) == 101
    other = rsa.generate_private_key(65537, 2048)
    for n in range(30):
        assert await house.status(**bearer(clerk.instance.mint(key=other))) == 401
        unknown = clerk.instance.mint(header={"kid": f"ins_{n}"})
        assert await house.status(**bearer(unknown)) == 401
    assert clerk.fetches == 1


@pytest.mark.parametrize("behaviour", ["failing", "redirecting", "huge", "garbage"])
async def test_without_keys_nobody_gets_in_and_it_recovers(
    serve: Serve, clerk: StandIn, behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.auth.jwks._RETRY_S", (0.01,))
    clerk.behave(behaviour)
    house = await serve(policy="enforce", clerk=clerk.url)
    await clerk.asked(2)
    assert await house.status(**bearer(clerk.instance.mint())) == 503
    assert house.door.status()["clerk_keys"] == "unavailable"
    clerk.behave("ok")
    with anyio.fail_after(10):
        while house.jwks.state != "ok":
            await house.jwks.fetched()
            await anyio.lowlevel.checkpoint()
    assert await house.status(**bearer(clerk.instance.mint())) == 101


async def test_keys_serve_on_through_an_outage(
    serve: Serve, clerk: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.auth.jwks.REFRESH_S", 0.01)
    monkeypatch.setattr("server.auth.jwks._RETRY_S", (0.01,))
    house = await serve(policy="enforce", clerk=clerk.url)
    assert await house.status(**bearer(clerk.instance.mint())) == 101
    clerk.behave("failing")
    await clerk.asked(clerk.fetches + 3)
    assert house.jwks.state == "stale"
    assert await house.status(**bearer(clerk.instance.mint())) == 101


async def test_who_waits_for_keys_holds_up_nobody(serve: Serve, clerk: StandIn) -> None:
    clerk.behave("silent")
    house = await serve(policy="enforce", clerk=clerk.url)
    statuses: list[int] = []

    async def client() -> None:
        statuses.append(await house.status(**bearer(clerk.instance.mint())))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(client)
        await clerk.asked(1)
        # Others are answered meanwhile.
        assert await house.status() == 401
        clerk.behave("ok")
    assert statuses == [101] * 20
    assert clerk.fetches == 1


async def test_who_goes_while_waiting_is_forgotten(serve: Serve, clerk: StandIn) -> None:
    clerk.behave("silent")
    house = await serve(policy="enforce", clerk=clerk.url)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: house.status(**bearer(clerk.instance.mint())))
        with anyio.fail_after(10):
            while not house.door.waiting:
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    with anyio.fail_after(10):
        while house.gateway.connections or house.door.waiting:
            await anyio.lowlevel.checkpoint()
    assert house.gateway.node.peers == 0
