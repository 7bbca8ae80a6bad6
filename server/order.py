"""The order in which CoValues are sent: each after what it depends on, also in circles.

Transactions may depend on each other in a circle: groups that extend each other, an account in
which somebody names what its owner writes. Headers cannot, as each holds the hashes of those that
it names. A client parks content until it has the headers of what that depends on, and passes over
what would close a circle (cojson `CoValueCore.addDependency`); so of two in a circle, 0.18 and
later take the second without its author's account, and fail to verify it. Where a circle closes, a
header goes ahead alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

Edges = Mapping[str, Sequence[str]]
"""CoValue → those that it depends on, as far as the peer lacks them."""


class Step(NamedTuple):
    """Send this CoValue now."""

    id: str
    alone: bool
    """Only its header: the rest comes in a later step."""


def in_order(
    ids: Iterable[str], edges: Edges, header_dependencies: Callable[[str], Iterable[str]]
) -> list[Step]:
    """All that `ids` need, dependencies first.

    `header_dependencies` are those of a CoValue that its header names; some may not be in `edges`.
    """
    steps: list[Step] = []
    begun: set[str] = set()
    done: set[str] = set()
    entered: set[str] = set()
    stack = list(reversed(list(ids)))
    while stack:
        covalue_id = stack[-1]
        if covalue_id in entered:
            stack.pop()
            if covalue_id not in done:
                done.add(covalue_id)
                begun.add(covalue_id)
                steps.append(Step(covalue_id, alone=False))
            continue
        entered.add(covalue_id)
        for dependency in edges[covalue_id]:
            if dependency not in entered:
                stack.append(dependency)
            elif dependency not in begun:
                # It is further down in the stack: a circle.
                steps += _headers(dependency, edges, header_dependencies, begun)
    return steps


def _headers(
    covalue_id: str,
    edges: Edges,
    header_dependencies: Callable[[str], Iterable[str]],
    begun: set[str],
) -> list[Step]:
    """The header of a CoValue, and before it those that it needs and that have not begun."""
    steps: list[Step] = []
    stack = [covalue_id]
    while stack:
        first = stack[-1]
        needed = [d for d in header_dependencies(first) if d in edges and d not in begun]
        if needed:
            stack += needed
            continue
        stack.pop()
        if first not in begun:
            begun.add(first)
            steps.append(Step(first, alone=True))
    return steps


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
