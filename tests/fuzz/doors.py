"""What comes before or beside the protocol: handshakes, tokens, addresses, the control socket."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import anyio
import msgspec
from anyio.abc import ByteStream
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeader

from server.auth.addresses import client_address, is_local, is_origin, neighbourhood, parse_networks
from server.auth.carriers import Carriers, offers_subprotocol, read_credentials
from server.auth.claims import Rules, check_claims
from server.auth.token import parse_token
from server.control.messages import Answer, Request
from server.control.wire import Unreadable, receive, send
from server.errors import Refused, ServerError

_RULES: Final = Rules("https://clerk.example.com", ("https://app.example.com",), audience="")
_NOW: Final = 1_780_000_000.0
_TRUSTED: Final = parse_networks("10.0.0.0/8 127.0.0.1 ::1")


def carriers(data: bytes) -> None:
    """A handshake's credentials were in it, or it is refused; printed, they say nothing."""
    target, *lines = data.decode("latin-1").split("\n")
    headers = Headers()
    for line in lines[:20]:
        name, _, value = line.partition(":")
        with suppress(InvalidHeader):
            headers[name] = value.strip()
    offers_subprotocol(headers)
    for allowed in (Carriers(), Carriers("t", "abc", cookies=True)):
        try:
            found = read_credentials(target, headers, allowed)
        except Refused as refusal:
            assert refusal.status in (401, 403)
            continue
        assert (found.token is None) == (found.carrier is None)
        assert found.carrier != "cookie" or allowed.cookies
        assert "token=" not in repr(found)
        for secret in (found.token, found.key):
            assert secret is None or len(secret) <= 8 * 1024
            assert secret is None or len(secret) < 8 or secret not in repr(found)
        if found.token is not None and found.carrier != "query":
            assert found.token in data.decode("latin-1")
        token((found.token or "").encode("latin-1", "replace"))
    addresses(data)


def token(data: bytes) -> None:
    """A token is taken apart or refused; nothing else, and its claims likewise."""
    try:
        taken = parse_token(data.decode("latin-1"))
    except Refused as refusal:
        assert refusal.status == 401
        return
    try:
        kid = taken.kid
    except Refused:
        kid = ""
    assert len(kid) <= 256
    assert taken.text.count(".") == 2
    try:
        claims = check_claims(taken.claims, _RULES, _NOW)
    except Refused as refusal:
        assert refusal.status in (401, 403)
        return
    assert claims.sub.isprintable()
    assert len(claims.sub) <= 256
    assert claims.sid is not None
    assert claims.expires <= _NOW + 24 * 3600


def addresses(data: bytes) -> None:
    """An address is an address; what a client says about itself is not believed."""
    text = data.decode("latin-1")
    for peer in (text.partition("\n")[0], "127.0.0.1"):
        address = client_address(peer, text.split("\n"), _TRUSTED)
        assert neighbourhood(neighbourhood(address)) is not None
        assert isinstance(is_local(address), bool)
        assert len(address) <= 45
    assert client_address("192.0.2.1", text.split("\n"), _TRUSTED) == "192.0.2.1"
    assert isinstance(is_origin(text), bool)


class Pipe(ByteStream):
    """A stream that holds some bytes and keeps what is sent."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        """The next bytes."""
        if not self.data:
            raise anyio.EndOfStream
        piece, self.data = self.data[:max_bytes], self.data[max_bytes:]
        return piece

    async def send(self, item: bytes) -> None:
        """Keep them."""
        self.data += item

    async def send_eof(self) -> None:
        """Nothing follows."""

    async def aclose(self) -> None:
        """Nothing to do."""


def control(data: bytes) -> None:
    """The control socket reads a request or an answer, says that it cannot, and nothing else."""
    for kind in (Request, Answer):
        for sent in (data, len(data).to_bytes(4, "big") + data):
            _drive(_control(sent, kind))


async def _control(sent: bytes, kind: object) -> None:
    try:
        value = await receive(Pipe(sent), kind)
    except Unreadable:
        return
    except ServerError:
        assert len(sent) < 4 or int.from_bytes(sent[:4], "big") > len(sent) - 4
        return
    assert isinstance(value, msgspec.Struct)
    said = []
    for _ in range(2):
        # What is bytes among values of any type is text from then on.
        pipe = Pipe()
        await send(pipe, value)
        value = await receive(pipe, kind)
        said.append(repr(value))
    assert said[0] == said[1]


def _drive(work: object) -> None:
    """Run a coroutine that never waits."""
    try:
        work.send(None)  # type: ignore[attr-defined]
    except StopIteration:
        return
    raise AssertionError("it waits for something")
