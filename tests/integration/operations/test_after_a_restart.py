"""What was decided before a restart holds after it: ended sessions, used-up limits, keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.clerk.instance import Instance
from tests.integration.operations.command import run, serving
from tests.integration.operations.talk import Talk, health
from tests.integration.operations.trusting import trusting
from tests.integration.sync.stage import Band

pytestmark = pytest.mark.anyio


async def status(url: str, secret: str, origin: str | None = None) -> int:
    """101 if the token or key lets somebody in, or what refuses it."""
    headers = {"Authorization": f"Bearer {secret}"}
    try:
        async with connect(url, additional_headers=headers, origin=origin) as peer:  # type: ignore[arg-type]
            await peer.recv()
            return 101
    except InvalidStatus as refusal:
        return refusal.response.status_code


async def test_a_public_key_alone_and_ended_sessions(tmp_path: Path) -> None:
    instance = Instance("https://clerk.example.test")
    env = trusting(tmp_path, instance, policy="enforce")
    forged = instance.mint(key=rsa.generate_private_key(65537, 2048))
    async with serving(tmp_path, env=env) as server:
        assert (await health(server.port))["auth"]["clerk_keys"] == "ok"
        assert await status(server.url, instance.mint()) == 101
        assert await status(server.url, forged) == 401
        headers = {"Authorization": f"Bearer {instance.mint()}"}
        async with connect(server.url, additional_headers=headers) as peer:
            await peer.recv()
            ended = await run(tmp_path, "sessions", "end", "--sid", "sess_1")
            assert ended.stdout.split() == ["ended", "1"]
            await peer.wait_closed()
            assert peer.close_code == 4403
        assert await status(server.url, instance.mint()) == 403
        await server.stop()
    async with serving(tmp_path, env=env) as server:
        assert await status(server.url, instance.mint()) == 403
        assert await status(server.url, instance.mint(sid="sess_2")) == 101
        assert await status(server.url, instance.mint("user_2", "sess_3")) == 101
        assert (await health(server.port))["auth"]["refused"] == {"session-ended": 1}
        await server.stop()


async def made(folder: Path, *arguments: str) -> str:
    """The secret of a new key."""
    ended = await run(folder, "keys", "create", *arguments)
    assert ended.code == 0, ended.stderr
    return ended.stdout.splitlines()[-1]


async def stored(folder: Path, name: str) -> int:
    """The bytes that a key has stored, as `usage` shows them."""
    header, *rows = (line.split() for line in (await run(folder, "usage")).stdout.splitlines())
    return next(int(row[header.index("bytes_stored")]) for row in rows if row[0] == name)


async def test_stored_bytes_are_limited_and_counted_on(tmp_path: Path) -> None:
    small = await made(tmp_path, "small", "--bytes-stored", "1000")
    large = await made(tmp_path, "large", "--bytes-stored", "1000000")
    env = {"BANDSTAND_POLICY": "enforce"}
    band, other = Band(), Band("bob")
    async with serving(tmp_path, env=env) as server:
        for secret, first in ((large, other.first()), (small, band.first())):
            async with connect(f"{server.url}/?key={secret}") as socket:
                await Talk(socket).upload(*first)
        before = await stored(tmp_path, "small")
        assert before >= 1000
        async with connect(f"{server.url}/?key={large}") as socket:
            await Talk(socket).add(other.edit("x" * 2000))
        assert await stored(tmp_path, "large") >= before + 2000
        assert await status(server.url, small) == 403
        await server.stop()
    assert await stored(tmp_path, "small") == before
    async with serving(tmp_path, env=env) as server:
        assert await stored(tmp_path, "small") == before
        assert await status(server.url, small) == 403
        assert await status(server.url, large) == 101
        await server.stop()


async def test_the_frame_after_the_last_byte_closes(tmp_path: Path) -> None:
    key = await made(tmp_path, "small", "--bytes-stored", "1000")
    band = Band()
    async with serving(tmp_path, env={"BANDSTAND_POLICY": "enforce"}) as server:
        async with connect(f"{server.url}/?key={key}") as socket:
            talk = Talk(socket)
            # What had room is acknowledged, what comes later is not taken.
            await talk.upload(*band.first())
            await talk.send(band.edit("too much"))
            assert await talk.closed() == 1008
        await server.stop()


async def test_a_key_keeps_its_policy_and_its_origins(tmp_path: Path) -> None:
    app = "https://app.example.com"
    pages = await made(tmp_path, "pages", "--origin", app, "--origin", "http://localhost:5173")
    trial = await made(tmp_path, "trial", "--origin", app, "--key-policy", "observe")
    async with serving(tmp_path, env={"BANDSTAND_POLICY": "enforce"}) as server:
        assert await status(server.url, pages, app) == 101
        assert await status(server.url, pages, "http://localhost:5173") == 101
        assert await status(server.url, pages, "https://evil.example.com") == 403
        assert await status(server.url, trial, "https://evil.example.com") == 101
        shown = (await run(tmp_path, "sessions", "--refused")).stdout
        assert [line.split()[:3] for line in shown.splitlines()[1:]] == [
            ["enforce", "origin-not-allowed", "pages"],
            ["observe", "origin-not-allowed", "trial"],
        ]
        await server.stop()
    for wrong in ("app.example.com", f"{app}/", "https://a.example https://b.example"):
        ended = await run(tmp_path, "keys", "create", "wrong", "--origin", wrong)
        assert (ended.code, ended.stdout) == (64, "")
        assert "is no origin" in ended.stderr
