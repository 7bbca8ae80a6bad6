"""The order of what is sent, over any graph."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.order import in_order, reaching

_NODES = "abcdefgh"
graphs = st.fixed_dictionaries(
    {node: st.lists(st.sampled_from(_NODES.replace(node, "")), unique=True) for node in _NODES}
)


def _needed(graph: dict[str, list[str]], start: str) -> set[str]:
    """All that can be reached, and the start."""
    found = {start}
    queue = [start]
    while queue:
        fresh = set(graph[queue.pop()]) - found
        found |= fresh
        queue += fresh
    return found


@given(graphs, st.lists(st.sampled_from(_NODES), min_size=1))
def test_each_comes_once_and_after_what_it_depends_on(
    graph: dict[str, list[str]], ids: list[str]
) -> None:
    order, has_circle = in_order(ids, graph)
    needed = set().union(*(_needed(graph, each) for each in ids))
    assert sorted(order) == sorted(needed)
    circular = any(each in _needed(graph, d) for each in needed for d in graph[each])
    assert has_circle == circular
    if not has_circle:
        for index, each in enumerate(order):
            assert set(graph[each]) <= set(order[:index])


@given(graphs, st.lists(st.sampled_from(_NODES)))
def test_whatever_depends_on_a_target_is_found(
    graph: dict[str, list[str]], targets: list[str]
) -> None:
    expected = {node for node in _NODES if _needed(graph, node) & set(targets)}
    assert reaching(graph, targets) == expected
