"""The whole server, over real sockets and a real file, is cancelled wherever it waits.

From the start on, through a connection, an upload, a question on the control socket and the stop;
once as it is, open, and once deciding who may connect: afterwards nothing is left, neither of tasks
nor of sockets nor of locks, and what was acknowledged is stored.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from websockets.asyncio.client import connect

from server.config import Settings
from server.control.socket import socket_path
from server.service import serve
from tests.cancellation.awaits import ENDED, Line
from tests.cancellation.cancelling import cancelled
from tests.cancellation.points import Points
from tests.cancellation.visitor import Guest, Visitor, told_of_waiting
from tests.clerk.server import standing_in

pytestmark = [
    pytest.mark.anyio,
    # asyncio loses a socket that it accepted if its server is closed before there is a transport.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

_MOST: Final = 400


async def test_nothing_is_left_wherever_the_server_is_cancelled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def settings(db: str) -> Settings:
        return Settings(port=0, db=db)

    await cancelled_everywhere(tmp_path, settings, lambda chosen: Visitor(chosen, capsys))


async def test_nothing_is_left_wherever_a_server_that_decides_who_may_connect_is_cancelled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.auth.door._SAVE_S", 0.01)
    async with standing_in() as clerk:

        def settings(db: str) -> Settings:
            return Settings(port=0, db=db, policy="enforce", clerk=clerk.url)

        def visitor(chosen: Settings) -> Visitor:
            clerk.behave("silent")
            return Guest(chosen, capsys, clerk, told_of_waiting(monkeypatch))

        await cancelled_everywhere(tmp_path, settings, visitor, step=4)


async def cancelled_everywhere(
    folder: Path,
    settings: Callable[[str], Settings],
    visitor: Callable[[Settings], Visitor],
    step: int = 1,
) -> None:
    """Run the server as often as it waits, each time with a visitor, and cancel it there.

    At every `step`-th wait, and at each place where nothing was ended by then.
    """
    number = 0

    async def cancelled_at(at: int | Line) -> tuple[Points, Visitor]:
        nonlocal number
        number += 1
        chosen = settings(str(folder / f"{number}.db"))
        guest = visitor(chosen)

        async def work() -> None:
            try:
                await serve(chosen)
            finally:
                guest.over.set()

        points = await cancelled(at, work, guest.visit)
        assert not os.path.exists(socket_path(chosen.db)), f"at {at}"  # noqa: ASYNC240
        await guest.assert_kept()
        if guest.url:
            with pytest.raises(OSError):
                await connect(guest.url)
        return points, guest

    at = 0
    while True:
        points, guest = await cancelled_at(at)
        if points.count <= at:
            break
        at += step
        assert at < _MOST
    assert guest.acknowledged.keys() == guest.everything
    assert at > 20
    for line in set().union(*points.ways) - ENDED:
        await cancelled_at(line)
    gc.collect()
