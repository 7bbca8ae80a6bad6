"""Every point at which a task of the server waits, in order; and something that happens at one.

The model is httpcore's `tests/test_cancellations.py`. There, cancellation comes after some time,
and the waits are made long; here the waits are counted, so that none is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.cancellation.awaits import ENDED, Line, frames

Act = Callable[["asyncio.Task[Any]"], None]


class Points:
    """Counts the waits of the server's tasks on one loop, and acts at one of them."""

    def __init__(self, at: int | Line | None = None, act: Act = lambda task: None) -> None:
        """`act` is given the task that begins to wait for the `at`-th time (from 0 on), or there.

        That is once at most.
        """
        self._at, self._act = at, act
        self.count = 0
        self.tasks: list[asyncio.Task[Any]] = []
        """All tasks that were started."""
        self.seen: set[str] = set()
        """The functions of the server that waited, as `module.function`."""
        self.ways: list[set[Line]] = []
        """Of each wait, the files and lines of the server on the way to it."""

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Count what tasks of the loop do from now on."""
        loop.set_task_factory(self._start)

    @property
    def left(self) -> list[asyncio.Task[Any]]:
        """The tasks that have not ended."""
        return [task for task in self.tasks if not task.done()]

    def _start(
        self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any
    ) -> asyncio.Task[Any]:
        counted = _Counted(coro, self)
        task: asyncio.Task[Any] = asyncio.Task(counted, loop=loop, **options)
        counted.task = task
        self.tasks.append(task)
        return task

    def waits(self, counted: _Counted) -> None:
        """A task begins to wait."""
        way = list(frames(counted.inner))
        if not way or counted.task is None:
            return
        self.seen.update(f"{Path(file).stem}.{function}" for file, _, function in way)
        self.ways.append({(file, line) for file, line, _ in way})
        self.count += 1
        if self._at == self.count - 1 or self._at in self.ways[-1]:
            self._at = None
            ENDED.update(self.ways[-1])
            self._act(counted.task)


class _Counted(Coroutine[Any, Any, Any]):
    """A coroutine that says when it waits."""

    def __init__(self, inner: Coroutine[Any, Any, Any], points: Points) -> None:
        self.inner, self._points = inner, points
        self.task: asyncio.Task[Any] | None = None

    def send(self, value: Any) -> Any:
        """See `collections.abc.Coroutine`."""
        waited_for = self.inner.send(value)
        self._points.waits(self)
        return waited_for

    def throw(self, kind: Any, value: Any = None, traceback: TracebackType | None = None) -> Any:
        """See `collections.abc.Coroutine`."""
        waited_for = self.inner.throw(kind if value is None else value)
        self._points.waits(self)
        return waited_for

    def close(self) -> None:
        """See `collections.abc.Coroutine`."""
        self.inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.inner.__await__()

    def __getattr__(self, name: str) -> Any:
        # anyio looks at `cr_running` and the like.
        return getattr(self.inner, name)
