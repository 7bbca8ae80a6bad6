"""One run: the plan is carried out, the world comes to rest, the promises are checked."""

from __future__ import annotations

import asyncio
import gc
import traceback
from collections.abc import Callable
from random import Random
from typing import Final

from server.covalue import CoValue
from server.peer import Peer
from tests.simulation.client import Client
from tests.simulation.deeds import perform
from tests.simulation.plan import Plan
from tests.simulation.promises import check_all
from tests.simulation.record import Record
from tests.simulation.virtual_loop import VirtualLoop
from tests.simulation.world import World

_PERIOD_S: Final = 12.0
_PERIODS: Final = 60


def run(plan: Plan, watch: Callable[[World], None] = lambda world: None) -> Record:
    """Carry out a plan and say what became of it. `watch` is shown the world before anything."""
    record = Record()
    record.listen()
    _identify()
    random = Random(plan.seed)
    loop = VirtualLoop(random, shuffles=plan.knobs.shuffles)
    record.clock = loop.time
    gc.disable()
    asyncio.set_event_loop(loop)
    try:
        with plan.knobs.turned():
            loop.run_until_complete(_carry_out(plan, loop, random, record, watch))
    except Exception:
        record.breach("everything comes to rest", traceback.format_exc())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        gc.enable()
    for fault in loop.faults:
        record.breach("no faults", fault)
    return record


async def _carry_out(
    plan: Plan,
    loop: VirtualLoop,
    random: Random,
    record: Record,
    watch: Callable[[World], None],
) -> None:
    world = World(plan.knobs, loop, random, record)
    watch(world)
    await world.process.start()
    for step in plan.steps:
        if step.wait:
            await asyncio.sleep(step.wait)
        perform(world, step)
        if record.broken:
            break
    else:
        await _heal(world)
        if await _rest(world):
            check_all(world, reconnected=False)
        if not record.broken:
            await _meet_again(world)
    await world.end()


async def _heal(world: World) -> None:
    await world.settled()
    world.process.store.broken_until = 0.0
    world.process.store.slowness = 1.0
    for client in world.honest:
        client.is_online = True
        client.connect()
    for connection in world.process.connections:
        connection.down.read(True)


async def _meet_again(world: World) -> None:
    """Everybody connects anew, to a server that lost its memory, and so does a newcomer."""
    world.restart("power", 0.0)
    await world.settled()
    newcomer = Client(world, "newcomer", world.clients[0].account)
    world.clients.append(newcomer)
    newcomer.wanted |= world.values.keys()
    await _heal(world)
    if await _rest(world):
        check_all(world, reconnected=True)


async def _rest(world: World) -> bool:
    """Let time pass until nothing moves any more."""
    for _ in range(_PERIODS):
        before = world.record.activity
        await asyncio.sleep(_PERIOD_S)
        if world.record.broken:
            return False
        # A slow disk may still be at what was given to it long ago.
        is_durable = not world.process.node.journal.undurable
        is_over = not any(client.withheld for client in world.clients)
        if world.record.activity == before and is_durable and is_over:
            return True
    world.record.breach("everything comes to rest", "messages go on and on")
    return False


def _identify() -> None:
    """Let sets of these have the same order in every process: they hash by address otherwise."""
    setattr(CoValue, "__hash__", lambda self: hash(self.id))  # noqa: B010
    setattr(Peer, "__hash__", lambda self: hash(self.name))  # noqa: B010
