"""The tables of the README: what the three servers do differently, and why.

In: the outcomes of all cases with each server. Out: Markdown. Only rows in which a server departs
from the RFC, or from the others, are shown; each needs a reason, and each reason a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.conformance.wire import Outcome

README: Final = Path(__file__).with_name("README.md")

REASONS: Final = {
    "bandstand: binary messages mean nothing in Jazz; they are read and dropped": (
        "1.2.1",
        "binary",
        "binary of 0 bytes",
        "binary in fragments",
        "ping between binary fragments",
        "binary between texts",
    ),
    "`websockets`, and so bandstand, takes a goodbye in the middle of a message for an error; the "
    "connection ends either way": (
        "7.1.5",
        "close between fragments",
        "a message that does not end",
    ),
    "RFC 6455 §4.2.1 wants a Host; one port serves one server here, so none of the three asks": (
        "no Host",
    ),
    "`ws` takes the first one offered; bandstand speaks none of them (RFC 6455 §4.2.2)": (
        "a subprotocol offered",
        "subprotocols offered",
    ),
    "`ws` speaks the draft of 2010 too": ("version 8",),
    "426 says what would do, where `ws` says 400; of several protocols none picks the websocket, "
    "and no client offers several": (
        "Upgrade: h2c",
        "Upgrade: h2c, websocket",
        "Upgrade: websocket, h2c",
    ),
    "what Node's HTTP server, under `ws`, does before `ws` is asked": (
        "method CONNECT",
        "method get",
    ),
    "RFC 6455 §4.2.1 wants HTTP/1.1; `ws` does not look": ("HTTP/1.0",),
    "who sends no HTTP/1.1 is told nothing; Node's HTTP server says 400 or 426": (
        "HTTP/0.9",
        "HTTP/2",
        "TLS",
        "bare newlines",
        "a header without a colon",
        "a space before the colon",
        "a folded header",
        "a zero byte in a header",
    ),
    "a handshake has no body; `ws` upgrades, and takes the body for frames": (
        "a body",
        "a body in chunks",
    ),
    "`websockets` takes lines of up to 8 KB and 128 headers, Node 16 KB in all": (
        "a line of 10 KB",
        "a header of 10 KB",
        "200 more headers",
    ),
}
"""Why the rows are there: for each reason the names of its cases."""


def shown(outcome: Outcome) -> str:
    """An outcome in a cell."""

    def some(count: int, what: str) -> str:
        return f"{count} {what}{'s' * (count != 1)}" if count else ""

    parts = [
        some(len(outcome.messages), "text"),
        "binary" if outcome.binaries else "",
        some(len(outcome.pongs), "pong"),
        outcome.end,
    ]
    return ", ".join(filter(None, parts))


def table(rows: Mapping[str, list[str]], stacks: list[str]) -> str:
    """Markdown: a line for each case, what is wanted first, and the reasons below."""
    notes: list[str] = []
    lines = [
        f"| case | wanted | {' | '.join(stacks)} | |",
        "|---" * (len(stacks) + 3) + "|",
    ]
    for name, cells in rows.items():
        (reason,) = (reason for reason, names in REASONS.items() if name in names)
        if reason not in notes:
            notes.append(reason)
        lines.append(f"| {name} | {' | '.join(cells)} | {notes.index(reason) + 1} |")
    return "\n".join([*lines, "", *(f"{n}. {note}" for n, note in enumerate(notes, 1))])


def between_markers(text: str, topic: str) -> str:
    """What stands in the README under that topic."""
    begin, end = _markers(topic)
    return text.partition(begin)[2].partition(end)[0].strip()


def put_between_markers(text: str, topic: str, rows: str) -> str:
    """The README with other rows under that topic."""
    begin, end = _markers(topic)
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the README lacks the markers {begin} ... {end}")
    return f"{before}{begin}\n{rows}\n{end}{after}"


def _markers(topic: str) -> tuple[str, str]:
    return f"<!-- {topic}:begin -->", f"<!-- {topic}:end -->"
