"""Text frames (RFC 6455 §5.2), in and out, by the shortest way.

Nearly all that a Jazz client sends is whole text messages, one frame each, and reading such a frame
takes a few comparisons. Everything else (control frames, fragments, binary, what is wrong) is left
to `websockets`, whose parser would take many times as long for each of the plain ones.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without the compiled part
    from websockets.utils import apply_mask

_TEXT: Final = 0x81
_PING_PONG: Final = (0x89, 0x8A)
_MASKED: Final = 0x80
_MEDIUM: Final = Struct("!BBH").pack
_LARGE: Final = Struct("!BBQ").pack


class TextReader:
    """Cuts whole masked text frames out of what a client sends.

    What is none is in `others`, for the caller to take: complete pings and pongs, or, from the
    first frame on that is neither, everything (`is_over`). So a text is never read out of turn:
    what may end the connection, or belongs to a fragmented message, ends the shortcut.
    """

    def __init__(self, max_bytes: int) -> None:
        """`max_bytes` is the largest payload; a larger one is the library's, to refuse."""
        self._max_bytes = max_bytes
        self._rest = bytearray()
        self._wanted = 0
        self.others = b""
        self.is_over = False
        """Whether all that follows goes to the library."""

    @property
    def waiting(self) -> int:
        """Bytes of a frame that is not complete."""
        return len(self._rest)

    def feed(self, data: bytes | bytearray) -> list[bytes]:
        """Take in bytes; return the payloads of the text frames that are now complete."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return []
            data, self._rest, self._wanted = self._rest, bytearray(), 0
        texts: list[bytes] = []
        at, end = 0, len(data)
        while end - at >= 2:
            opcode, size = data[at], data[at + 1] - _MASKED
            start = at + 6
            if opcode == _TEXT and size >= 0:
                if size >= 126:
                    start += 2 if size == 126 else 8
                    if start > end:
                        self._wanted = 0
                        break
                    size = int.from_bytes(data[at + 2 : start - 4], "big")
                    if size > self._max_bytes:
                        at = self._leave(data, at)
                        break
            elif not (opcode in _PING_PONG and 0 <= size < 126):
                at = self._leave(data, at)
                break
            stop = start + size
            if stop > end:
                self._wanted = stop - at
                break
            if opcode == _TEXT:
                texts.append(apply_mask(data[start:stop], data[start - 4 : start]))
            else:
                self.others += data[at:stop]
            at = stop
        if at < end:
            self._rest += data[at:]
        return texts

    def take_others(self) -> bytes:
        """What is for the library, in its order."""
        others, self.others = self.others, b""
        return others

    def _leave(self, data: bytes | bytearray, at: int) -> int:
        self.others += data[at:]
        self.is_over = True
        return len(data)


def text_frame(message: bytes) -> bytes:
    """An unmasked text frame around a message, as a server sends it."""
    size = len(message)
    if size < 126:
        return bytes((_TEXT, size)) + message
    if size < 65_536:
        return _MEDIUM(_TEXT, 126, size) + message
    return _LARGE(_TEXT, 127, size) + message
