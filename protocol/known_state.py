"""Known states: which transactions of a CoValue somebody holds (cojson `knownState.ts`).

A known state is `(header, sessions)`: whether the header is held, and per session how many
transactions from the first on. They form a lattice: `merge` is its join, `covers` its order.
"""

from __future__ import annotations

from typing import TypeAlias

Sessions: TypeAlias = dict[str, int]
"""Session id → number of transactions held, from the first on."""


def merge(target: Sessions, source: Sessions) -> None:
    """Raise each count of `target` to that of `source` where that is larger."""
    for session, count in source.items():
        if count > target.get(session, 0):
            target[session] = count


def covers(held: Sessions, wanted: Sessions) -> bool:
    """Whether `held` has every transaction that `wanted` has."""
    for session, count in wanted.items():  # noqa: SIM110 (a generator takes twice as long)
        if held.get(session, 0) < count:
            return False
    return True


def lacking(held: Sessions, target: Sessions) -> Sessions:
    """The sessions of which `held` has less than `target`, with the counts of `target`."""
    return {session: count for session, count in target.items() if held.get(session, 0) < count}
