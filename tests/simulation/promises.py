"""What must hold once everything has come to rest."""

from __future__ import annotations

import asyncio

from server.store import Range
from tests.simulation.client import Client
from tests.simulation.disk import at_once, texts_of
from tests.simulation.replica import Replica
from tests.simulation.world import World


def check_all(world: World, *, reconnected: bool) -> None:
    """Check every promise. `reconnected`: whether everybody has said anew what they hold."""
    for client in world.honest:
        _check_answers(world, client)
        for identifier in sorted(client.wanted):
            _check_value(world, client, identifier, reconnected=reconnected)
        _check_acknowledged(world, client)
    _check_rows(world)
    _check_memory(world)


def _check_answers(world: World, client: Client) -> None:
    breach = world.record.breach
    if client.connection is None:
        breach("everybody gets in", f"{client.name} is not connected")
    for identifier in sorted(client.unanswered):
        breach("every load is answered", f"{identifier} at {client.name}")
    for batch in sorted(client.batches):
        breach("every reconciliation is acknowledged", f"{batch} at {client.name}")


def _check_value(world: World, client: Client, identifier: str, *, reconnected: bool) -> None:
    breach = world.record.breach
    held, durable = client.held.get(identifier), world.disk.values.get(identifier)
    if held is None or durable is None:
        if durable is not None:
            breach("all converge", f"{client.name} did not get {identifier}")
        if held is not None:
            breach("nothing is lost", f"{identifier} of {client.name} is not stored")
        return
    if held.deleted and not durable.deleted and not reconnected:
        return  # Its own deletion, which was refused, and it has been told nothing else.
    if durable.deleted != held.deleted:
        what = f"{identifier} is deleted: {durable.deleted}, at {client.name}: {held.deleted}"
        breach("all converge", what)
        return
    for session in sorted(held.counts().keys() | durable.counts().keys()):
        is_settled = session not in world.forked or not world.has_crashed
        if is_settled and (not held.deleted or session in durable.logs):
            _check_session(world, client, held, durable, session)


def _check_session(
    world: World, client: Client, held: Replica, durable: Replica, session: str
) -> None:
    mine, stored = held.log(session).texts, durable.log(session).texts
    what = f"{held.id} {session}: stored {len(stored)}, at {client.name} {len(mine)}"
    common = min(len(mine), len(stored))
    if mine[:common] != stored[:common]:
        world.record.breach("prefixes never fork", what)
    elif len(mine) > len(stored):
        world.record.breach("nothing is lost", what)
    elif len(mine) < len(stored):
        world.record.breach("all converge", what)


def _check_acknowledged(world: World, client: Client) -> None:
    for (identifier, session), count in client.acked.items():
        value = world.disk.values.get(identifier)
        if value is not None and value.deleted:
            continue
        stored = world.disk.count(identifier, session)
        if stored < count:
            what = f"{identifier} {session}: {count} acknowledged to {client.name}, {stored} stored"
            world.record.breach("what was acknowledged is never lost", what)


def _check_rows(world: World) -> None:
    """Whether the store gives back what the ledger says was written."""
    rows = world.disk.rows
    for identifier, value in world.disk.values.items():
        stored = at_once(rows.load([identifier]))[identifier]
        if stored.deleted != value.deleted or stored.sessions != value.counts():
            world.record.breach("the store keeps all", identifier)
        for session, count in stored.sessions.items():
            read = at_once(rows.read([Range(identifier, session, 0, count)], 1 << 40))
            texts = [text for _, chunk in read for text in texts_of(chunk)]
            if texts != value.logs[session].texts:
                world.record.breach("the store keeps all", f"{identifier} {session}")


def _check_memory(world: World) -> None:
    """Whether nothing is left that nobody waits for."""
    breach, node = world.record.breach, world.process.node
    parked: dict[object, int] = {}
    for covalue in node.residents._records.values():
        for each in covalue.parked:
            parked[each.item.peer] = parked.get(each.item.peer, 0) + each.item.size
        if covalue.busy or covalue.pins or covalue.pending or covalue.inbox:
            breach("everything comes to rest", f"{covalue.id} is busy")
        value = world.disk.values.get(covalue.id)
        stored = {} if value is None else value.counts()
        if covalue.resident and not covalue.counts == covalue.durable == stored:
            breach("memory agrees with the disk", covalue.id)
    for connection in world.process.connections:
        peer = connection.peer
        world.process.check_bounds(connection)
        if peer.held_bytes:
            breach("memory is released", f"{peer.held_bytes} bytes held of {peer.name}")
        if peer.throttled:
            breach("memory is released", f"{peer.name} is still not read from")
        if peer.parked_bytes != parked.get(peer, 0):
            breach("memory is released", f"{peer.parked_bytes} bytes parked of {peer.name}")
    peers = {connection.peer for connection in world.process.connections}
    if node._deliveries.keys() != peers or node._backpressure._peers != peers:
        breach("nothing is left of who is gone", f"{node.peers} peers, {len(peers)} connections")
    for covalue in node.residents._records.values():
        if not covalue.subscribers.keys() <= peers or not covalue.starved <= peers:
            breach("nothing is left of who is gone", covalue.id)
    for delivery in node._deliveries.values():
        if delivery is None:
            continue
        if delivery._running or delivery._active or delivery._aside or any(delivery._requests):
            breach("everything comes to rest", f"a delivery to {delivery._peer.name}")
    if node._parking._bytes != sum(parked.values()):
        breach("memory is released", f"{node._parking._bytes} bytes parked, counted in all")
    if node._allowance.taken or node._allowance._turns:
        breach("memory is released", f"{node._allowance.taken} bytes of deliveries")
    for task in asyncio.all_tasks():
        if "guarded" in task.get_name():
            breach("everything comes to rest", "a task works on")
    node.residents.trim()
    is_idle = any(c.resident and c.is_idle for c in node.residents._records.values())
    if is_idle and node.residents.size > world.knobs.memory:
        breach("memory is bounded", f"{node.residents.size} bytes of idle values")
    if node.counters["faults"]:
        breach("no faults", f"{node.counters['faults']}")
