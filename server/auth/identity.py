"""Who a peer is."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Role = Literal["app", "worker"]


class Identity(msgspec.Struct, frozen=True):
    """What the handshake found out. Holds no secret; may be logged field by field."""

    address: str
    """The client's address, behind trusted proxies."""
    key: str | None = None
    """The name of the API key; `None` for a label that is no configured key."""
    role: Role | None = None
    sub: str | None = None
    """Clerk's user id."""
    sid: str | None = None
    """Clerk's session id; template tokens have none."""
    actor: str | None = None
    """Who impersonates the user (`act.sub`)."""
    account_hint: str | None = None
    """A `jazzAccountID` claim. The user can write it: a hint, never an authorisation."""
    unmet: str | None = None
    """Why `enforce` would have refused this peer, while `observe` admits it."""

    def shown(self) -> dict[str, Any]:
        """The fields that are set, but for the address, for a log line."""
        names = ("key", "sub", "sid", "actor", "unmet")
        return {n: value for n in names if (value := getattr(self, n)) is not None}
