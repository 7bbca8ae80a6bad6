"""Why a handshake is refused: one word for logs and counters, one HTTP status for the client.

The words for tokens are those of Clerk's own verifier (`@clerk/backend`). The client gets the
status alone: a reason would help whoever forges tokens.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from server.errors import Refused

FORBIDDEN: Final = frozenset(
    {
        "origin-not-allowed",
        "session-pending",
        "session-ended",
        "template-not-allowed",
        "token-holds-secrets",
        "key-quota",
    }
)
"""Good credentials that policy refuses; everything else is 401 or 503."""
UNAVAILABLE: Final = frozenset(
    {"jwk-remote-failed-to-load", "key-connections", "too-many-refusals", "server-busy"}
)
"""What may be over when the client tries again."""
RETRY_AFTER_S: Final = 5


def refused(reason: str) -> Refused:
    """The refusal for a reason."""
    if reason in FORBIDDEN:
        return Refused(reason, HTTPStatus.FORBIDDEN)
    if reason in UNAVAILABLE:
        return Refused(reason, HTTPStatus.SERVICE_UNAVAILABLE)
    return Refused(reason, HTTPStatus.UNAUTHORIZED)
