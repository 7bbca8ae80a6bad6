"""Handshakes (RFC 6455 §4.2, RFC 9112), proper and not, and what must come of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from base58 import b58encode

from tests.conformance.wire import KEY, TEXT, frame

Headers = Mapping[str, str | tuple[str, ...] | None]
ID: Final = b"co_z" + b58encode(bytes(range(1, 20)))
"""An id that a CoValue could have, and none has."""
LOAD: Final = frame(
    TEXT,
    b'{"action":"load","id":"' + ID + b'","header":false,"sessions":{}}',
    mask=b"\x01\x02\x03\x04",
)
"""A question whose answer, or echo, holds `ID`."""


@dataclass(frozen=True)
class Handshake:
    """A request, and the status it must be answered with."""

    name: str
    request: bytes = field(repr=False)
    status: int
    """101: a websocket, on which a `LOAD` is answered. 0: the socket is closed without a word."""
    follows: bytes = field(default=b"", repr=False)
    """What is sent in the same breath."""


def request(
    changes: Headers | None = None,
    *,
    line: str = "GET / HTTP/1.1",
    newline: str = "\r\n",
) -> bytes:
    """A proper request, with some header lines changed, added, or (`None`) left out."""
    headers: Headers = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY.decode(),
        "Sec-WebSocket-Version": "13",
        **(changes or {}),
    }
    lines = [line]
    for name, value in headers.items():
        values = value if isinstance(value, tuple) else () if value is None else (value,)
        lines += [f"{name}: {one}" for one in values]
    return (newline.join(lines) + newline * 2).encode("latin-1")


def proper() -> Iterator[Handshake]:
    """What browsers, proxies and libraries send."""
    yield Handshake("as in the RFC", request(), 101)
    lower = request().replace(b"Host", b"host").replace(b"Sec-WebSocket-", b"sec-websocket-")
    lower = lower.replace(b"Upgrade: ", b"upgrade: ").replace(b"Connection", b"connection")
    yield Handshake("header names in lower case", lower, 101)
    upper = request().replace(b"Sec-WebSocket-", b"SEC-WEBSOCKET-").replace(b"Host", b"HOST")
    yield Handshake("header names in upper case", upper, 101)
    yield Handshake("Upgrade: WebSocket", request({"Upgrade": "WebSocket"}), 101)
    yield Handshake(
        "Connection: keep-alive, Upgrade", request({"Connection": "keep-alive, Upgrade"}), 101
    )
    yield Handshake("Connection: upgrade", request({"Connection": "upgrade"}), 101)
    yield Handshake("Connection twice", request({"Connection": ("keep-alive", "Upgrade")}), 101)
    yield Handshake("an Origin", request({"Origin": "https://app.example"}), 101)
    yield Handshake("a path and a query", request(line="GET /sync/?key=anything HTTP/1.1"), 101)
    yield Handshake("an absolute target", request(line="GET http://localhost/ HTTP/1.1"), 101)
    yield Handshake("50 more headers", request({f"X-{n}": "y" * 50 for n in range(50)}), 101)
    yield Handshake("a header of 4 KB", request({"Cookie": "y" * 4096}), 101)
    yield Handshake("spaces around values", request({"Upgrade": "  websocket  "}), 101)
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    yield Handshake("compression offered", request(offer), 101)
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate, x-webkit-deflate-frame, foo; bar=1"}
    yield Handshake("several extensions offered", request(offer), 101)
    yield Handshake("a subprotocol offered", request({"Sec-WebSocket-Protocol": "chat"}), 101)
    yield Handshake("subprotocols offered", request({"Sec-WebSocket-Protocol": "chat, soap"}), 101)
    yield Handshake("a body of length 0", request({"Content-Length": "0"}), 101)
    yield Handshake("a frame in the same breath", request(), 101, LOAD)
    yield Handshake("frames in the same breath", request(), 101, frame(TEXT, b"") + LOAD * 3)


def improper() -> Iterator[Handshake]:
    """What must be refused, or may be."""
    yield Handshake("no key", request({"Sec-WebSocket-Key": None}), 400)
    yield Handshake("an empty key", request({"Sec-WebSocket-Key": ""}), 400)
    yield Handshake("a key of 3 bytes", request({"Sec-WebSocket-Key": "Zm9v"}), 400)
    yield Handshake(
        "a key of 17 bytes", request({"Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZjA="}), 400
    )
    yield Handshake("a key that is not base64", request({"Sec-WebSocket-Key": "!" * 24}), 400)
    yield Handshake("two keys", request({"Sec-WebSocket-Key": (KEY.decode(),) * 2}), 400)
    for version in ("0", "8", "12", "14", "x", ""):
        sent = request({"Sec-WebSocket-Version": version})
        yield Handshake(f"version {version or 'empty'}", sent, 400)
    yield Handshake("no version", request({"Sec-WebSocket-Version": None}), 400)
    yield Handshake("two versions", request({"Sec-WebSocket-Version": ("13", "13")}), 400)
    yield Handshake("no Host", request({"Host": None}), 400)
    yield Handshake("no Connection", request({"Connection": None}), 426)
    yield Handshake("Connection: close", request({"Connection": "close"}), 426)
    yield Handshake("no Upgrade", request({"Upgrade": None}), 426)
    yield Handshake("Upgrade: h2c", request({"Upgrade": "h2c"}), 426)
    yield Handshake("Upgrade: h2c, websocket", request({"Upgrade": "h2c, websocket"}), 426)
    yield Handshake("Upgrade: websocket, h2c", request({"Upgrade": "websocket, h2c"}), 426)
    for method in ("POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "get"):
        yield Handshake(f"method {method}", request(line=f"{method} / HTTP/1.1"), 405)
    yield Handshake("HTTP/1.0", request(line="GET / HTTP/1.0"), 505)
    yield Handshake("HTTP/0.9", b"GET /\r\n\r\n", 0)
    yield Handshake("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0)
    yield Handshake("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n" * 50, 0)
    yield Handshake("a body", request({"Content-Length": "5"}) + b"hello", 0)
    yield Handshake("a body in chunks", request({"Transfer-Encoding": "chunked"}) + b"0\r\n\r\n", 0)
    yield Handshake("a line of 10 KB", request(line=f"GET /{'x' * 10_240} HTTP/1.1"), 414)
    yield Handshake("a header of 10 KB", request({"Cookie": "y" * 10_240}), 431)
    yield Handshake("a header of 1 MB", request({"Cookie": "y" * 2**20}), 431)
    yield Handshake("200 more headers", request({f"X-{n}": "y" for n in range(200)}), 431)
    yield Handshake("bare newlines", request(newline="\n"), 0)
    yield Handshake("a header without a colon", request().replace(b"Host: ", b"Host "), 0)
    yield Handshake("a space before the colon", request().replace(b"Host:", b"Host :"), 0)
    yield Handshake("a folded header", request({"X": "a\r\n b"}), 0)
    yield Handshake("a zero byte in a header", request({"X": "a\0b"}), 0)
    yield Handshake("a header that is not ASCII", request({"X": "\xff"}), 101)


HANDSHAKES: Final = [*proper(), *improper()]

DEPARTURES: Final = {"no Host": 101}
"""What bandstand answers where the RFC has it otherwise; the README says why."""
