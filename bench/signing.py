"""Signing on all cores, before the clock starts: a key's session is one piece of work."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def in_parallel(work: Callable[..., T], each: Iterable[tuple[Any, ...]]) -> list[T]:
    """`work(*arguments)` for `each` of the arguments, in that order, on all cores.

    `work` must be a function of a module, as its name travels to processes of their own.
    """
    arguments = list(each)
    cores = os.cpu_count() or 1
    if cores == 1 or len(arguments) == 1:
        return [work(*one) for one in arguments]
    spawn = multiprocessing.get_context("spawn")
    size = max(1, len(arguments) // (cores * 4))
    with ProcessPoolExecutor(min(cores, len(arguments)), mp_context=spawn) as pool:
        return list(pool.map(work, *zip(*arguments, strict=True), chunksize=size))
