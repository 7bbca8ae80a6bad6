"""The node is ended, drained or left by its peers at every point where it waits.

One world (`scenario`) is run as often as the server's tasks wait in it, and at the n-th wait
something ends. Then the world heals and comes to rest, and every promise of the simulation holds:
nothing acknowledged is lost, nothing stored is half, no task, pin, lock, subscription or byte is
left behind, and the node works on for the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.cancellation.points import Points
from tests.cancellation.scenario import PLAN
from tests.simulation.plan import Plan
from tests.simulation.run import run
from tests.simulation.world import World

_AT_LEAST: Final = 100
_WAITERS: Final = {
    "acceptance._ask_judge",
    "acceptance._rehash",
    "acceptance.work",
    "needs.look_for",
    "delivery._serve_loaded",
    "journal._commit",
    "journal.run",
    "judgement._read",
    "node._sweep",
    "patient.load",
    "patient.read",
    "reconcile.compare",
    "rehash.rehash",
    "residents.run",
    "streaming.send",
}
"""The functions of the node that wait: the scenario meets each."""

Ending = Callable[[World, "asyncio.Task[Any]"], None]


def test_the_scenario_waits_for_everything() -> None:
    points = Points()
    record = run(PLAN, lambda world: points.install(world.loop))
    assert not record.broken, record.broken
    assert points.count >= _AT_LEAST
    assert points.seen >= _WAITERS, _WAITERS - points.seen
    assert not points.left


def _power_loss(world: World, task: asyncio.Task[Any]) -> None:
    world.restart("power", 0.0)
    world.process.strike(losing=True)


def _kill(world: World, task: asyncio.Task[Any]) -> None:
    world.restart("kill", 0.1)
    world.process.strike(losing=False)


def _drain(world: World, task: asyncio.Task[Any]) -> None:
    world.restart("drain", 0.0)


def _one_leaves(world: World, task: asyncio.Task[Any]) -> None:
    _leave(world, 0)


def _another_leaves(world: World, task: asyncio.Task[Any]) -> None:
    _leave(world, -1)


def _all_leave(world: World, task: asyncio.Task[Any]) -> None:
    for _ in list(world.process.connections):
        _leave(world, 0)


def _leave(world: World, which: int) -> None:
    if world.process.connections:
        connection = world.process.connections[which]
        connection.leave()
        connection.vanish(1.0)


_ENDINGS: Final[dict[Ending, int]] = {
    _power_loss: 1,
    _kill: 4,
    _drain: 4,
    _one_leaves: 4,
    _another_leaves: 4,
    _all_leave: 2,
}
"""Each ending, and at which share of the points it is tried: at every one, every second…"""


@pytest.mark.parametrize("ending", _ENDINGS, ids=lambda ending: ending.__name__.strip("_"))
def test_nothing_is_left_wherever_it_ends(ending: Ending) -> None:
    points = Points()
    run(PLAN, lambda world: points.install(world.loop))
    for at in range(0, points.count, _ENDINGS[ending]):
        _ended(ending, at)


_RARE: Final = (9, 45, 69, 138, 392, 396, 462, 590, 725, 732, 826)
"""Worlds of the simulation in which the node waits where it does not wait in the scenario: for room
in an outbox, in an allowance, for the disk to recover, for what a group names. The smallest that
are enough, whatever the hash seed."""
_TIMES: Final = 2
"""At how many of the points that wait at a place."""


@pytest.mark.parametrize("seed", _RARE)
def test_nothing_is_left_where_it_waits_rarely(seed: int) -> None:
    usual, points = Points(), Points()
    run(PLAN, lambda world: usual.install(world.loop))
    plan = Plan.drawn(seed)
    record = run(plan, lambda world: points.install(world.loop))
    assert not record.broken, record.broken
    met = Counter[tuple[str, int]]()
    tried = 0
    for at, way in enumerate(points.ways):
        rare = way - set().union(*usual.ways)
        if any(met[place] < _TIMES for place in rare):
            met.update(rare)
            for ending in _ENDINGS:
                _ended(ending, at, plan)
            tried += 1
    assert tried > 0


def _ended(ending: Ending, at: int, plan: Plan = PLAN) -> None:
    worlds: list[World] = []

    def act(task: asyncio.Task[Any]) -> None:
        # Noted as activity, so that the world is not taken to be at rest.
        worlds[0].record.moved("ending", task.get_name())
        ending(worlds[0], task)

    points = Points(at, act)

    def watch(world: World) -> None:
        worlds.append(world)
        points.install(world.loop)

    record = run(plan, watch)
    assert not record.broken, f"{ending.__name__} at {at}: {record.explain(record.broken[0])}"
    assert not points.left, f"{ending.__name__} at {at}: {points.left}"
