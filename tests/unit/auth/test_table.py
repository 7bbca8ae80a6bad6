"""Verdicts on 246 tokens, side by side with Clerk's own verifier (`tests/vectors/clerk`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from server.auth.claims import Rules
from server.auth.keyset import parse_jwks
from server.auth.refusals import refused
from server.auth.verifier import KeySource, OneKey, Verifier
from server.errors import Refused

TABLE: Final = json.loads(Path("tests/vectors/clerk.json").read_text())
KEYS: Final = parse_jwks(json.dumps(TABLE["jwks"]).encode())

STRICTER: Final[dict[str, str]] = {
    'kid ["ins_one"]': "an id is a text; JavaScript makes one of a list",
    "by PEM, kid null": "a kid is a text (RFC 7515 §4.1.4)",
    **dict.fromkeys(
        ['crit ["exp"]', 'crit ["unknown"]', "crit []", 'crit "exp"', "crit null"],
        "what is critical and not understood is refused (RFC 7515 §4.1.11)",
    ),
    "b64 false": "unencoded payloads are not for JWTs (RFC 7797 §7)",
    "shape: padded payload": "base64url without padding (RFC 7515 §2): one spelling a token",
    "shape: padded signature": "base64url without padding (RFC 7515 §2): one spelling a token",
    "shape: payload with a mark": "JSON has no byte order mark (RFC 8259 §8.1)",
    "shape: payload no UTF-8": "JSON is UTF-8 (RFC 8259 §8.1)",
    "shape: payload deep": "nobody nests claims so deep, and parsers have an end",
    **dict.fromkeys(
        [
            *("exp 86401 s ahead", "exp 315360000 s ahead", "exp 1780000060000", "exp 1e+308"),
            *("iat -86400 s ahead", "iat 0", "iat -1"),
        ],
        "a session token does not live longer than a day",
    ),
    "exp too large for a number": "a time is finite",
    **dict.fromkeys(
        ['sub "user_1\\r\\nx"', 'sub "\\ud800"', f'sub "{"u" * 300}"', 'sub "ü"'],
        "a user's id reaches logs: short, printable, ASCII",
    ),
    "sid absent": "without a session it is a template token, which takes a setting",
    "sid null": "without a session it is a template token, which takes a setting",
    **dict.fromkeys(
        ['sid ""', "sid 7", 'sid ["sess_1"]', 'sid "sess_1\\u0000"', 'sid "\\ud800"'],
        "a session's id reaches logs and is what is revoked: short, printable, a text",
    ),
    **dict.fromkeys(
        [
            f"aud {aud}, one configured"
            for aud in ("absent", "null", '""', '["bandstand",7]', "[]", "7", "{}")
        ],
        "an audience that is configured must be there",
    ),
    "a Jazz secret": "whoever reads the token would own the account",
    "larger than 8 KiB": "refused before anything is computed",
}
"""What Clerk accepts and we refuse, and why."""


class Published:
    """The published keys, by id."""

    state = "ok"

    def find(self, kid: str) -> RSAPublicKey:
        """See `KeySource.find`."""
        if kid not in KEYS:
            raise refused("jwk-kid-mismatch")
        return KEYS[kid]


def verdict(case: dict[str, Any]) -> str:
    """`accepted`, or our reason."""
    options = case["options"]
    source: KeySource = Published()
    if options.get("pem"):
        pem = load_pem_public_key("\n".join(TABLE["pem"]).encode())
        assert isinstance(pem, RSAPublicKey)
        source = OneKey(pem)
    rules = Rules(
        TABLE["issuer"],
        tuple(options.get("authorizedParties", ())),
        audience=options.get("audience", ""),
    )
    verifier = Verifier(source, rules, lambda: float(TABLE["now"]))
    try:
        claims = verifier.verify(".".join(case["parts"]))
    except Refused as refusal:
        return refusal.reason
    return "token-expired" if claims.expired else "accepted"


def accepted_by_clerk(case: dict[str, Any]) -> bool:
    """By its verifier, and as a session that is signed in."""
    return bool(case["verify"]["accepted"] and case["authenticate"]["accepted"])


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["name"])
def test_verdict(case: dict[str, Any]) -> None:
    ours = verdict(case)
    if case["name"] in STRICTER:
        assert accepted_by_clerk(case)
        assert ours != "accepted"
    else:
        assert (ours == "accepted") == accepted_by_clerk(case), ours


def test_what_is_stricter_is_in_the_table() -> None:
    assert STRICTER.keys() <= {case["name"] for case in TABLE["cases"]}
    assert all(STRICTER.values())
