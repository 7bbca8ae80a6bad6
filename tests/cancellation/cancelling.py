"""Something is run and cancelled where it waits for the n-th time, on the real loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import anyio

from tests.cancellation.points import Points

_DEADLINE_S = 8


async def cancelled(
    at: int, work: Callable[[], Awaitable[object]], beside: Callable[[], Awaitable[object]] | None
) -> bool:
    """Run `work`, cancelled at its wait number `at`, and `beside` it what is not cancelled.

    Returns whether there were so many waits. No task is left of either.
    """
    scope = anyio.CancelScope()
    points = Points(at, lambda task: scope.cancel())
    loop = asyncio.get_running_loop()
    points.install(loop)
    try:
        with anyio.fail_after(_DEADLINE_S):
            async with anyio.create_task_group() as tasks:
                if beside is not None:
                    tasks.start_soon(beside)
                tasks.start_soon(_inside, scope, work)
    finally:
        loop.set_task_factory(None)
    assert not points.left, f"at {at}: {points.left}"
    return points.count > at


async def _inside(scope: anyio.CancelScope, work: Callable[[], Awaitable[object]]) -> None:
    with scope:
        await work()
