"""Text that is no message, in every way, and floods of it."""

from __future__ import annotations

import json

import pytest

from protocol.base58 import b58encode
from tests.hostile.conftest import Besiege, Scale
from tests.hostile.raw import BINARY, Raw, connected, frame, load
from tests.hostile.siege import MB
from tests.integration.sync.stage import Band
from tests.signing import content

pytestmark = pytest.mark.anyio

UNKNOWN = "co_z" + b58encode(b"\x07" * 19)

MALFORMED = {
    "no JSON": b"{",
    "words": b"hello, anybody there?",
    "a number": b"1e999",
    "an unknown action": b'{"action":"sing","id":"co_z1"}',
    "wrong types": b'{"action":"load","id":7,"header":"yes","sessions":[]}',
    "a count that is none": b'{"action":"load","id":"%b","header":true,"sessions":{"a":-1}}'
    % UNKNOWN.encode(),
    "a huge number": b'{"action":"load","id":"%b","header":true,"sessions":{"a":1%b}}'
    % (UNKNOWN.encode(), b"0" * 1000),
    "deep nesting": b'{"action":"done","id":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a lone surrogate": b'{"action":"load","id":"co_z\\ud800","header":false,"sessions":{}}',
}


async def answers_after(raw: Raw, covalue: str = UNKNOWN) -> None:
    """The peer is still there and answered."""
    await raw.send(load(covalue))
    said = await raw.about(covalue)
    assert said == {"action": "known", "id": covalue, "header": False, "sessions": {}}


async def test_what_is_no_message_is_dropped_and_counted(besiege: Besiege) -> None:
    async with (
        besiege("malformed, each kind", bound=16 * MB) as under,
        connected(under.port) as raw,
    ):
        for kind, line in MALFORMED.items():
            before = (await under.counters()).get("malformed", 0)
            await raw.send(line)
            await answers_after(raw)
            assert (await under.counters())["malformed"] == before + 1, kind


async def test_duplicate_members_and_ids_of_other_spelling_are_no_way_in(besiege: Besiege) -> None:
    async with besiege("duplicate members, other spellings", bound=16 * MB) as under:
        async with connected(under.port) as raw:
            kept = under.kept
            # The last one counts, as in JavaScript; what was verified is what is stored.
            twice = b'{"action":"load","id":"%b","id":"%b","header":false,"sessions":{}}'
            await raw.send(twice % (kept.map.id.encode(), UNKNOWN.encode()))
            assert (await raw.about(UNKNOWN))["header"] is False
            run = Band("kept").run("first")
            text = content(kept.map, {kept.session.id: run}).replace(b'"new":', b'"new":{},"new":')
            await raw.send(text)
            assert (await raw.about(kept.map.id))["sessions"] == {kept.session.id: 1}
            # The same 19 bytes in another spelling are another text, which is no id.
            for spelling in (
                kept.map.id.replace("co_z", "co_z1"),
                kept.map.id.upper(),
                kept.map.id + "\u200b",
                kept.map.id.replace("co_z", "co_z\u0430"),
            ):
                await raw.send(load(spelling))
                said = await raw.about(spelling)
                assert (said["action"], said["header"]) == ("known", False)
            # In JSON it may be escaped; that is the same id.
            escaped = json.dumps(load(kept.map.id)).replace("co_z", "\\u0063o_z").encode()
            await raw.send(escaped)
            assert (await raw.about(kept.map.id))["action"] == "content"
        assert (await under.counters())["malformed"] == 4


async def test_who_sends_nothing_else_is_closed(besiege: Besiege, scale: Scale) -> None:
    size = scale(4 * MB, 16 * MB - 1)
    async with besiege("malformed, a flood of lines", bound=120 * MB) as under:
        for line in (b"x\n", b"\n", b'{"action":"sing"}\n'):
            async with connected(under.port) as raw:
                await raw.send(line * (size // len(line)))
                if line.strip():
                    assert await raw.end() == (1008, "malformed messages")
                else:
                    await answers_after(raw)
        await under.moved("closed_1008", 2)
        moved = await under.counters()
        assert moved["malformed"] > 2_000
        assert moved["closed_1008"] == 2
        # Of each connection ten are logged, not millions.
        assert under.server.stderr.count("message.malformed") <= 20


async def test_binary_messages_mean_nothing(besiege: Besiege, scale: Scale) -> None:
    count = scale(2_000, 100_000)
    async with besiege("binary frames", bound=80 * MB) as under, connected(under.port) as raw:
        for _ in range(count // 1000):
            await raw.write(frame(BINARY, b"\x00\xff" * 50) * 1000)
        await raw.write(frame(BINARY, bytes(8 * MB)))
        await answers_after(raw)
        assert (await under.counters())["binary"] == count + 1
