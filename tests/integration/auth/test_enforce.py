"""`enforce`: who brings a right token or key gets in, nobody else gets a single message."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from server.auth.carriers import SUBPROTOCOL
from server.auth.keys import ApiKey, Secret, digest
from server.control.messages import Answer, CreateKey, EndSessions, ListSessions, RevokeKey
from tests.clerk.server import StandIn
from tests.integration.auth.conftest import House, Serve, bearer, close_code

pytestmark = pytest.mark.anyio

OTHER_KEY = rsa.generate_private_key(65537, 2048)


async def made(house: House, name: str, **options: Any) -> str:
    """The secret of a new key."""
    answer = await house.desk.answer(CreateKey(name, **options))
    assert answer.secret is not None
    return answer.secret


async def test_each_carrier(serve: Serve, clerk: StandIn) -> None:
    house = await serve(policy="enforce", clerk=clerk.url)
    token = clerk.instance.mint()
    assert await house.status() == 401
    assert await house.status("?key=you@example.com") == 401
    assert await house.status(**bearer(token)) == 101
    assert await house.status(f"?token={token}") == 101
    pair = [Subprotocol(SUBPROTOCOL), Subprotocol(token)]
    async with connect(house.url(), subprotocols=pair) as peer:
        assert peer.response is not None
        assert peer.response.headers["Sec-WebSocket-Protocol"] == SUBPROTOCOL
        shown = (await house.desk.answer(ListSessions())).rows
        assert [(row["sub"], row["sid"]) for row in shown] == [("user_1", "sess_1")]


async def test_a_cookie_counts_only_with_an_allowed_origin(serve: Serve, clerk: StandIn) -> None:
    app = "https://app.example.com"
    token, now = clerk.instance.mint(), int(clerk.instance.clock())
    headers = {"Cookie": f"__session={token}; __client_uat={now - 5}"}
    house = await serve(policy="enforce", clerk=clerk.url)
    assert await house.status(additional_headers=headers, origin=app) == 401
    house = await serve(policy="enforce", clerk=clerk.url, origins=app)
    assert await house.status(additional_headers=headers, origin=app) == 101
    assert await house.status(additional_headers=headers) == 403
    for origin in ("https://evil.example.com", "null", "http://app.example.com", f"{app}:444"):
        assert await house.status(additional_headers=headers, origin=origin) == 403
        assert await house.status(f"?token={token}", origin=origin) == 403
    assert await house.status(f"?token={token}") == 101
    for cookie in (
        f"__session={token}",
        f"__session={token}; __client_uat=0",
        f"__session={token}; __client_uat={now + 1}",
        f"__session_x={token}; __client_uat={now - 5}",
        f"__sessions={token}; __client_uat={now - 5}",
        f"__session={token}; __session=x.y.z; __client_uat={now - 5}",
    ):
        assert await house.status(additional_headers={"Cookie": cookie}, origin=app) == 401


async def test_two_different_tokens_are_refused(serve: Serve, clerk: StandIn) -> None:
    house = await serve(policy="enforce", clerk=clerk.url)
    one, other = clerk.instance.mint(), clerk.instance.mint("user_2")
    assert await house.status(f"?token={one}", **bearer(one)) == 101
    assert await house.status(f"?token={one}", **bearer(other)) == 401
    assert await house.status(f"?token={one}&token={one}") == 401
    assert await house.status(f"?token={one}&key=a&key=a") == 401


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"exp": 1}, 401),
        ({"sub": 7}, 401),
        ({"azp": "https://evil.example.com"}, 401),
        ({"azp": None}, 401),
        ({"iss": "https://clerk.other.example"}, 401),
        ({"sid": None}, 403),
        ({"sts": "pending"}, 403),
        ({"metadata": {"jazzAccountSecret": "sealerSecret_zNONE"}}, 403),
        ({"aud": "anything"}, 101),
        ({"act": {"sub": "user_support"}}, 101),
    ],
)
async def test_claims(serve: Serve, clerk: StandIn, claims: dict[str, Any], status: int) -> None:
    app = "https://app.example.com"
    house = await serve(policy="enforce", clerk=clerk.url, clerk_azp=app)
    assert await house.status(**bearer(clerk.instance.mint(**claims))) == status


async def test_a_refusal_says_nothing_but_its_status(serve: Serve, clerk: StandIn) -> None:
    house = await serve(policy="enforce", clerk=clerk.url)
    forged = clerk.instance.mint(key=OTHER_KEY)
    with pytest.raises(InvalidStatus) as refusal:
        async with connect(house.url(f"?token={forged}")):
            pass
    assert refusal.value.response.status_code == 401
    assert refusal.value.response.body == b"Unauthorized\n"
    assert house.door.counters == {"token-invalid-signature": 1}
    assert house.gateway.node.peers == 0


async def test_api_keys(serve: Serve) -> None:
    house = await with_key(serve)
    app = await made(house, "app")
    assert await house.status() == 401
    assert await house.status("?key=you+tag@example.com") == 401
    assert await house.status(f"?key={app}") == 101
    assert await house.status(**bearer(app)) == 101
    assert await house.status(f"?key={app[:-1]}") == 401
    other = await made(house, "other")
    assert await house.status(f"?key={app}", **bearer(other)) == 401
    async with house.joined(f"?key={app}") as peer:
        await house.desk.answer(RevokeKey("app"))
        assert await close_code(peer) == 4403
    assert await house.status(f"?key={app}") == 401
    assert await house.status(f"?key={other}") == 101
    assert house.door.counters["key-revoked"] == 1


async def with_key(serve: Serve) -> House:
    """A server that has a key already, as `enforce` needs one."""
    key = ApiKey("seed", secrets=(Secret(digest("a key of the settings"), 0.0),))
    return await serve(policy="enforce", api_keys=(key,))


async def test_a_worker_needs_no_token_and_an_app_needs_both(serve: Serve, clerk: StandIn) -> None:
    house = await serve(policy="enforce", clerk=clerk.url)
    worker = await made(house, "cron", role="worker")
    token = clerk.instance.mint()
    assert await house.status(**bearer(worker)) == 101
    # As long as there are worker keys only, apps need none.
    assert await house.status(f"?key=label&token={token}") == 101
    app = await made(house, "web")
    assert await house.status(f"?key=label&token={token}") == 401
    assert await house.status(f"?token={token}") == 401
    assert await house.status(f"?key={app}") == 401
    assert await house.status(f"?key={app}&token={token}") == 101
    assert await house.status(f"?key={worker}") == 101


async def test_limits_of_a_key(serve: Serve) -> None:
    house = await with_key(serve)
    one = await made(house, "one", connections=1)
    async with house.joined(f"?key={one}") as peer:
        await peer.recv()
        assert await house.status(f"?key={one}") == 503
    small = await made(house, "small", bytes_per_day=100)
    async with house.joined(f"?key={small}") as peer:
        await peer.send("x" * 60)
        await peer.send("x" * 60)
        assert await close_code(peer) == 1008
    assert await house.status(f"?key={small}") == 403
    slow = await made(house, "slow", messages_per_second=5)
    async with house.joined(f"?key={slow}") as peer:
        for _ in range(7):
            await peer.send("x")
        # All of them are read in the end, only later.
        usage = house.door.usage.of_key("slow")
        with anyio.fail_after(10):
            while usage.bytes_in < 7:
                await peer.recv()


async def test_an_ended_session_stays_out(serve: Serve, clerk: StandIn) -> None:
    house = await serve(policy="enforce", clerk=clerk.url)
    token, other = clerk.instance.mint(), clerk.instance.mint("user_2", "sess_2")
    async with house.joined(**bearer(token)) as peer, house.joined(**bearer(other)) as second:
        await peer.recv()
        await second.recv()
        answer = await house.desk.answer(EndSessions("sid", "sess_1"))
        assert answer == Answer([{"ended": 1}])
        assert await close_code(peer) == 4403
        assert await house.status(**bearer(token)) == 403
        assert await house.status(**bearer(clerk.instance.mint())) == 403
        assert await house.status(**bearer(other)) == 101
        await house.desk.answer(EndSessions("sub", "user_2"))
        assert await close_code(second) == 4403
    assert await house.status(**bearer(other)) == 403


async def test_resumption_is_off_and_when_on_for_recent_sessions_only(
    serve: Serve, clerk: StandIn
) -> None:
    now = int(clerk.instance.clock())
    old = clerk.instance.mint(iat=now - 100, nbf=now - 110, exp=now - 40)
    house = await serve(policy="enforce", clerk=clerk.url)
    assert await house.status(**bearer(clerk.instance.mint())) == 101
    assert await house.status(**bearer(old)) == 401
    house = await serve(policy="enforce", clerk=clerk.url, clerk_resume_seconds=300.0)
    assert await house.status(**bearer(old)) == 401
    async with house.joined(**bearer(clerk.instance.mint())) as peer:
        await peer.recv()
        assert await house.status(**bearer(old)) == 101
        stranger = clerk.instance.mint("user_1", "sess_9", iat=now - 100, exp=now - 40)
        assert await house.status(**bearer(stranger)) == 401
        await house.desk.answer(EndSessions("sid", "sess_1"))
    assert await house.status(**bearer(old)) == 403


async def test_observe_admits_everybody_and_counts(serve: Serve, clerk: StandIn) -> None:
    house = await serve(policy="observe", clerk=clerk.url)
    expired = clerk.instance.mint(exp=1000, iat=940, nbf=930)
    assert await house.status("?key=you@example.com") == 101
    assert await house.status("?key=secret-of-somebody") == 101
    assert await house.status(**bearer(expired)) == 101
    assert await house.status(**bearer("no.token.at all")) == 101
    assert await house.status(**bearer(clerk.instance.mint())) == 101
    assert house.door.counters == {"token-missing": 2, "token-expired": 1, "token-invalid": 1}
    rows = (await house.desk.answer(ListSessions(refused=True))).rows
    assert {"you@example.com", "label:"} <= {r["key"][:15] for r in rows} | {
        r["key"][:6] for r in rows
    }
    assert [r["sub"] for r in rows if r["reason"] == "token-expired"] == ["user_1"]
    assert "secret-of" not in repr(rows)


async def test_a_connection_of_great_age_is_closed(serve: Serve, clerk: StandIn) -> None:
    house = await serve(
        policy="enforce", clerk=clerk.url, max_connection_seconds=0.1, ping_seconds=0.1
    )
    async with house.joined(**bearer(clerk.instance.mint())) as peer:
        assert await close_code(peer) == 4401


async def test_who_is_refused_again_and_again_is_not_looked_at(
    serve: Serve, clerk: StandIn
) -> None:
    house = await serve(policy="enforce", clerk=clerk.url)
    token = clerk.instance.mint()

    async def knock(address: str, query: str = "") -> int:
        return await house.status(query, additional_headers={"X-Forwarded-For": address})

    async with anyio.create_task_group() as tasks:
        for _ in range(80):
            tasks.start_soon(knock, "203.0.113.9")
    assert house.door.counters["too-many-refusals"] > 0
    assert await knock("203.0.113.10", f"?token={token}") == 101
