"""Template tokens: by explicit setting only, for one audience, and not for long."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clerk.server import StandIn
from tests.integration.auth.conftest import Serve, bearer

pytestmark = pytest.mark.anyio

AUDIENCE = "bandstand"


def minted(clerk: StandIn, life_s: int = 3600, **more: Any) -> dict[str, Any]:
    """A template's token: no session, no category of a session, an audience."""
    claims: dict[str, Any] = {"aud": AUDIENCE, "fva": None, "sts": None} | more
    claims["exp"] = int(clerk.instance.clock()) + life_s
    return bearer(clerk.instance.mint(sid=None, header={"cat": "cl_template"}, **claims))


async def test_refused_without_the_setting(serve: Serve, clerk: StandIn) -> None:
    for audience in ("", AUDIENCE):
        house = await serve(policy="enforce", clerk=clerk.url, clerk_audience=audience)
        assert await house.status(**minted(clerk)) == 401
        assert await house.status(**bearer(clerk.instance.mint(sid=None, aud=AUDIENCE))) == 403
        assert house.door.counters == {"token-type-mismatch": 1, "template-not-allowed": 1}


async def test_accepted_for_the_audience_and_the_life(serve: Serve, clerk: StandIn) -> None:
    house = await serve(
        policy="enforce", clerk=clerk.url, clerk_audience=AUDIENCE, clerk_template_seconds=7200.0
    )
    assert await house.status(**minted(clerk)) == 101
    assert await house.status(**minted(clerk, 7200)) == 101
    assert await house.status(**minted(clerk, aud=["other", AUDIENCE])) == 101
    # A session token of the right audience is one as before.
    assert await house.status(**bearer(clerk.instance.mint(aud=AUDIENCE))) == 101
    assert not house.door.counters


@pytest.mark.parametrize(
    ("life_s", "claims", "reason"),
    [
        (3600, {"aud": "another"}, "token-verification-failed"),
        (3600, {"aud": None}, "token-verification-failed"),
        (3600, {"aud": [AUDIENCE, 7]}, "token-verification-failed"),
        (7201, {}, "token-lives-too-long"),
        (3600, {"iat": None}, "token-lives-too-long"),
        (-60, {}, "token-expired"),
    ],
)
async def test_refused_for_the_wrong_audience_or_life(
    serve: Serve, clerk: StandIn, life_s: int, claims: dict[str, Any], reason: str
) -> None:
    house = await serve(
        policy="enforce", clerk=clerk.url, clerk_audience=AUDIENCE, clerk_template_seconds=7200.0
    )
    assert await house.status(**minted(clerk, life_s, **claims)) == 401
    assert house.door.counters == {reason: 1}


async def test_a_machine_is_no_template(serve: Serve, clerk: StandIn) -> None:
    house = await serve(
        policy="enforce", clerk=clerk.url, clerk_audience=AUDIENCE, clerk_template_seconds=7200.0
    )
    machine = clerk.instance.mint(sid=None, aud=AUDIENCE, header={"cat": "cl_B7d4PD333AAA"})
    assert await house.status(**bearer(machine)) == 401
    assert await house.status(**minted(clerk, sub="mch_1")) == 401
    assert house.door.counters == {"token-type-mismatch": 2}
