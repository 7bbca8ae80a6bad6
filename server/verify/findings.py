"""What `verify` finds, in one line each: what, where, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

RESTORE: Final = "restore a backup made before; clients that hold more bring it back"
KEPT_BACK: Final = "the server serves what comes before and nothing after; " + RESTORE
LOST: Final = "the server neither serves it nor takes anything for it; " + RESTORE


class Finding(NamedTuple):
    """One damage."""

    what: str
    where: str
    advice: str = RESTORE

    def __str__(self) -> str:
        return f"damaged: {self.where}: {self.what}; {self.advice}"


@dataclass
class Counts:
    """What was looked at."""

    covalues: int = 0
    sessions: int = 0
    chunks: int = 0
    transactions: int = 0
    signatures: int = 0
    """Checked in this run; those that an earlier run proved are not checked again."""
    known: int = 0
    """Chunks whose bytes are the ones that an earlier run proved."""
    bytes: int = 0
    """Of transactions and headers."""

    def add(self, other: Counts) -> None:
        """Add what somebody else looked at."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass
class Found:
    """What came of a part of the work."""

    findings: list[Finding] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    facts: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    """Of sound sessions: see `facts`."""
