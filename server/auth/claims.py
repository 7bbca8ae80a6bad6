"""What a token must claim: Clerk's own rules (`@clerk/backend`), or stricter ones.

Stricter, and why: times must be finite numbers, never booleans; `sub` and `sid` must be short and
printable, as they reach logs; a session token may not live longer than a day, as Clerk's own live a
minute (milliseconds in `exp` are the common mistake); an audience that is configured must be there;
`sts: pending` is refused; claims that hold Jazz secrets are refused.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

import msgspec

from server.auth.refusals import refused

SKEW_S: Final = 5
"""Clocks may differ by so much, both ways: Clerk's own value."""
SESSION_LIFE_S: Final = 24 * 3600
_NAME_CHARACTERS: Final = 256
_MACHINE: Final = "mch_"
"""How the `sub` of machine-to-machine tokens begins."""
JAZZ_SECRETS: Final = ("sealerSecret_", "signerSecret_")


class Rules(msgspec.Struct, frozen=True):
    """What a token is held against."""

    issuer: str
    authorized_parties: tuple[str, ...] = ()
    """Origins that may have asked for the token (`azp`); empty: any."""
    allow_missing_party: bool = False
    audience: str = ""
    """Must be in `aud`; empty: `aud` is not looked at."""
    template_life_s: float = 0.0
    """How long a template token may live; 0: there are none, a token has a `sid`."""


class Claims(msgspec.Struct, frozen=True):
    """What is used of a verified token. Times are Unix seconds."""

    sub: str
    sid: str | None
    issued: float | None
    expires: float
    expired: bool
    """Past `exp` and the skew; everything else holds."""
    actor: str | None = None
    account_hint: str | None = None


def check_claims(claims: dict[str, Any], rules: Rules, now: float) -> Claims:
    """What verified claims say. Raises `Refused` for the first rule that fails.

    An expired token is not refused here but marked: resumption may let it in.
    """
    sub = claims.get("sub")
    if not isinstance(sub, str) or not _is_name(sub):
        raise refused("token-verification-failed")
    if sub.startswith(_MACHINE):
        raise refused("token-type-mismatch")
    _check_audience(claims.get("aud"), rules)
    _check_party(claims.get("azp"), rules)
    if claims.get("iss") != rules.issuer:
        raise refused("token-invalid-issuer")
    expires = _time(claims.get("exp"))
    not_before = _time(claims["nbf"]) if "nbf" in claims else None
    issued = _time(claims["iat"]) if "iat" in claims else None
    if not_before is not None and not_before > now + SKEW_S:
        raise refused("token-not-active-yet")
    if issued is not None and issued > now + SKEW_S:
        raise refused("token-iat-in-the-future")
    if any(secret in json.dumps(claims) for secret in JAZZ_SECRETS):
        raise refused("token-holds-secrets")
    if claims.get("sts") == "pending":
        raise refused("session-pending")
    sid = claims.get("sid")
    if sid is None:
        _check_template(issued, expires, rules)
    elif not isinstance(sid, str) or not _is_name(sid):
        raise refused("token-verification-failed")
    elif (
        expires > now + SESSION_LIFE_S
        or (now if issued is None else issued) < expires - SESSION_LIFE_S
    ):
        raise refused("token-lives-too-long")
    actor = claims.get("act")
    hint = claims.get("jazzAccountID")
    return Claims(
        sub,
        sid,
        issued,
        expires,
        expires <= now - SKEW_S,
        _name(actor.get("sub")) if isinstance(actor, dict) else None,
        hint if isinstance(hint, str) and hint.startswith("co_z") and _is_name(hint) else None,
    )


def _check_audience(aud: Any, rules: Rules) -> None:
    if not rules.audience:
        return
    given = aud if isinstance(aud, list) else [aud]
    if not all(isinstance(each, str) for each in given) or rules.audience not in given:
        raise refused("token-verification-failed")


def _check_party(azp: Any, rules: Rules) -> None:
    """Native apps' and some web tokens have no `azp`: it is the origin that asked for the token."""
    if not rules.authorized_parties:
        return
    if azp is None or azp == "":
        if not rules.allow_missing_party:
            raise refused("token-missing-authorized-party")
    elif azp not in rules.authorized_parties:
        raise refused("token-invalid-authorized-parties")


def _check_template(issued: float | None, expires: float, rules: Rules) -> None:
    """Template tokens outlive sign-out and revocation: only on purpose, and not for long."""
    if not rules.template_life_s or not rules.audience:
        raise refused("template-not-allowed")
    if issued is None or expires - issued > rules.template_life_s:
        raise refused("token-lives-too-long")


def _time(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refused("token-verification-failed")
    try:
        seconds = float(value)
    except OverflowError:
        raise refused("token-verification-failed") from None
    if not math.isfinite(seconds):
        raise refused("token-verification-failed")
    return seconds


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and _is_name(value) else None


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _NAME_CHARACTERS and text.isascii() and text.isprintable()
