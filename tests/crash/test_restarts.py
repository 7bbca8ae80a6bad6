"""Restarts in a row while devices write: nothing is lost, and everybody is back each time.

`pytest tests/crash --restarts 20` restarts 20 times.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from tests.crash.devices import Device, Site
from tests.integration.operations.command import Server, serving

pytestmark = pytest.mark.anyio

_DEVICES = 3
_FRAMES = 40
"""How many frames each device receives after it is back, before the next restart."""
_DEADLINE_S = 60


async def test_nothing_is_lost_and_everybody_comes_back(
    tmp_path: Path, restarts: int, figures: Counter[str]
) -> None:
    happening, file = Happening(), tmp_path / "bandstand.db"
    async with serving(tmp_path) as server:
        port, url = str(server.port), server.url
        await server.stop()
    async with anyio.create_task_group() as tasks:
        site = Site(url, tasks, happening.signal)
        devices = [site.device(f"device {n} of {tmp_path.name}") for n in range(_DEVICES)]
        for value in [v.id for v in site.values.values()]:
            for device in devices:
                device.wanted.add(value)
        founded = devices[0].found()
        for device in devices[1:]:
            device.wanted |= devices[0].held.keys()
        for number in range(restarts):
            async with serving(tmp_path, "--port", port) as server:
                if number == 0:
                    for device in devices:
                        device.connect()
                    await happening.until(lambda: all(founded.id in d.held for d in devices))
                    await happening.until(lambda: all(_holds_maps(d, devices[0]) for d in devices))
                    for device in devices:
                        tasks.start_soon(device.write_on)
                await happening.until(lambda: all(d.received >= _FRAMES for d in devices))
                await stopped(server)
            # Before the devices bring back what the server may have lost.
            assert_acknowledged(file, devices)
            figures["restarts under load"] += 1
        async with serving(tmp_path, "--port", port) as server:
            await happening.until(lambda: all(d.received >= _FRAMES for d in devices))
            for device in devices:
                device.stop()
            await happening.until(lambda: all(d.is_in_step(devices) for d in devices))
            newcomer = site.device(f"newcomer of {tmp_path.name}")
            newcomer.wanted |= devices[0].held.keys()
            newcomer.connect()
            await happening.until(lambda: _holds_all(newcomer, devices[0]))
            for device in [*devices, newcomer]:
                device.is_online = False
            await stopped(server)
        tasks.cancel_scope.cancel()
    assert not site.record.broken, site.record.broken[:3]
    count = sum(sum(r.counts().values()) for r in devices[0].held.values())
    figures["transactions written meanwhile"] += count
    assert_stored(file, devices[0])


class Happening:
    """Waiting for something to become true, looked at whenever something happened."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def signal(self) -> None:
        """Something happened."""
        self._event.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it is true."""
        with anyio.fail_after(_DEADLINE_S):
            while not condition():
                self._event = anyio.Event()
                await self._event.wait()


async def stopped(server: Server) -> None:
    """Stop as operators do, which must succeed; nothing may have gone wrong meanwhile."""
    await server.stop()
    for sign in ("Traceback", "error", "server.undurable", "critical"):
        assert sign not in server.stderr, server.stderr


def assert_acknowledged(file: Path, devices: list[Device]) -> None:
    """Everything that a device was told to be stored is in the file."""
    stored = counts(file)
    for device in devices:
        for (value, session), count in device.acked.items():
            assert stored.get(value, {}).get(session, 0) >= count, f"{device.name}: {value}"


def assert_stored(file: Path, device: Device) -> None:
    """The file holds exactly what the device holds."""
    held = {v: c for v, r in device.held.items() if (c := r.counts())}
    stored = counts(file)
    assert {v: stored.get(v) for v in held} == held


def counts(file: Path) -> dict[str, dict[str, int]]:
    """How many transactions a sound file holds, by value and session."""
    stored: dict[str, dict[str, int]] = {}
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for value, session, count in connection.execute(
            "SELECT v.id, s.id, sum(c.count) FROM covalues v JOIN sessions s ON s.covalue = v.key"
            " JOIN chunks c ON c.session = s.key GROUP BY s.key"
        ):
            stored.setdefault(value, {})[session] = count
    return stored


def _holds_maps(device: Device, founder: Device) -> bool:
    return all(v in device.held for v, r in founder.held.items() if not r.is_group)


def _holds_all(device: Device, other: Device) -> bool:
    return all(
        v in device.held and device.held[v].counts() == r.counts() for v, r in other.held.items()
    )
