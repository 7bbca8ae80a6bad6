"""Limits of the node. The service fills them from the operator's settings (`config`)."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """Bounds, in bytes and seconds, that hold whatever a peer does or fails to read."""

    memory_bytes: int
    """CoValues kept in memory; idle ones are let go beyond it."""
    outbox_bytes: int
    """Content that waits for one peer."""
    held_bytes: int
    """Content received from one peer and not yet durable; beyond it, it is not read from."""
    total_held_bytes: int
    """The same over all peers."""
    parked_bytes: int
    """Content of one peer that waits for CoValues which it has not sent."""
    parked_s: float
    """How long it waits."""
    message_bytes: int = 1_000
    """What a message in hand takes beside its bytes, so that small ones are not too many."""
    subscriptions: int = 100_000
    """CoValues that one peer may be subscribed to."""
    total_subscriptions: int = 500_000
    """The same over all peers."""
    total_parked_bytes: int = 64 * 1024 * 1024
    """What waits for CoValues that were not sent, over all peers."""
    total_arrears_bytes: int = 128 * 1024 * 1024
    """What is remembered of peers that are not in step, over all of them."""
    asked: int = 10_000
    """CoValues that one peer may be asked for at a time."""
    batches: int = 100
    """`reconcile` batches of one peer that may be open."""
    waiting: int = 20_000
    """Pairs of a CoValue and one that it waits for, over all that one peer parked."""
    total_waiting: int = 50_000
    """The same over all peers."""
