"""`python -m tests.clerk`: the stand-in for Clerk as a process of its own."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from server.auth.clerk import parse_instance

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_it_is_told_to_stop(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "tests.clerk"]
    with anyio.fail_after(30):
        async with await anyio.open_process(command, cwd=ROOT) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            lines = BufferedByteReceiveStream(process.stdout)
            url = (await lines.receive_until(b"\n", 1024)).decode()
            async with httpx.AsyncClient(trust_env=False) as client:
                keys = (await client.get(parse_instance(url).jwks_url)).json()["keys"]
                assert [key["kid"] for key in keys] == ["ins_stand_in_1"]
                token = (await client.post(f"{url}/tokens?sub=user_7")).text
                assert token.count(".") == 2
            process.send_signal(number)
            assert await process.wait() == 0
            with pytest.raises(anyio.EndOfStream):
                await process.stderr.receive()
