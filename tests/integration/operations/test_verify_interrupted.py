"""`bandstand verify`, interrupted: it says so, and the next run goes on from there."""

from __future__ import annotations

import io
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from server.verify import command, progress
from server.verify.command import INTERRUPTED, verify
from tests.crash.large import Large, make_large, make_long

BYTES = 6_000_000
CHUNKS = 10_000


class Terminal(io.StringIO):
    """Somebody looks at it, and presses Ctrl-C at the first bar if told so."""

    def __init__(self, *, impatient: bool, bar: str = "[") -> None:
        super().__init__()
        self._impatient = impatient
        self._bar = bar

    def isatty(self) -> bool:
        """It is one."""
        return True

    def write(self, text: str) -> int:
        """Show it."""
        written = super().write(text)
        if self._impatient and self._bar in text:
            self._impatient = False
            signal.raise_signal(signal.SIGINT)
        return written


@pytest.fixture
def sigterm() -> Iterator[None]:
    """The command sets a handler of its own."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def number(of: str, text: str) -> int:
    """The number before some words."""
    found = re.search(rf"([\d,]+) {of}", text)
    assert found, text
    return int(found[1].replace(",", ""))


@pytest.mark.usefixtures("sigterm")
def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "large.db"
    made: Large = anyio.run(make_large, path, BYTES)
    out, screen = io.StringIO(), Terminal(impatient=True)
    assert verify(str(path), fresh=False, out=out, err=screen) == INTERRUPTED
    assert "interrupted; the next run goes on from here" in out.getvalue()
    assert re.search(r"\[#+\.+\] +\d+% [\d,]+ CoValues, \d+ MB/s, 0 damaged", screen.getvalue())

    out, screen = io.StringIO(), Terminal(impatient=False)
    assert verify(str(path), fresh=False, out=out, err=screen) == 0
    proved = number("proved by an earlier run", out.getvalue())
    checked = number("signatures checked", out.getvalue())
    chunks = number("chunks", out.getvalue())
    assert proved + checked >= chunks > len(made.maps)
    assert 0 < proved < chunks
    assert screen.getvalue().count("\r") > 2


@pytest.mark.usefixtures("sigterm")
def test_in_the_middle_of_a_session_the_bar_moves_and_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.db"
    anyio.run(make_long, path, CHUNKS)
    # By other processes, as in a large file.
    monkeypatch.setattr(command, "_ALONE_BYTES", 0)
    monkeypatch.setattr(command, "_SHOW_S", 0.01)
    monkeypatch.setattr(progress, "_EVERY_S", 0.0)
    out, screen = io.StringIO(), Terminal(impatient=True, bar="[#")
    assert verify(str(path), fresh=False, out=out, err=screen) == INTERRUPTED
    assert re.search(r"\[#+\.+\] +\d+% 0 CoValues", screen.getvalue())

    out, screen = io.StringIO(), Terminal(impatient=False)
    assert verify(str(path), fresh=False, out=out, err=screen) == 0
    proved = number("proved by an earlier run", out.getvalue())
    # The account's own chunk and the group's, and more.
    assert 2 < proved < CHUNKS
    assert proved + number("signatures checked", out.getvalue()) == CHUNKS + 2
    assert number("transactions", out.getvalue()) == CHUNKS + 2
