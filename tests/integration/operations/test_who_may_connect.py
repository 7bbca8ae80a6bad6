"""The real command: keys, usage, sessions, check; and that no secret is written anywhere."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import anyio
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from server.auth.carriers import SUBPROTOCOL
from tests.clerk.server import standing_in
from tests.integration.operations.command import names, run, serving
from tests.integration.operations.talk import health

pytestmark = pytest.mark.anyio


async def status(url: str, **options: object) -> int:
    """101, or what refuses the connection."""
    try:
        async with connect(url, **options) as peer:  # type: ignore[arg-type]
            await peer.recv()
            return 101
    except InvalidStatus as refusal:
        return refusal.response.status_code


async def test_keys_with_and_without_a_server(tmp_path: Path) -> None:
    made = await run(tmp_path, "keys", "create", "studio", "--role", "worker")
    first = made.stdout.splitlines()[-1]
    assert made.code == 0
    assert first.startswith("bsk_")
    assert (await run(tmp_path, "keys", "create", "studio")).code == 64
    env = {"BANDSTAND_POLICY": "enforce"}
    async with serving(tmp_path, env=env) as server:
        socket = tmp_path / "bandstand.db-control"
        assert stat.S_IMODE(os.stat(socket).st_mode) == 0o600
        assert await status(server.url) == 401
        assert await status(f"{server.url}/?key={first}") == 101
        rotated = await run(tmp_path, "keys", "rotate", "studio")
        second = rotated.stdout.splitlines()[-1]
        assert await status(f"{server.url}/?key={first}") == 101
        async with connect(f"{server.url}/?key={second}") as peer:
            await peer.recv()
            assert "studio" in (await run(tmp_path, "sessions")).stdout
            assert (await run(tmp_path, "sessions", "end", "--key", "studio")).code == 0
            with anyio.fail_after(10):
                await peer.wait_closed()
            assert peer.close_code == 4403
        assert (await run(tmp_path, "keys", "revoke", "studio")).code == 0
        assert await status(f"{server.url}/?key={second}") == 401
        await server.stop()
    assert names(tmp_path) == ["bandstand.db"]
    assert "revoked" in (await run(tmp_path, "keys", "list")).stdout
    used = (await run(tmp_path, "usage")).stdout.splitlines()[1].split()
    assert used[:3] == ["studio", "0", "3"]
    assert (await run(tmp_path, "sessions")).code == 69
    for secret in (first, second):
        assert secret.encode() not in await anyio.Path(tmp_path, "bandstand.db").read_bytes()


@pytest.mark.parametrize(
    ("env", "part"),
    [
        ({"POLICY": "enforce"}, "neither a key nor clerk"),
        ({"POLICY": "enforce", "CLERK": "https://c.example", "OPEN": "1"}, "open"),
        ({"CLERK": "https://c.example"}, "policy is off"),
        ({"POLICY": "observe", "HOST": "0.0.0.0"}, "0.0.0.0"),
        ({"POLICY": "observe", "CLERK": "http://c.example"}, "clerk must be"),
        ({"POLICY": "observe", "CLERK": "sk_live_x"}, "secret key"),
        ({"POLICY": "observe", "CLERK": "pk_live_x"}, "names no host"),
        ({"POLICY": "observe", "CLERK_PEM": "none.pem"}, "clerk_pem"),
        (
            {"POLICY": "observe", "CLERK": "https://c.example", "CLERK_AZP": "https://a.example/x"},
            "no origin",
        ),
        ({"POLICY": "observe", "ORIGINS": "app.example.com"}, "no origin"),
        ({"ORIGINS": "https://a.example"}, "policy is off"),
        (
            {
                "POLICY": "observe",
                "CLERK": "https://c.example",
                "CLERK_TEMPLATE_SECONDS": "60",
            },
            "clerk_audience",
        ),
        ({"POLICY": "observe", "TRUSTED_PROXIES": "nobody"}, "trusted_proxies"),
    ],
)
async def test_unsafe_settings(tmp_path: Path, env: dict[str, str], part: str) -> None:
    variables = {f"BANDSTAND_{name}": value for name, value in env.items()}
    checked = await run(tmp_path, "check", env=variables)
    assert checked.code == 64
    assert part in checked.stdout
    refused = await run(tmp_path, "serve", "--port", "0", env=variables)
    assert refused.code == 64
    assert refused.stderr.count("\n") == 1
    assert part in refused.stderr


async def test_nothing_leaks_while_tokens_flow(tmp_path: Path) -> None:
    async with standing_in() as clerk:
        env = {
            "BANDSTAND_POLICY": "enforce",
            "BANDSTAND_CLERK": clerk.url,
            "BANDSTAND_ORIGINS": "https://app.example.com",
            "BANDSTAND_LOG_LEVEL": "debug",
        }
        async with serving(tmp_path, env=env) as server:
            await clerk.asked(1)
            good = clerk.instance.mint(email="s3cr3t@example.com")
            secrets = [good, *good.split(".")[1:], "s3cr3t"]
            bad = clerk.instance.mint("user_bad", m="sealerSecret_zs3cr3t")
            secrets += [bad.split(".")[1], bad.split(".")[2], "sealerSecret"]
            for token in (good, bad, "s3cr3t", "s3cr3t.s3cr3t.s3cr3t"):
                headers = {"Authorization": f"Bearer {token}"}
                await status(f"{server.url}/", additional_headers=headers)
                await status(f"{server.url}/?token={token}&key=bsk_s3cr3t")
                pair = [Subprotocol(SUBPROTOCOL), Subprotocol(token)]
                await status(f"{server.url}/", subprotocols=pair)
                cookies = {"Cookie": f"__session={token}; __client_uat=1"}
                app = "https://app.example.com"
                await status(f"{server.url}/", additional_headers=cookies, origin=app)
            said = await health(server.port)
            assert said["auth"]["refused"]["token-holds-secrets"] >= 3
            listed = (await run(tmp_path, "sessions", "--refused")).stdout
            await server.stop()
    written = server.stdout + server.stderr + listed + json.dumps(said)
    assert "sub=user_1" in written
    assert "token-holds-secrets" in written
    for secret in secrets:
        assert secret not in written
        for name in names(tmp_path):
            assert secret.encode() not in await anyio.Path(tmp_path, name).read_bytes()
