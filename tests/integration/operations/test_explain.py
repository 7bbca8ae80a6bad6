"""`bandstand token explain`: the verdict, its exit code, and nothing of the token itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.clerk.instance import Instance
from tests.clerk.server import StandIn, standing_in
from tests.integration.operations.command import Ended, run
from tests.integration.operations.trusting import trusting

pytestmark = pytest.mark.anyio

SECRET = "sealerSecret_zs3cr3t/signerSecret_zs3cr3t"


@pytest.fixture
def instance() -> Instance:
    """Its key is in a PEM file: nothing is fetched."""
    return Instance("https://clerk.example.test")


async def explain(folder: Path, instance: Instance, text: str | bytes) -> Ended:
    """What is said of a token."""
    stdin = text.encode() if isinstance(text, str) else text
    return await run(folder, "token", "explain", env=trusting(folder, instance), stdin=stdin)


def assert_unprinted(ended: Ended, token: str) -> None:
    """Neither the token, nor a part of it, nor a Jazz secret was printed."""
    for written in (ended.stdout, ended.stderr):
        for part in (token, *token.split(".")):
            assert part not in written
        assert "s3cr3t" not in written
        assert "Secret_" not in written
        assert "Traceback" not in written


async def test_a_good_token(tmp_path: Path, instance: Instance) -> None:
    token = instance.mint(email="s3cr3t@example.com")
    for text in (token, f"Bearer {token}\n"):
        ended = await explain(tmp_path, instance, text)
        assert ended.code == 0
        assert ended.stdout.splitlines()[-1] == "verdict: accepted"
        assert "sub: user_1" in ended.stdout
        assert "other claims: email, fva, v" in ended.stdout
        assert ended.stderr == ""
        assert_unprinted(ended, token)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": 1000, "iat": 940, "nbf": 930}, "token-expired"),
        ({"iss": "https://clerk.other.example"}, "token-invalid-issuer"),
        ({"exp": 10**400}, "token-verification-failed"),
        ({"nbf": 2**52}, "token-not-active-yet"),
        ({"sid": None}, "template-not-allowed"),
        ({"metadata": {"jazzAccountSecret": SECRET}}, "token-holds-secrets"),
        ({SECRET: 1}, "token-holds-secrets"),
        ({"sub": SECRET}, "token-holds-secrets"),
        ({"aud": ["x" * 90, SECRET]}, "token-holds-secrets"),
    ],
)
async def test_a_token_that_fails_a_rule(
    tmp_path: Path, instance: Instance, claims: dict[str, Any], reason: str
) -> None:
    token = instance.mint(**claims)
    ended = await explain(tmp_path, instance, token)
    assert ended.code == 1
    assert f"verdict: refused, {reason}: " in ended.stdout
    assert ended.stderr == ""
    assert_unprinted(ended, token)


async def test_a_forged_token(tmp_path: Path, instance: Instance) -> None:
    token = instance.mint(key=rsa.generate_private_key(65537, 2048))
    ended = await explain(tmp_path, instance, token)
    assert ended.code == 1
    assert "refused, token-invalid-signature: " in ended.stdout
    assert_unprinted(ended, token)


@pytest.mark.parametrize("garbage", [b"s3cr3t", b"s3cr3t.s3cr3t.s3cr3t", b"\xff\xfes3cr3t\x00"])
async def test_garbage(tmp_path: Path, instance: Instance, garbage: bytes) -> None:
    ended = await explain(tmp_path, instance, garbage)
    assert ended.code == 1
    assert ended.stdout.startswith("verdict: refused, token-invalid: ")
    assert ended.stderr == ""
    assert_unprinted(ended, "s3cr3t")


async def test_nothing_to_hold_it_against(tmp_path: Path, instance: Instance) -> None:
    token = instance.mint()
    without = await run(tmp_path, "token", "explain", stdin=token.encode())
    assert without.code == 64
    assert without.stderr.count("\n") == 1
    assert_unprinted(without, token)
    empty = await explain(tmp_path, instance, " \n")
    assert (empty.code, empty.stdout) == (64, "")


async def test_with_keys_from_the_instance(tmp_path: Path) -> None:
    async with standing_in() as clerk:
        env = {"BANDSTAND_CLERK": clerk.url}

        async def verdict(clerk: StandIn, **claims: Any) -> str:
            token = clerk.instance.mint(**claims).encode()
            ended = await run(tmp_path, "token", "explain", env=env, stdin=token)
            return ended.stdout.split("verdict: ")[1]

        assert await verdict(clerk) == "accepted\n"
        clerk.behave("failing")
        assert "jwk-remote-failed-to-load" in await verdict(clerk)
