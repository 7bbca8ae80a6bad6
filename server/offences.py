"""What peers do that they should not: what they get for it, and which counter moves.

One table, which `server/README.md` shows and `/health` counts. The names are part of the interface.
A real Jazz client gets none of the close codes for anything that it does.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

import msgspec


class Closing(NamedTuple):
    """A close code (RFC 6455 §7.4) and the reason beside it."""

    code: int
    reason: str


MALFORMED: Final = Closing(1008, "malformed messages")
PARKED: Final = Closing(1008, "content without dependencies")
QUOTA: Final = Closing(1008, "quota")
UNREAD: Final = Closing(1008, "answers unread")
UNFINISHED: Final = Closing(1013, "unfinished messages")
BEHIND: Final = Closing(1013, "too far behind")

CATALOGUE: Final[dict[str, tuple[str, str]]] = {
    "malformed": (
        "A line that is no message: no JSON, a wrong type, an unknown action, nested too deep, an"
        " id that no CoValue can have",
        "It is dropped, a `load` answered with `known`, `header: false`. More than 1,000, and one a"
        f" second: {MALFORMED.code} `{MALFORMED.reason}`",
    ),
    "refused": (
        "Content that does not hold: a forged, replayed, cut or foreign signature, a header that"
        " is not the id's, a deletion by who is no admin, a transaction that some Jazz would"
        " refuse, or more than is taken of it at once; too many or too large `reconcile` batches",
        "It is dropped. `known` says what is held: the sender can go on from there",
    ),
    "binary": ("A binary message", "It is dropped: Jazz has none"),
    "parked": (
        "Content that came before what it depends on",
        "`load` asks the sender for that; the content waits for it",
    ),
    "expired": (
        "What it depends on did not come in `parked_seconds`",
        "The content is dropped; should it come after all, a `known` that is a correction asks for"
        " the content again",
    ),
    "unparked": (
        "Too much content waits for too many others",
        f"{PARKED.code} `{PARKED.reason}`",
    ),
    "unsubscribed": (
        "More CoValues were touched than `subscriptions`, or `total_subscriptions`",
        "Those touched first are no longer told of; whoever asks again, is again",
    ),
    "too_deep": (
        "A `load` of what depends on more than fits a quarter of `memory_bytes`, by number, or all"
        " of it, by size",
        "`known` says what is held, and no content follows",
    ),
    "unread": (
        "Answers are not read while those of all peers exceed twice `total_outbox_bytes`",
        f"{UNREAD.code} `{UNREAD.reason}`",
    ),
    "unfinished": (
        "The largest unfinished message while those of all peers exceed `total_unfinished_bytes`",
        f"{UNFINISHED.code} `{UNFINISHED.reason}`",
    ),
    "behind": (
        "It makes most be remembered of what it does not hold yet, by what it claims or by not"
        " reading, while that of all peers exceeds `total_arrears_bytes`; or, of those who do not"
        " read, it is sent what takes most memory, and others have waited for that for 10 s, as"
        " such things together take `memory_bytes`",
        f"{BEHIND.code} `{BEHIND.reason}`",
    ),
    "silent": (
        "Nothing is heard, or nothing is read, for `silence_seconds`",
        "The socket is dropped (1006 on the other side)",
    ),
    "slow_handshakes": (
        "A request that is not whole in `handshake_seconds`",
        "The socket is dropped",
    ),
    "server_full": ("More than `connections`", "HTTP 503 with `Retry-After`"),
    "address_full": (
        "More than `address_connections` from one address",
        "HTTP 503 with `Retry-After`",
    ),
    "closed_1002": (
        "What is no websocket frame, or not where it stands (RFC 6455 §7.4.1)",
        "1002",
    ),
    "closed_1007": ("Text that is not UTF-8", "1007"),
    "closed_1008": ("Beyond a bound, each named above; a key beyond its quota", "1008, the reason"),
    "closed_1009": ("A message larger than `max_message_bytes`, at its first frame", "1009"),
    "closed_1013": ("See `unfinished` and `behind`", "1013"),
    "faults": (
        "A fault of ours",
        "1011 to those whose messages met it, nothing to others; it is logged as an error",
    ),
}
"""Counter → what was done, and what its doer gets."""

CLOSINGS: Final[dict[Closing, str]] = {
    PARKED: "unparked",
    UNREAD: "unread",
    UNFINISHED: "unfinished",
    BEHIND: "behind",
}
"""Close codes and reasons that have a counter of their own, beside `closed_<code>`."""
COUNTED_CODES: Final = frozenset({1002, 1003, 1007, 1008, 1009, 1011, 1013})
"""Close codes for something that the other side did, or met."""


class Record(msgspec.Struct):
    """What one peer did."""

    counts: Counter[str] = msgspec.field(default_factory=Counter)
    score: float = 0.0
    at: float = 0.0
