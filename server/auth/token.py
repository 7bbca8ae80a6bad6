"""A compact JWT (RFC 7519) taken apart, strictly; its signature is checked in `keyset`.

The order is that of Clerk's own verifier (`@clerk/backend`): shape, category, key, type, algorithm,
signature, and only then claims, so that what a forged token claims is answered by nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from server.auth.refusals import refused

TOKEN_BYTES: Final = 8 * 1024
HEADER_BYTES: Final = 1024
_PART: Final = re.compile(r"[A-Za-z0-9_-]+")
_SESSION_CATEGORIES: Final = frozenset({"cl_B7d4PD111AAA", "cl_I7d4PD111III"})
_MACHINE_CATEGORY: Final = "cl_B7d4PD333AAA"
"""Values of `cat`: `tokens/jwtCategories.ts` of `@clerk/backend`."""


@dataclass(frozen=True, slots=True, repr=False)
class Unverified:
    """A token in its parts. Nothing of it may be believed yet, nor printed: it has no `repr`."""

    text: str
    header: dict[str, Any]
    claims: dict[str, Any]

    @property
    def kid(self) -> str:
        """The key id. Raises `Refused` if there is none."""
        kid = self.header.get("kid")
        if not isinstance(kid, str) or not kid or len(kid) > 256:
            raise refused("jwk-kid-mismatch")
        return kid


def parse_token(text: str, *, templates: bool = False) -> Unverified:
    """Take a token apart. Raises `Refused` for whatever is no compact JWT of a session's kind.

    With `templates`, the category may be any but that of machines.
    """
    if len(text) > TOKEN_BYTES:
        raise refused("token-too-large")
    parts = text.split(".")
    if len(parts) != 3:
        raise refused("token-invalid")
    header, claims, _ = (_decoded(part) for part in parts)
    if len(header) > HEADER_BYTES:
        raise refused("token-invalid")
    token = Unverified(text, _object(header), _object(claims))
    if "cat" in token.header:
        category = token.header["cat"]
        if not isinstance(category, str):
            raise refused("token-type-mismatch")
        wrong = category == _MACHINE_CATEGORY if templates else category not in _SESSION_CATEGORIES
        if wrong:
            raise refused("token-type-mismatch")
    return token


def _decoded(part: str) -> bytes:
    """Base64url without padding (RFC 7515 §2), of which each text has one spelling only."""
    if not _PART.fullmatch(part):
        raise refused("token-invalid")
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        raise refused("token-invalid") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != part:
        raise refused("token-invalid")
    return data


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise refused("token-invalid") from None
    if not isinstance(value, dict):
        raise refused("token-invalid")
    return value


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)
