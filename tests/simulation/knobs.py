"""The sizes of a run: small enough that every bound is met, different from seed to seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from random import Random

from server.limits import Limits


@dataclass(frozen=True)
class Knobs:
    """What one seed chose once for the whole run."""

    honest: int
    faulty: int
    accounts: int
    """Honest devices share so many accounts."""
    shuffles: bool
    """Whether callbacks that are ready together run in any order."""
    latency_s: float
    window: int
    """Bytes that a socket takes before it lets the writer wait."""
    fsync_s: float
    read_s: float
    thinking_s: float
    """Time that passes whenever the node looks at its clock."""
    memory: int
    outbox: int
    held: int
    parked: int
    parked_s: float
    piece: int
    """PIECE_BYTES and what goes with it."""
    batch: int
    repeats: float
    """How often a frame of one message reaches the server twice."""

    @classmethod
    def drawn(cls, random: Random) -> Knobs:
        """The knobs of a seed."""
        honest = random.choice((2, 3, 3, 4))
        return cls(
            honest=honest,
            faulty=random.choice((0, 1, 1, 2)),
            accounts=random.randint(max(1, honest - 2), honest),
            shuffles=random.random() < 0.5,
            latency_s=random.choice((0.0, 0.001, 0.02, 0.2)),
            window=random.choice((600, 4_000, 128 * 1024)),
            fsync_s=random.choice((0.0, 0.003, 0.05, 0.4)),
            read_s=random.choice((0.0, 0.001, 0.02, 0.1)),
            thinking_s=random.choice((0.0, 0.0, 0.012)),
            memory=random.choice((3_000, 12_000, 64 * 1024 * 1024)),
            outbox=random.choice((1_500, 6_000, 1024 * 1024)),
            held=random.choice((2_000, 20_000, 4 * 1024 * 1024)),
            parked=random.choice((1_500, 8_000, 1024 * 1024)),
            parked_s=random.choice((1.0, 60.0)),
            piece=random.choice((500, 3_000, 100 * 1024)),
            batch=random.choice((1, 3, 64)),
            repeats=random.choice((0.0, 0.0, 0.2)),
        )

    @property
    def limits(self) -> Limits:
        """As the node takes them."""
        return Limits(
            memory_bytes=self.memory,
            outbox_bytes=self.outbox,
            held_bytes=self.held,
            total_held_bytes=self.held * 3,
            parked_bytes=self.parked,
            parked_s=self.parked_s,
            message_bytes=0,
        )

    @contextmanager
    def turned(self) -> Iterator[None]:
        """Turn the constants of the program for this run."""
        sizes = {
            ("protocol.content", "PIECE_BYTES"): self.piece,
            ("server.intake", "PIECE_BYTES"): self.piece,
            ("server.subscription", "_TAIL_BYTES"): self.piece * 3,
            ("server.streaming", "_READ_BYTES"): self.piece * 2,
            ("server.delivery", "_BATCH"): self.batch,
            ("server.needs", "_WALK"): self.batch,
            ("server.delivery", "_WALK"): self.batch,
            ("server.delivery", "_SESSIONS"): self.batch - 1,
            ("server.residents", "_BATCH"): self.batch,
            ("server.residents", "_WOKEN"): self.batch,
            ("server.residents", "_LOOKED_AT"): self.batch,
            ("server.covalue", "_PORTION"): self.batch,
            ("server.reconcile", "_AT_ONCE"): self.batch,
            ("server.interests", "_AT_ONCE"): self.batch,
            ("server.judgement", "_READ_BYTES"): self.piece,
            ("server.rehash", "_READ_BYTES"): self.piece,
            ("server.outbox", "FRAME_BYTES"): self.piece * 2,
        }
        before: list[tuple[object, str, object]] = []
        for (module_name, name), value in sizes.items():
            module = import_module(module_name)
            before.append((module, name, getattr(module, name)))
            setattr(module, name, value)
        try:
            yield
        finally:
            for turned, name, old in before:
                setattr(turned, name, old)
