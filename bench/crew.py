"""Readers in processes of their own, where one process would be slower than the server.

A process connects its readers, loads the CoValue, and then keeps two figures in shared memory:
transactions received and the time of the last one. Latencies are gathered only while asked for.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable
from ctypes import c_double, c_int, c_longlong
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Final, Self

from bench.faults import ConnectionFailed, Fault, Stalled
from bench.loop import run
from bench.patience import until
from bench.reader import Reader

_SPAWN: Final = multiprocessing.get_context("spawn")
_READY_S: Final = 60.0
_NONE, _ONE, _ALL = range(3)


class Crew:
    """`count` readers of one CoValue in `processes` processes. Use as a context manager."""

    def __init__(self, url: str, covalue_id: str, count: int, processes: int) -> None:
        self._received: Any = _SPAWN.RawArray(c_longlong, processes)
        self._messages: Any = _SPAWN.RawArray(c_longlong, processes)
        self._last_at: Any = _SPAWN.RawArray(c_double, processes)
        self._timing: Any = _SPAWN.RawValue(c_int, _NONE)
        self._members: list[tuple[SpawnProcess, Connection]] = []
        for index in range(processes):
            here, there = _SPAWN.Pipe()
            share = count // processes + (index < count % processes)
            shared = (self._received, self._messages, self._last_at, self._timing)
            process = _SPAWN.Process(
                target=_work, args=(url, covalue_id, share, index, shared, there), daemon=True
            )
            process.start()
            self._members.append((process, here))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process, _pipe in self._members:
            process.kill()
            process.join()

    @property
    def pids(self) -> list[int]:
        """The processes."""
        return [process.pid for process, _ in self._members if process.pid is not None]

    def received(self) -> int:
        """Transactions that all readers together have received."""
        return sum(self._received)

    def messages(self) -> int:
        """The `content` messages that they came in."""
        return sum(self._messages)

    def received_at(self) -> float:
        """When the last of them came in (`perf_counter`, s)."""
        return max(map(float, self._last_at))

    async def ready(self) -> None:
        """Wait until all are connected and have loaded the CoValue. Raises `Fault`."""
        for process, pipe in self._members:
            if not await _readable(pipe, _READY_S):
                raise Stalled("readers were not connected and served in time")
            try:
                answer = pipe.recv()
            except EOFError:
                raise ConnectionFailed(f"readers ended with {process.exitcode}") from None
            if answer != "ready":
                raise ConnectionFailed(answer)

    def time_from_now_on(self, *, everybody: bool = True) -> None:
        """Gather arrival times, for `arrivals`: of all readers, or of one in each process."""
        self._timing.value = _ALL if everybody else _ONE

    async def arrivals(self) -> list[tuple[int, float]]:
        """The session's length and the time (`perf_counter`, s) of each timed delivery."""
        found: list[tuple[int, float]] = []
        for _, pipe in self._members:
            pipe.send("arrivals")
        for _, pipe in self._members:
            if await _readable(pipe, _READY_S):
                found += pipe.recv()
        return found


async def _readable(pipe: Connection, timeout_s: float) -> bool:
    return await asyncio.to_thread(pipe.poll, timeout_s)


def _work(
    url: str, covalue_id: str, count: int, index: int, shared: tuple[Any, ...], pipe: Connection
) -> None:
    try:
        run(_read(url, covalue_id, count, index, shared, pipe))
    except Fault as error:
        pipe.send(str(error))


async def _read(
    url: str, covalue_id: str, count: int, index: int, shared: tuple[Any, ...], pipe: Connection
) -> None:
    received, messages, last_at, timing = shared
    arrivals: list[tuple[int, float]] = []
    readers = [Reader() for _ in range(count)]

    def counting(least: int) -> Callable[[str, int, float], None]:
        """Note what a reader gets; `least`: its times from this much timing on."""
        held = 0

        def on_content(_session: str, length: int, at: float) -> None:
            nonlocal held
            received[index] += length - held
            held = length
            messages[index] += 1
            last_at[index] = at
            if timing.value >= least:
                arrivals.append((length, at))

        return on_content

    for at, reader in enumerate(readers):
        reader.on_content = counting(_ALL if at else _ONE)
    clients = []
    for start in range(0, count, 100):
        block = readers[start : start + 100]
        clients += await asyncio.gather(*(reader.connect(url) for reader in block))
        for reader in block:
            reader.load([covalue_id])
    await until(
        lambda: all(r.knowns or r.messages for r in readers),
        lambda: sum(r.knowns + r.messages for r in readers),
        clients,
    )
    pipe.send("ready")
    while True:
        await asyncio.sleep(0.05)
        if pipe.poll():
            pipe.recv()
            pipe.send(arrivals)
            arrivals = []
