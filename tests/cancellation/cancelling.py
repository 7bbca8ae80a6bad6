"""Something is run and cancelled where it waits for the n-th time, on the real loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from tests.cancellation.awaits import Line
from tests.cancellation.points import Points

_DEADLINE_S = 30

Work = Callable[[], Coroutine[Any, Any, object]]


async def cancelled(
    at: int | Line,
    work: Work,
    beside: Work | None,
) -> Points:
    """Run `work`, cancelled at its wait number `at`, and `beside` it what is not cancelled.

    Returns all waits that there were. No task is left of either.
    """
    scope = anyio.CancelScope()
    points = Points(at, lambda task: scope.cancel())
    loop = asyncio.get_running_loop()
    points.install(loop)
    strict = loop.get_exception_handler()

    def lenient(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        # anyio's Unix sockets: readable and cancelled in the same round of the loop.
        if not isinstance(context.get("exception"), asyncio.InvalidStateError):
            (strict or asyncio.AbstractEventLoop.default_exception_handler)(loop, context)

    loop.set_exception_handler(lenient)
    try:
        with anyio.fail_after(_DEADLINE_S):
            async with anyio.create_task_group() as tasks:
                if beside is not None:
                    tasks.start_soon(beside)
                tasks.start_soon(_inside, scope, work)
    finally:
        loop.set_task_factory(None)
        loop.set_exception_handler(strict)
    assert not points.left, f"at {at}: {points.left}"
    return points


async def _inside(scope: anyio.CancelScope, work: Work) -> None:
    with scope:
        await work()
