"""Readiness: whether this server should be sent clients now, for `/ready`.

`/health` says how it is and is always answered with 200: a server that waits for its disk is to be
left running, as it goes on by itself. `/ready` says whether it is of use.
"""

from __future__ import annotations

from typing import Final

from server.node import Node

SLOW_S: Final = 5.0
"""How long a commit may take. It is one fsync: milliseconds, and a second on a very busy disk."""


def unready(node: Node, now: float) -> str | None:
    """Why clients should not come now, in one word; `None` if they may. `now` is the loop's time.

    `draining`: the server is stopping. `store`: the last commit or the last read failed and is
    being tried again, or a commit has been waiting for longer than `SLOW_S`.
    """
    if node.draining:
        return "draining"
    journal = node.journal
    if journal.failure is not None or node.unreadable:
        return "store"
    if journal.committing_since is not None and now - journal.committing_since > SLOW_S:
        return "store"
    return None
