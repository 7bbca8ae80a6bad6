"""Websocket framing of the generator's side (RFC 6455), as lean as Python allows.

Frames to the server are made before the clock starts, or, for answers, with one masking key: a key
that changes protects proxies from scripts, of which there are none here. Frames from the server are
cut out of what the socket gives, without a copy more than needed.
"""

from __future__ import annotations

import base64
import os
from typing import Final
from urllib.parse import SplitResult

from websockets.utils import accept_key

from bench.faults import ConnectionFailed

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without the compiled part
    from websockets.utils import apply_mask

TEXT: Final = 0x81
CLOSE: Final = 0x88
PING: Final = 0x89
PONG: Final = 0x8A
_FINAL: Final = 0x80
_MASK: Final = bytes.fromhex("37fa213d")


def masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """One final, masked frame, for the way to a server. `opcode` includes the final bit."""
    size = len(payload)
    if size < 126:
        head = bytes((opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((opcode, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((opcode, 0xFF)) + size.to_bytes(8, "big")
    return head + _MASK + apply_mask(payload, _MASK)


class FrameReader:
    """Cuts what a server sends into frames. Fragments are put together."""

    def __init__(self) -> None:
        self._rest = b""
        self._fragments: list[bytes] = []

    def feed(self, data: bytes) -> tuple[list[bytes], list[tuple[int, bytes]]]:
        """Take in bytes; return the complete texts and the control frames (opcode, payload)."""
        texts: list[bytes] = []
        control: list[tuple[int, bytes]] = []
        if self._rest:
            data = self._rest + data
        at, available = 0, len(data)
        while available - at >= 2:
            opcode, size, start = data[at], data[at + 1], at + 2
            if size >= 126:
                extra = 2 if size == 126 else 8
                size = int.from_bytes(data[start : start + extra], "big")
                start += extra
                if start > available:
                    break
            end = start + size
            if end > available:
                break
            payload = data[start:end]
            at = end
            if opcode == TEXT:
                texts.append(payload)
            elif opcode >= CLOSE:
                control.append((opcode, payload))
            else:
                self._fragments.append(payload)
                if opcode & _FINAL:
                    texts.append(b"".join(self._fragments))
                    self._fragments = []
        self._rest = data[at:]
        return texts, control


class Handshake:
    """The HTTP upgrade that turns a socket into a websocket."""

    def __init__(self, url: SplitResult) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self._accept = accept_key(key)
        path = url.path or "/"
        target = f"{path}?{url.query}" if url.query else path
        self.request: Final = (
            f"GET {target} HTTP/1.1\r\nHost: {url.netloc.rpartition('@')[2]}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
        self._received = b""

    def feed(self, data: bytes) -> bytes | None:
        """Take in bytes; return what follows the response once that is complete, else `None`.

        Raises `ConnectionFailed` if the server does not upgrade.
        """
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return None
        status = head.partition(b"\r\n")[0].decode("latin-1")
        if " 101" not in status:
            raise ConnectionFailed(f"the server answers {status!r}")
        if self._accept.lower().encode() not in head.lower():
            raise ConnectionFailed("the server's answer is to another handshake")
        return rest
