"""A live line on standard error: what runs, and how fast just now."""

from __future__ import annotations

from time import perf_counter
from typing import Final, TextIO

_WIDTH: Final = 100


class Progress:
    """Overwrites one line on a terminal; writes nothing elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._visible = stream.isatty()
        self._title = ""
        self._last: tuple[float, int] | None = None

    def begin(self, title: str) -> None:
        """Something else runs now."""
        self._title, self._last = title, None
        self.show(title)

    def count(self, operations: int) -> None:
        """So many operations are done since the beginning; fewer than before: it began again."""
        now = perf_counter()
        if self._last is not None and now > self._last[0] and operations >= self._last[1]:
            rate = (operations - self._last[1]) / (now - self._last[0])
            self.show(f"{self._title}: {operations:,} operations, {rate:,.0f}/s")
        self._last = (now, operations)

    def show(self, text: str) -> None:
        """Put `text` on the line."""
        if self._visible:
            self._stream.write(f"\r{text[:_WIDTH]:<{_WIDTH}}")
            self._stream.flush()

    def clear(self) -> None:
        """Take the line away."""
        self.show("")
        if self._visible:
            self._stream.write("\r")
            self._stream.flush()
