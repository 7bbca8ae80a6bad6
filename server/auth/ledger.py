"""What of authentication outlives the process: keys, usage, revocations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from server.auth.keys import ApiKey
from server.auth.revocation import Denial
from server.auth.usage import Usage


class Kept(msgspec.Struct):
    """All that a ledger keeps."""

    keys: list[ApiKey] = msgspec.field(default_factory=list)
    usage: list[Usage] = msgspec.field(default_factory=list)
    denials: list[Denial] = msgspec.field(default_factory=list)


class Ledger(Protocol):
    """Where it is kept. Every method raises `StoreUnavailable`; on return it is durable."""

    async def load(self) -> Kept:
        """Everything."""

    async def put_key(self, key: ApiKey) -> None:
        """Add or replace a key with its secrets."""

    async def put_usage(self, usages: Sequence[Usage]) -> None:
        """Replace the totals of these."""

    async def put_denials(self, denials: Iterable[Denial], now: float) -> None:
        """Add these and drop what is over at `now`, Unix seconds."""


class NoLedger:
    """A `Ledger` that keeps nothing: with `--in-memory` everything ends with the process."""

    async def load(self) -> Kept:
        """See `Ledger.load`."""
        return Kept()

    async def put_key(self, key: ApiKey) -> None:
        """See `Ledger.put_key`."""

    async def put_usage(self, usages: Sequence[Usage]) -> None:
        """See `Ledger.put_usage`."""

    async def put_denials(self, denials: Iterable[Denial], now: float) -> None:
        """See `Ledger.put_denials`."""
