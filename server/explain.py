"""`bandstand token explain`: what a token claims and which rule it fails, without printing it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final

import anyio

from server.admission import verifying
from server.auth.claims import JAZZ_SECRETS, check_claims
from server.auth.jwks import Jwks
from server.auth.token import Unverified, parse_token
from server.config import Settings
from server.errors import BadSettings, Refused

_SHOWN: Final = ("iss", "sub", "sid", "azp", "aud", "sts")
_TIMES: Final = ("iat", "nbf", "exp")
_MEANS: Final = {
    "token-invalid": "it is no compact JWT in strict base64url, or its header is not a JWT's",
    "token-type-mismatch": "it is a token of another kind (`cat`), not a session's",
    "token-invalid-algorithm": "it is not signed with RS256",
    "token-invalid-signature": "the signature does not hold: another instance's, or altered",
    "jwk-kid-mismatch": "it is signed with a key that the instance does not publish",
    "jwk-remote-failed-to-load": "the instance's keys could not be fetched",
    "token-verification-failed": "a claim is missing or of the wrong type: sub, exp, aud",
    "token-invalid-issuer": "it comes from another instance than the setting `clerk` names",
    "token-missing-authorized-party": "it has no azp: see clerk_allow_missing_azp",
    "token-invalid-authorized-parties": "its azp is not in clerk_azp",
    "token-not-active-yet": "it is not valid yet (nbf): compare the clocks",
    "token-iat-in-the-future": "it was issued in the future (iat): compare the clocks",
    "token-expired": "it has expired: a session token lives for a minute",
    "token-lives-too-long": "it lives longer than a session token may, or than a template's",
    "token-holds-secrets": "it carries Jazz secrets: take unsafe_metadata out of its template, now",
    "template-not-allowed": "it has no sid, so it is a template's: see clerk_template_seconds",
    "session-pending": "the session has tasks left to do (sts)",
    "token-too-large": "it is larger than 8 KiB",
}


async def explain(text: str, settings: Settings) -> tuple[list[str], bool]:
    """Lines about a token, and whether it would be accepted.

    Raises `BadSettings` if no Clerk instance is configured.
    """
    async with verifying(settings) as verifier, anyio.create_task_group() as tasks:
        if verifier is None:
            raise BadSettings("clerk is not set, so there is nothing to hold a token against")
        lines: list[str] = []
        reason = None
        try:
            templates = verifier.rules.template_life_s > 0
            token = parse_token(text, templates=templates)
            lines += _described(token)
            if isinstance(verifier.source, Jwks):
                tasks.start_soon(verifier.source.run)
                await verifier.source.fetched()
            if verifier.verify(text).expired:
                reason = "token-expired"
        except Refused as refusal:
            reason = refusal.reason
            if lines and reason.startswith("jwk"):
                lines += _claims_alone(token, settings, verifier.rules)
        tasks.cancel_scope.cancel()
    if reason is None:
        return [*lines, "verdict: accepted"], True
    return [*lines, f"verdict: refused, {reason}: {_MEANS.get(reason, reason)}"], False


def _claims_alone(token: Unverified, settings: Settings, rules: Any) -> Iterable[str]:
    """Without a key the signature stays open, but the claims may be wrong as well."""
    try:
        check_claims(token.claims, rules, time.time())
    except Refused as refusal:
        yield f"besides: {refusal.reason}: {_MEANS.get(refusal.reason, refusal.reason)}"


def _described(token: Unverified) -> Iterable[str]:
    header = ", ".join(f"{n}={_brief(token.header.get(n))}" for n in ("alg", "typ", "kid"))
    yield f"header: {header}"
    for name in _SHOWN:
        if name in token.claims:
            yield f"{name}: {_brief(token.claims[name])}"
    now = time.time()
    for name in _TIMES:
        value = token.claims.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{name}: {_away(now, value)}"
    others = sorted(token.claims.keys() - {*_SHOWN, *_TIMES})
    if others:
        # Their values may be anybody's secrets.
        yield f"other claims: {', '.join(_brief(name) for name in others[:50])}"


def _away(now: float, then: float) -> str:
    try:
        ago = now - then
    except OverflowError:
        return "no time"
    return f"{abs(ago):.0f} s {'ago' if ago >= 0 else 'ahead'}"


def _brief(value: Any) -> str:
    """A value as it may be printed: short, without control characters and Jazz secrets."""
    text = value if isinstance(value, str) else repr(value)
    if any(secret in text for secret in JAZZ_SECRETS):
        return "(not shown: it holds a Jazz secret)"
    return ascii(text[:100])[1:-1]
