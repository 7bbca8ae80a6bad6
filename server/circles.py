"""Circles of parked content: values that wait for each other, of which one has to begin.

Groups that extend each other, and accounts and groups that name what is owned or written by them,
name each other in transactions. Headers cannot (each holds the hashes of what it names), so in each
circle there is a value that can begin with its header alone: a group or an account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from protocol.header import Header, parse_header
from protocol.messages import Content
from server.covalue import CoValue

_SEARCHED: Final = 1_000
_EDGES: Final = 10_000


def circle_of(
    covalue: CoValue,
    awaited: Callable[[CoValue], Iterable[str]],
    find: Callable[[str], CoValue | None],
) -> list[CoValue]:
    """Those through which `covalue` waits for itself, and it first; empty if it does not.

    `awaited` says what one waits for. Circles of more than 1,000 values are not seen.
    """
    waiting: dict[CoValue, CoValue] = {}
    queue = [covalue]
    edges = 0
    while queue and len(waiting) < _SEARCHED:
        each = queue.pop()
        for dependency in awaited(each):
            edges += 1
            if dependency == covalue.id:
                circle = [each]
                while circle[-1] is not covalue:
                    circle.append(waiting[circle[-1]])
                return circle[::-1]
            other = find(dependency)
            if other is not None and other.header is None and other not in waiting:
                waiting[other] = each
                queue.append(other)
        if edges > _EDGES:
            break
    return []


def beginning(
    circle: Iterable[CoValue],
    headers: Mapping[CoValue, Header | None],
    exists: Callable[[str], bool],
) -> tuple[CoValue, Header] | None:
    """One of a circle that can be created, with its header; `None` if that was not parked.

    `headers` are those in hand; the others are looked for in what is parked.
    """
    for covalue in circle:
        header = headers.get(covalue) or _parked_header(covalue)
        if header is not None and all(map(exists, header.dependencies)):
            return covalue, header
    return None


def _parked_header(covalue: CoValue) -> Header | None:
    for parked in covalue.parked:
        message = parked.item.message
        if isinstance(message, Content) and isinstance(message.header, msgspec.Raw):
            # It was looked at before it was parked.
            return parse_header(covalue.id, bytes(message.header))
    return None
