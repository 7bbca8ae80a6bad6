"""A bare websocket at the server's door: does it let a token in?"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Any

import anyio
import jwt
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.interop.auth.frontend import SKEW_SECONDS

SUBPROTOCOL = "bandstand.clerk"


async def admits(url: str, token: str | None) -> bool:
    """Whether the server at `url` lets a websocket in, with that token or with none."""
    protocols: Any = [SUBPROTOCOL, token] if token else None
    try:
        async with connect(url, subprotocols=protocols):
            return True
    except InvalidStatus as refusal:
        if refusal.response.status_code != HTTPStatus.UNAUTHORIZED:
            raise
        return False


async def token_dies(url: str, token: str) -> None:
    """Wait for the end of a token's life; from then on the server must not take it."""
    claims = jwt.decode(token, options={"verify_signature": False})
    await anyio.sleep(claims["exp"] + SKEW_SECONDS - time.time() + 0.05)
    assert not await admits(url, token), "the server takes a dead token"
