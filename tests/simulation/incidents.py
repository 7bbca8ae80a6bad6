"""Deeds of one device that matter because of what another one does right then."""

from __future__ import annotations

from typing import Final

from tests.signing import trusting
from tests.simulation.client import Client
from tests.simulation.faulty import Faulty
from tests.simulation.world import World

_BYTES: Final = 900
_EDITS: Final = 12
_PARTS: Final = 3
_LARGE: Final = 10_000


def spoil(world: World, client: Faulty, dice: int) -> None:
    """Forge the end of a session that an honest device goes on writing a moment later."""
    victim = world.pick([c for c in world.honest if c.connection is not None], dice)
    if victim is None or client.connection is None:
        return
    written = [v for v in _maps(victim) if victim.session in victim.held[v].logs]
    value = world.pick(written, dice >> 3)
    if value is not None:
        count = len(victim.held[value].logs[victim.session])
        client.forge(value, victim.session, dice, count)
        world.loop.call_later(world.knobs.latency_s * 2, _edit, world, victim, value, 20)


def stall(world: World, client: Client, dice: int) -> None:
    """Stop reading while another device writes more than is kept for one that does not read."""
    held = set(_maps(client))
    writers = [c for c in world.honest if c is not client and c.connection is not None]
    writer = world.pick([c for c in writers if held & c.held.keys()], dice)
    if writer is None or client.connection is None:
        return
    client.connection.down.read(False)
    value = world.pick([v for v in writer.held if v in held], dice >> 3)
    assert value is not None
    for n in range(_EDITS):
        # Not all in one turn: each is relayed by itself.
        world.loop.call_later(n * world.knobs.latency_s, _edit, world, writer, value, _BYTES)


def outpace(world: World, client: Client, dice: int) -> None:
    """Load something large without reading it, while another device writes it on."""
    connected = [c for c in world.honest if c is not client and c.connection is not None]
    unheld = {v: c for c in connected for v in _maps(c) if v not in client.held}
    value = world.pick(unheld, dice)
    if value is None or client.connection is None:
        return
    writer = unheld[value]
    for _ in range(_PARTS):
        _edit(world, writer, value, _LARGE)
    client.connection.down.read(False)
    world.loop.call_later(_soon(world), client.load, value)
    world.loop.call_later(_soon(world) * 2, _edit, world, writer, value, _LARGE)


def _soon(world: World) -> float:
    """When what is sent now has been stored, or asked for and read."""
    knobs = world.knobs
    return 2 * (knobs.latency_s + knobs.fsync_s + 2 * knobs.read_s) + 0.001


def _maps(client: Client) -> list[str]:
    return [r.id for r in client.held.values() if not r.is_group and not r.deleted]


def _edit(world: World, client: Client, value: str, size: int) -> None:
    replica = client.held.get(value)
    if replica is not None and not replica.deleted:
        text = "♪".ljust(size, "a")
        changes = [{"op": "set", "key": "k", "value": text}]
        client.write(value, trusting(changes, made_at=world.now()))
