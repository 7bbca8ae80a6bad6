"""What each key has used, in plain integers that are added to as bytes pass, and its limits.

What carries no configured key is counted under its label. A label may be somebody's secret for
another server, so only e-mail addresses, which Jazz asks for there, are shown as they came.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final

import msgspec

from server.auth.keys import KeyLimits

DAY_S: Final = 86_400
_LABELS: Final = 1_000
_MAIL: Final = re.compile(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
NO_KEY: Final = "(no key)"
OTHERS: Final = "(others)"


class Usage(msgspec.Struct, eq=False):
    """Totals of one key or label over its life, in bytes and numbers."""

    name: str = NO_KEY
    connections: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    transactions: int = 0
    values: int = 0
    bytes_stored: int = 0
    day: int = 0
    """The UTC day, counted from 1970, that `day_bytes` came in on."""
    day_bytes: int = 0
    live: int = 0
    """Connections now."""
    limits: KeyLimits = msgspec.field(default_factory=KeyLimits)
    limited: bool = False
    """Whether limits hold while connected; the hot path looks at nothing else."""
    _allowance: float = 0.0
    _filled: float = 0.0

    def limit(self, limits: KeyLimits) -> None:
        """Hold the key to these limits from now on."""
        self.limits = limits
        self.limited = bool(
            limits.messages_per_second or limits.bytes_per_day or limits.bytes_stored
        )
        self._allowance = float(limits.messages_per_second)

    def is_spent(self, now: float, limits: KeyLimits | None = None) -> bool:
        """Whether the day's bytes or the stored bytes are used up; `now` is Unix seconds.

        `limits` are those held to, unless given: after a restart none are until somebody connects.
        """
        limits = self.limits if limits is None else limits
        if limits.bytes_stored and self.bytes_stored >= limits.bytes_stored:
            return True
        today = int(now) // DAY_S == self.day
        return bool(limits.bytes_per_day and today and self.day_bytes >= limits.bytes_per_day)

    def write(self, size: int, now: float) -> None:
        """Count `size` bytes that came in towards the day's; `now` is Unix seconds."""
        day = int(now) // DAY_S
        if day != self.day:
            self.day, self.day_bytes = day, 0
        self.day_bytes += size

    def pause(self, messages: int, now: float) -> float:
        """Take `messages` from the allowance of a second. Returns for how long to read no more.

        `now` is seconds on any clock that does not go back.
        """
        rate = self.limits.messages_per_second
        if not rate:
            return 0.0
        self._allowance = min(self._allowance + (now - self._filled) * rate, float(rate))
        self._filled = now
        self._allowance -= messages
        return max(-self._allowance / rate, 0.0)


class UsageBook:
    """The usage of every key and label. Labels are bounded in number; the rest share one."""

    def __init__(self) -> None:
        self._book: dict[str, Usage] = {}
        self._saved: dict[str, tuple[int, ...]] = {}
        self._labels = 0

    def restore(self, totals: Iterable[Usage]) -> None:
        """Take in what was counted before a restart."""
        for usage in totals:
            self._book[usage.name] = usage
            self._saved[usage.name] = _totals(usage)
            self._labels += ":" in usage.name or "@" in usage.name

    def of_key(self, name: str) -> Usage:
        """The usage of a configured key."""
        return self._book.setdefault(name, Usage(name))

    def of_label(self, label: str | None) -> Usage:
        """The usage of whatever stands in `?key=` and is no key."""
        name = NO_KEY if label is None else shown_label(label)
        if name not in self._book and name != NO_KEY:
            if self._labels >= _LABELS:
                name = OTHERS
            else:
                self._labels += 1
        return self._book.setdefault(name, Usage(name))

    def all(self) -> list[Usage]:
        """Everything, by name."""
        return [self._book[name] for name in sorted(self._book)]

    def changed(self) -> list[Usage]:
        """What differs from what `saved` was last told."""
        return [u for u in self._book.values() if self._saved.get(u.name) != _totals(u)]

    def snapshot(self, usages: Iterable[Usage]) -> Callable[[], None]:
        """Remember their totals; what this returns is called once they are durable."""
        totals = {usage.name: _totals(usage) for usage in usages}
        return lambda: self._saved.update(totals)


def shown_label(label: str) -> str:
    """A label as it may be shown: an e-mail address as it is, else the start of its hash."""
    if _MAIL.fullmatch(label) and len(label) <= 128:
        return label
    return f"label:{sha256(label.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _totals(usage: Usage) -> tuple[int, ...]:
    return (
        usage.connections,
        usage.bytes_in,
        usage.bytes_out,
        usage.transactions,
        usage.values,
        usage.bytes_stored,
        usage.day,
        usage.day_bytes,
    )
