"""One small world in which everything that the node waits for is waited for."""

from __future__ import annotations

from typing import Final

from tests.simulation.knobs import Knobs
from tests.simulation.plan import Plan, Step

KNOBS: Final = Knobs(
    honest=3,
    faulty=1,
    accounts=2,
    shuffles=False,
    latency_s=0.001,
    window=600,
    fsync_s=0.003,
    read_s=0.002,
    thinking_s=0.0,
    memory=3_000,
    outbox=6_000,
    held=20_000,
    parked=8_000,
    parked_s=60.0,
    piece=500,
    batch=3,
    repeats=0.0,
)
_SOON: Final = 0.0
_LATER: Final = 0.5
_DEEDS: Final = (
    (_SOON, 0, "connect", 0),
    (_SOON, 1, "connect", 0),
    (_SOON, 3, "connect", 0),
    (_SOON, 3, "orphan", 0),
    (_SOON, 0, "group", 1),
    (_SOON, 0, "map", 2),
    (_SOON, 0, "edit", 1),
    (_LATER, 1, "want", 16 * 3),
    (_LATER, 0, "edit", 3),
    (_SOON, 1, "edit", 4),
    (_LATER, 2, "connect", 0),
    (_SOON, 2, "want", 16 * 3),
    (_LATER, 2, "large", 16 * 3),
    (_SOON, 0, "edit", 5),
    (_LATER, 1, "forget", 0),
    (_SOON, 1, "reconcile", 5),
    (_SOON, 2, "doze", 0),
    (_SOON, 1, "large", 16 * 2 + 1),
    (_SOON, 0, "burst", 11),
    (_LATER, 2, "forget", 0),
    (_SOON, 2, "want", 9),
    (_LATER, 2, "wake", 0),
    (_SOON, -1, "break", 1),
    (_SOON, 0, "edit", 6),
    (_LATER, 0, "delete", 0),
    (_LATER, 0, "map", 7),
    (_SOON, 1, "cut", 0),
)
PLAN: Final = Plan(1, KNOBS, tuple(Step(*deed) for deed in _DEEDS))
