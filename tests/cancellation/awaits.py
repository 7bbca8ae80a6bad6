"""Every place in `server/` where a task can wait, by the source; and where tasks were ended."""

from __future__ import annotations

import ast
import gc
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import AsyncGeneratorType
from typing import Any, Final, NamedTuple

SERVER: Final = Path(__file__).parents[2] / "server"

Line = tuple[str, int]
"""A file, and a line of it."""

ENDED: Final[set[Line]] = set()
"""Files and lines of the server at which a task waited when something was ended, in this run."""


class Wait(NamedTuple):
    """An `await`, `async with` or `async for`."""

    function: str
    """`module.Class.function`"""
    first: int
    last: int
    """Lines."""


def frames(awaitable: Any) -> Iterator[tuple[str, int, str]]:
    """The frames of the server on the way to what is waited for: file, line, function."""
    while awaitable is not None:
        frame = getattr(awaitable, "cr_frame", None) or getattr(awaitable, "ag_frame", None)
        if frame is not None and frame.f_code.co_filename.startswith(str(SERVER)):
            yield frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name
        awaitable = (
            getattr(awaitable, "cr_await", None)
            or getattr(awaitable, "ag_await", None)
            or _generator(awaitable)
        )


_WRAPPERS: Final = ("anext_awaitable", "async_generator_asend", "async_generator_athrow")


def _generator(awaitable: Any) -> Any:
    """The generator behind one of its steps, which only the collector knows."""
    while type(awaitable).__name__ in _WRAPPERS:
        awaitable = gc.get_referents(awaitable)[0]
    return awaitable if isinstance(awaitable, AsyncGeneratorType) else None


def functions() -> set[str]:
    """All functions that wait."""
    return {wait.function for file in SERVER.rglob("*.py") for wait in _waits(file)}


def not_ended() -> dict[str, list[int]]:
    """The lines, by function, at which nothing was ended in this run."""
    lines: defaultdict[str, set[int]] = defaultdict(set)
    for name, line in ENDED:
        lines[name].add(line)
    left: defaultdict[str, list[int]] = defaultdict(list)
    for file in sorted(SERVER.rglob("*.py")):
        for wait in _waits(file):
            if not lines[str(file)] & set(range(wait.first, wait.last + 1)):
                left[wait.function].append(wait.first)
    return dict(left)


@cache
def _waits(file: Path) -> list[Wait]:
    found: list[Wait] = []
    _look(ast.parse(file.read_text()), file.stem, found)
    return found


def _look(node: ast.AST, function: str, found: list[Wait]) -> None:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        function = f"{function}.{node.name}"
    if isinstance(node, ast.Await):
        found.append(Wait(function, node.lineno, node.end_lineno or node.lineno))
    elif isinstance(node, ast.AsyncWith | ast.AsyncFor):
        # The lines of its head: what is in it waits for itself.
        found.append(Wait(function, node.lineno, node.body[0].lineno - 1))
    elif isinstance(node, ast.comprehension) and node.is_async:
        found.append(Wait(function, node.iter.lineno, node.iter.end_lineno or node.iter.lineno))
    for child in ast.iter_child_nodes(node):
        _look(child, function, found)
