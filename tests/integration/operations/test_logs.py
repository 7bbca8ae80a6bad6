"""Logs: programs can read them, and no key is ever in them, whatever peers do."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.integration.operations.command import Server, names, serving
from tests.integration.operations.talk import Talk, request
from tests.integration.sync.stage import Band
from tests.signing import content

pytestmark = pytest.mark.anyio

SECRET = "s3cr3tK3y"
UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"


async def misbehave(server: Server) -> None:
    """Everything that might make the server talk, with the key in every place for one."""
    band = Band()
    headers = {"Authorization": f"Bearer {SECRET}", "Cookie": f"key={SECRET}"}
    async with connect(f"{server.url}/?key={SECRET}", additional_headers=headers) as socket:
        alice = Talk(socket)
        await alice.upload(*band.first())
        await alice.send(b"no message", b'"x"', b'{"action":"content"}', b"\x00")
        forged = band.run("forged").with_flipped_signature()
        await alice.send(content(band.map, {band.session.id: forged}))
        assert (await alice.next())["sessions"] == {band.session.id: 1}
        await socket.send(b"binary")
        await socket.send("x" * 1_000_000)
        assert await alice.closed() == 1009
    for text in (
        f"GET /health?key={SECRET} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET /?key={SECRET} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET /{SECRET}?key={SECRET} HTTP/1.1\r\nHost: x\r\nCookie: {SECRET}\r\n\r\n",
        f"POST /?key={SECRET} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{SECRET}",
        f"GET /?key={SECRET} HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n",
        f"GET /?key={SECRET} HTTP/1.1\r\nHost: x\r\n{UPGRADE}Sec-WebSocket-Key: {SECRET}\r\n\r\n",
        f"GET /?key={SECRET} HTTP/1.1\r\nno header {SECRET}\r\n\r\n",
        f"GET /?key={SECRET} HTTP/9.9\r\nHost: x\r\n\r\n",
        f"{SECRET}\r\n\r\n",
        f"GET /?key={SECRET * 2000} HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        with suppress(ConnectionError):
            await request(server.port, text)
    with pytest.raises(InvalidStatus):
        async with connect(f"{server.url}/?key={SECRET}", additional_headers={"Upgrade": "h2c"}):
            pass
    # Half a request, and gone.
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET /?key={SECRET}".encode())
    writer.close()
    async with connect(f"{server.url}/?key={SECRET}") as socket:
        socket.transport.abort()


@pytest.mark.parametrize(
    ("level", "style"),
    [
        ("debug", "console"),
        ("debug", "json"),
        ("info", "console"),
        ("warning", "console"),
        ("error", "json"),
    ],
)
async def test_no_key_is_written_anywhere(tmp_path: Path, level: str, style: str) -> None:
    arguments = ["--log-level", level, "--log-format", style]
    environment = {"BANDSTAND_MAX_MESSAGE_BYTES": "300000", "PYTHONASYNCIODEBUG": "1"}
    async with serving(tmp_path, *arguments, env=environment) as server:
        await misbehave(server)
        await server.stop()
    assert SECRET not in server.stderr
    assert SECRET not in server.stdout
    assert "Traceback" not in server.stderr
    assert ("server.started" in server.stderr) == (level in ("debug", "info"))
    if level == "debug":
        assert "peer.joined" in server.stderr
        assert "message.malformed" in server.stderr
        assert "content.refused" in server.stderr
    for name in names(tmp_path):
        assert SECRET.encode() not in await anyio.Path(tmp_path, name).read_bytes()


async def test_each_line_is_json_with_a_time_and_a_level(tmp_path: Path) -> None:
    arguments = ["--log-level", "debug", "--log-format", "json"]
    environment = {"BANDSTAND_MAX_MESSAGE_BYTES": "300000"}
    async with serving(tmp_path, *arguments, env=environment) as server:
        await misbehave(server)
        await server.stop()
    events = [json.loads(line) for line in server.stderr.splitlines()]
    assert (events[0]["event"], events[-1]["event"]) == ("server.started", "server.stopped")
    for event in events:
        assert event["level"] in ("debug", "info", "warning", "error")
        assert event["timestamp"].endswith("Z")
    stopping = next(event for event in events if event["event"] == "server.stopping")
    assert stopping["signal"] == "SIGTERM"


async def test_standard_output_is_for_people_and_short(tmp_path: Path) -> None:
    async with serving(tmp_path, "--log-level", "debug") as server:
        await server.stop()
    assert len(server.stdout.splitlines()) == 3
