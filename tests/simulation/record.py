"""What a run leaves behind: a trace of what happened, and the promises that were broken."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

import structlog

_SHOWN: Final = 300


class Record:
    """The trace and the findings of one run."""

    def __init__(self) -> None:
        self.clock: Callable[[], float] = lambda: 0.0
        self.broken: list[str] = []
        """Each broken promise: what was promised, and what was seen instead."""
        self.activity = 0
        """How many messages moved: unchanged means that the system is at rest."""
        self._events: list[tuple[float, str, object]] = []
        self._names: dict[str, str] = {}

    def name(self, identifier: str, name: str) -> None:
        """Show `identifier` as `name` in the trace."""
        self._names[identifier] = name

    def note(self, who: str, what: object) -> None:
        """Something happened."""
        self._events.append((self.clock(), who, what))

    def moved(self, who: str, what: object) -> None:
        """A message moved."""
        self.activity += 1
        self.note(who, what)

    def breach(self, promise: str, seen: str) -> None:
        """A promise is broken."""
        self.broken.append(f"{promise}: {seen}")
        self.note("BROKEN", self.broken[-1])

    def lines(self, limit: int = _SHOWN) -> list[str]:
        """The trace as text."""
        return [
            f"{at:10.4f}  {who:<12}  {self._text(what)}"[:limit] for at, who, what in self._events
        ]

    def digest(self) -> str:
        """Equal for equal traces."""
        return blake2b("\n".join(self.lines(10_000)).encode(), digest_size=8).hexdigest()

    def explain(self, text: str) -> str:
        """`text` with the names of things in place of their ids."""
        for identifier, name in self._names.items():
            text = text.replace(identifier, f"<{name}>")
        return text

    def _text(self, what: object) -> str:
        text = what.decode(errors="replace") if isinstance(what, bytes) else str(what)
        return self.explain(text)

    def listen(self) -> None:
        """Take the program's log into the trace; a fault that it logs is a broken promise."""

        def take(logger: Any, method: str, event: Any) -> Any:
            what = dict(event)
            name = what.pop("event", "")
            failed = what.pop("exc_info", None)
            self.note(f"log.{method}", f"{name} {what}")
            if failed or name in ("store.conflict", "store.gap", "store.damaged"):
                import traceback

                self.breach("no faults", f"{name} {what} {traceback.format_exc()}")
            raise structlog.DropEvent

        structlog.configure(processors=[take], cache_logger_on_first_use=False)
