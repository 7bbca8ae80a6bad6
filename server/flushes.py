"""Who has something to send is served once per turn of the event loop, and after each commit.

So that all that a turn or a commit has for somebody leaves in one write; and an acknowledgement,
which has waited for the disk already, waits for nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import structlog

log: Final = structlog.get_logger(__name__)


class Sender(Protocol):
    """Who has something to send."""

    def flush(self) -> None:
        """Send it."""

    def abort(self) -> None:
        """A fault of ours was met: the connection is to end."""


class Flushes:
    """The senders that have something to send, each once."""

    def __init__(
        self,
        call_soon: Callable[[Callable[[], None]], object],
        on_fault: Callable[[], None],
    ) -> None:
        """`call_soon` runs a function in the loop's next turn; `on_fault` learns of our faults."""
        self._call_soon = call_soon
        self._on_fault = on_fault
        self._waiting: dict[Sender, None] = {}
        self._due = False

    def add(self, sender: Sender) -> None:
        """Flush `sender` in the loop's next turn, or when `run` is called before that."""
        self._waiting[sender] = None
        if not self._due:
            self._due = True
            self._call_soon(self._run)

    def run(self) -> None:
        """Flush everybody now. What goes wrong with one is logged and costs nobody else."""
        waiting, self._waiting = self._waiting, {}
        for sender in waiting:
            try:
                sender.flush()
            except Exception:
                log.exception("connection.fault")
                self._on_fault()
                sender.abort()

    def _run(self) -> None:
        self._due = False
        self.run()
