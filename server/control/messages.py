"""What can be asked of a running server, and what it answers."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from server.auth.identity import Role


class CreateKey(msgspec.Struct, tag="keys.create", frozen=True):
    """Make a key. Answered with its secret, which is shown this once."""

    name: str
    role: Role = "app"
    policy: str | None = None
    origins: tuple[str, ...] = ()
    expires_in_s: float | None = None
    connections: int = 0
    messages_per_second: int = 0
    bytes_per_day: int = 0
    bytes_stored: int = 0


class ListKeys(msgspec.Struct, tag="keys.list", frozen=True):
    """All keys, without secrets."""


class RevokeKey(msgspec.Struct, tag="keys.revoke", frozen=True):
    """End a key and the connections that came with it."""

    name: str


class RotateKey(msgspec.Struct, tag="keys.rotate", frozen=True):
    """Give a key a new secret; the old one lives on for `grace_s`."""

    name: str
    grace_s: float


class ShowUsage(msgspec.Struct, tag="usage", frozen=True):
    """What each key has used."""


class ListSessions(msgspec.Struct, tag="sessions.list", frozen=True):
    """Who is connected; or, with `refused`, who was refused or would have been."""

    refused: bool = False


class EndSessions(msgspec.Struct, tag="sessions.end", frozen=True):
    """Close the connections of a session, a user or a key; refuse the session from now on."""

    by: Literal["sid", "sub", "key"]
    name: str


Book = CreateKey | ListKeys | RevokeKey | RotateKey | ShowUsage
"""What needs the database only."""
Request = Book | ListSessions | EndSessions


class Answer(msgspec.Struct, frozen=True):
    """What came of a request."""

    rows: list[dict[str, Any]] = []
    error: str | None = None
    """One line, if it was refused."""
    secret: str | None = None
    """A new key's secret."""
