"""A live line on standard error: how far it is."""

from __future__ import annotations

from time import perf_counter
from typing import Final, TextIO

_WIDTH: Final = 78
_CELLS: Final = 24
_EVERY_S: Final = 0.1


class Progress:
    """Overwrites one line on a terminal; writes nothing elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._visible = stream.isatty()
        self._last = 0.0

    def bar(self, share: float, text: str) -> None:
        """A bar that is full at 1, and what there is to say; ten times a second at most."""
        now = perf_counter()
        if now - self._last > _EVERY_S:
            self._last = now
            full = min(int(share * _CELLS), _CELLS)
            self.show(f"[{'#' * full}{'.' * (_CELLS - full)}] {min(share, 1):4.0%} {text}")

    def show(self, text: str) -> None:
        """Put `text` on the line."""
        if self._visible:
            self._stream.write(f"\r{text[:_WIDTH]:<{_WIDTH}}")
            self._stream.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._visible:
            self._stream.write(f"\r{'':{_WIDTH}}\r")
            self._stream.flush()
