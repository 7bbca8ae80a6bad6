"""The scenarios, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bench.scenarios.boot import Boot
from bench.scenarios.cold import ColdMany, ColdOne
from bench.scenarios.fanout import Fanout
from bench.scenarios.file import File
from bench.scenarios.fsync import Fsync
from bench.scenarios.full import Full
from bench.scenarios.idle import Idle
from bench.scenarios.ingest import Ingest
from bench.scenarios.rooms import Rooms
from bench.scenarios.scenario import Scenario
from bench.scenarios.storm import Storm
from bench.scenarios.touched import Touched

SCENARIOS: Final[dict[str, Callable[[], Scenario]]] = {
    "ack": lambda: Ingest("ack", clients=1, window=1, messages=4_000),
    "ingest-20x8": lambda: Ingest("ingest-20x8", clients=20, window=8, messages=2_500),
    "ingest-200x4": lambda: Ingest("ingest-200x4", clients=200, window=4, messages=250),
    "fanout-100": lambda: Fanout(100, edits=4_000, paced_hz=20),
    "fanout-1000": lambda: Fanout(1_000, edits=600, paced_hz=4),
    "ingest-full": lambda: Full(
        Ingest("ingest-full", clients=20, window=8, messages=2_500),
        values=10_000,
        transactions=10,
    ),
    "deep": lambda: Ingest("deep", clients=20, window=8, messages=2_000, before=5_000),
    "rooms": lambda: Rooms(clients=50, values=10, rounds=12),
    "cold-5000": lambda: ColdOne(5_000),
    "cold-1000x10": lambda: ColdMany(1_000, 10),
    "storm": lambda: Storm(clients=500, values=20),
    "file-20mb": lambda: File(20_000_000),
    "batches": lambda: Ingest("batches", clients=20, window=2, messages=100, batch=50),
    "owned": lambda: Ingest("owned", clients=20, window=8, messages=2_000, owned=True),
    "idle-2000": lambda: Idle(2_000),
    "boot-20000": lambda: Boot(20_000),
    "touch-50000": lambda: Touched(50_000),
    "fsync": lambda: Fsync(alone=300, clients=20, window=8, together=100),
}
