"""The order in which CoValues are sent: each after what it depends on, also in circles.

Transactions may depend on each other in a circle: groups that extend each other, an account in
which somebody names what its owner writes. Headers cannot, as each holds the hashes of those that
it names. A client parks content until it has the headers of what that depends on (since 0.18 it
passes over what would close a circle, cojson `CoValueCore.addDependency`), and refuses what an
account signed as long as it lacks that account: up to 0.18 its transactions, later its header. So
where there is a circle, all headers go first, and then accounts, groups and the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

Edges = Mapping[str, Sequence[str]]
"""CoValue → those that it depends on, as far as the peer lacks them."""


def in_order(ids: Iterable[str], edges: Edges) -> tuple[list[str], bool]:
    """All that `ids` need, each after what it depends on; and whether there is a circle.

    Of a circle, something comes before what it depends on. Every dependency must be in `edges`.
    """
    order: dict[str, None] = {}
    entered: set[str] = set()
    has_circle = False
    stack = list(reversed(list(ids)))
    while stack:
        covalue_id = stack[-1]
        if covalue_id in entered:
            order[stack.pop()] = None
            continue
        entered.add(covalue_id)
        for dependency in edges[covalue_id]:
            if dependency not in entered:
                stack.append(dependency)
            elif dependency not in order:
                has_circle = True
    return list(order), has_circle


def reaching(edges: Edges, targets: Iterable[str]) -> set[str]:
    """The targets, and all that depends on one of them."""
    found = set(targets)
    if not found:
        return found
    dependants: dict[str, list[str]] = {}
    for covalue_id, dependencies in edges.items():
        for dependency in dependencies:
            dependants.setdefault(dependency, []).append(covalue_id)
    queue = list(found)
    while queue:
        fresh = [d for d in dependants.get(queue.pop(), ()) if d not in found]
        found.update(fresh)
        queue += fresh
    return found
