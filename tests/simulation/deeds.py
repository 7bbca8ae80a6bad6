"""What the steps of a plan do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from blake3 import blake3

from tests.signing import b58, canonical, delete_session_id, deletion, group, owned_map, set_role
from tests.signing import trusting as trusting_transaction
from tests.simulation.client import Client
from tests.simulation.faulty import Faulty
from tests.simulation.incidents import outpace, spoil, stall
from tests.simulation.plan import Step
from tests.simulation.world import World

_SIZES: Final = (900, 900, 4_000, 12_000, 45_000)
_LATE_S: Final = (0.5, 3.0, 20.0, 80.0)
_BROKEN_S: Final = (0.05, 1.0, 12.0)


def perform(world: World, step: Step) -> None:
    """Do what the step says. A step that makes no sense now does nothing."""
    world.record.note("step", f"{step.actor} {step.kind} {step.dice}")
    if step.actor < 0:
        _to_server(world, step.kind, step.dice)
        return
    client = world.clients[step.actor]
    deed = _DEEDS.get(step.kind)
    if deed is not None:
        deed(world, client, step.dice)
    elif isinstance(client, Faulty):
        _wrongly(world, client, step.kind, step.dice)


def _to_server(world: World, kind: str, dice: int) -> None:
    store = world.process.store
    if kind == "break":
        store.broken_until = world.loop.time() + _BROKEN_S[dice % 3]
        for client in world.honest:
            _edit(world, client, dice)
    elif kind == "slow":
        store.slowness = (0.0, 3.0, 40.0)[dice % 3]
    else:
        world.restart(kind, (0.0, 0.1, 2.0)[dice % 3])


def _connect(world: World, client: Client, dice: int) -> None:
    client.is_online = True
    client.connect()


def _cut(world: World, client: Client, dice: int) -> None:
    client.cut()
    client.is_online = dice % 2 == 0
    world.loop.call_later((0.0, 0.05, 1.0)[dice // 2 % 3], client.connect)


def _restart(world: World, client: Client, dice: int) -> None:
    client.cut()
    client.begin_life()
    world.loop.call_later(dice % 3 * 0.1, client.connect)


def _group(world: World, client: Client, dice: int, *members: str) -> None:
    value = group(client.account.id, unique=f"group {dice}")
    world.values[value.id] = value
    world.record.name(value.id, f"group {len(world.values)}")
    client.create(value.id, value.header)
    at = world.now()
    world.admins[value.id] = {client.account.id: at}
    roles = [set_role(client.account.id, "admin", made_at=at)]
    client.write(value.id, *roles, *[set_role(m, "writer", made_at=at) for m in members])


def _map(world: World, client: Client, dice: int) -> None:
    owner = world.pick(_groups(client), dice)
    if owner is None:
        _group(world, client, dice)
        return
    kind = "costream" if dice % 5 == 0 else "comap"
    meta = {"type": "binary"} if dice % 10 == 0 else None
    value = owned_map(owner, unique=f"map {dice}", type=kind, meta=meta)
    world.values[value.id] = value
    world.record.name(value.id, f"map {len(world.values)}")
    client.create(value.id, value.header)
    client.write(value.id, _edit_of(world, dice))


def _edit(world: World, client: Client, dice: int, size: int = 20) -> None:
    value = world.pick(_maps(client), dice)
    if value is not None:
        client.write(value, _edit_of(world, dice, size))


def _burst(world: World, client: Client, dice: int) -> None:
    for n in range(dice % 12):
        _edit(world, client, (dice >> n) & 7 if dice % 2 else dice, 60)


def _large(world: World, client: Client, dice: int) -> None:
    _edit(world, client, dice, _SIZES[dice // 16 % len(_SIZES)])


def _want(world: World, client: Client, dice: int) -> None:
    unheld = [v for v in world.values if v not in client.held]
    among = list(client.held) if dice % 9 == 0 else unheld
    value = world.pick(among, dice >> 4)
    if value is not None:
        client.load(value)


def _invite(world: World, client: Client, dice: int, role: str = "writer") -> None:
    owner = world.pick(_administered(world, client), dice)
    members = [c.account.id for c in world.clients if c.account.id in client.held]
    member = world.pick(members, dice >> 8)
    if owner is None or member is None:
        return
    at = world.now()
    if role == "admin":
        world.admins[owner].setdefault(member, at)
    if role == "admin" or member not in world.admins[owner]:
        client.write(owner, set_role(member, role, made_at=at))


def _promote(world: World, client: Client, dice: int) -> None:
    _invite(world, client, dice, "admin")


def _extend(world: World, client: Client, dice: int) -> None:
    child = world.pick(_administered(world, client), dice)
    parent = world.pick(_groups(client), dice >> 8)
    if child is not None and parent is not None and child != parent:
        at = world.now()
        world.parents.setdefault(child, {}).setdefault(parent, at)
        client.write(child, set_role(f"parent_{parent}", "extend", made_at=at))


def _delete(world: World, client: Client, dice: int) -> None:
    administered = set(_administered(world, client))
    maps = [v for v in _maps(client) if client.held[v].header["ruleset"]["group"] in administered]
    value = world.pick(maps, dice)
    if value is not None:
        session = delete_session_id(client.account.id, f"{client.name} {dice}")
        client.held[value].erase()
        client.write(value, deletion(value, made_at=world.now()), session=session)


def _lose(world: World, client: Client, dice: int) -> None:
    """An edit that the device takes for sent and never sends, and one after it."""
    value = world.pick(_maps(client), dice)
    if value is not None and client.connection is not None:
        client.write(value, _edit_of(world, dice), is_lost=True)
        client.write(value, _edit_of(world, dice >> 3))


def _forget(world: World, client: Client, dice: int) -> None:
    mine = client.session
    values = [v for v in _maps(client) if mine not in client.held[v].logs and _is_safe(client, v)]
    value = world.pick(values, dice)
    if value is not None:
        client.forget(value)


def _reinstall(world: World, client: Client, dice: int) -> None:
    if all(_is_safe(client, value) for value in client.held):
        client.cut()
        client.reinstall()
        world.loop.call_later(dice % 3 * 0.1, client.connect)


def _odd_member(world: World, client: Client, dice: int) -> None:
    """A group that names a file, or a map, as a member: so it depends on it.

    A group that there is already may own what it names.
    """
    files = [v for v in _maps(client) if client.held[v].header["type"] == "costream"]
    member = world.pick(files or _maps(client), dice)
    owner = world.pick(_administered(world, client), dice >> 8)
    if member is not None and owner is not None and dice % 2:
        client.write(owner, set_role(member, "writer", made_at=world.now()))
    elif member is not None:
        _group(world, client, dice, member)


def _knot(world: World, client: Client, dice: int) -> None:
    """Groups in a circle and a map, begun before any of them is sent."""
    at = world.now()
    groups = [group(client.account.id, unique=f"knot {dice} {n}") for n in range(2 + dice % 2)]
    knot = [*groups, owned_map(groups[0].id, unique=f"knot {dice}")]
    for value in knot:
        world.values[value.id] = value
        world.record.name(value.id, f"knot {len(world.values)}")
        client.create(value.id, value.header)
    for n, value in enumerate(groups):
        parent = groups[n - 1].id
        world.admins[value.id] = {client.account.id: at}
        world.parents[value.id] = {parent: at}
        roles = [set_role(client.account.id, "admin", made_at=at)]
        client.append(value.id, *roles, set_role(f"parent_{parent}", "extend", made_at=at))
        if dice % 5 == 0:
            client.append(value.id, set_role(knot[-1].id, "reader", made_at=at))
    client.append(knot[-1].id, _edit_of(world, dice))
    for value in knot if dice % 3 else reversed(knot):
        client.sync(value.id)


def _withhold(world: World, client: Client, dice: int) -> None:
    """A group comes long after what it owns."""
    at = world.now()
    owner = group(client.account.id, unique=f"late {dice}")
    value = owned_map(owner.id, unique=f"early {dice}")
    for each in (owner, value):
        world.values[each.id] = each
        world.record.name(each.id, f"late {len(world.values)}")
        client.create(each.id, each.header)
    world.admins[owner.id] = {client.account.id: at}
    client.withhold(owner.id, _LATE_S[dice % len(_LATE_S)])
    client.write(owner.id, set_role(client.account.id, "admin", made_at=at))
    client.write(value.id, _edit_of(world, dice))


def _is_safe(client: Client, identifier: str) -> bool:
    """Whether all that the device holds of a value is stored, so that it may lose it."""
    counts = client.held[identifier].counts()
    disk = client.world.disk
    return identifier in disk.values and all(
        disk.count(identifier, session) >= count for session, count in counts.items()
    )


def _doze(world: World, client: Client, dice: int) -> None:
    if client.connection is not None:
        client.connection.down.read(False)


def _wake(world: World, client: Client, dice: int) -> None:
    if client.connection is not None:
        client.connection.down.read(True)


def _reconcile(world: World, client: Client, dice: int) -> None:
    values = []
    for identifier, replica in list(client.held.items())[: dice % 7]:
        digest = blake3(canonical(replica.counts())).digest()[:19]
        values.append((identifier, "shortHash_z" + b58(digest)))
    client.reconcile(values, f"batch {dice}")


def _wrongly(world: World, client: Faulty, kind: str, dice: int) -> None:
    value = world.pick(world.disk.values, dice >> 3)
    if kind in ("junk", "orphan", "circle", "flood"):
        getattr(client, kind)(dice)
    elif kind in ("spoil", "haunt", "usurp"):
        _aim(world, client, kind, dice)
    elif value is not None:
        session = world.pick(world.disk.values[value].logs, dice >> 5)
        if kind == "entangle":
            entangled = [v for v, replica in world.disk.values.items() if replica.is_group]
            client.entangle(entangled[(dice >> 3) % len(entangled)], dice)
        elif kind in ("gap", "fork", "stray_member"):
            getattr(client, kind)(value, dice)
        elif session is not None and kind in ("forge", "lie"):
            getattr(client, kind)(value, session, dice)
        elif session is not None:
            client.rewrite(value, session, kind, dice)


def _aim(world: World, client: Faulty, kind: str, dice: int) -> None:
    """What makes sense with some values only."""
    if kind == "spoil":
        spoil(world, client, dice)
        return
    maps = [r for r in world.disk.values.values() if "group" in r.header["ruleset"]]
    value = world.pick([r.id for r in maps if r.deleted == (kind == "haunt")], dice >> 3)
    if value is not None:
        getattr(client, kind)(value, dice)


def _edit_of(world: World, dice: int, size: int = 20) -> dict[str, object]:
    changes = [{"op": "set", "key": f"k{dice % 5}", "value": f"{dice} ".ljust(size, "♪")}]
    return trusting_transaction(changes, made_at=world.now())


def _groups(client: Client) -> list[str]:
    accounts = {c.account.id for c in client.world.clients}
    return [v for v, replica in client.held.items() if replica.is_group and v not in accounts]


def _maps(client: Client) -> list[str]:
    return [v for v, r in client.held.items() if not r.is_group and not r.deleted]


def _administered(world: World, client: Client) -> list[str]:
    return [
        v
        for v in _groups(client)
        if client.account.id in world.admins.get(v, ())
        and not client.world.disk.values.get(v, client.held[v]).deleted
    ]


_DEEDS: Final[dict[str, Callable[[World, Client, int], None]]] = {
    "connect": _connect,
    "cut": _cut,
    "restart": _restart,
    "group": _group,
    "map": _map,
    "edit": _edit,
    "burst": _burst,
    "large": _large,
    "want": _want,
    "invite": _invite,
    "promote": _promote,
    "extend": _extend,
    "delete": _delete,
    "doze": _doze,
    "wake": _wake,
    "reconcile": _reconcile,
    "lose": _lose,
    "forget": _forget,
    "reinstall": _reinstall,
    "odd_member": _odd_member,
    "stall": stall,
    "outpace": outpace,
    "knot": _knot,
    "withhold": _withhold,
}
