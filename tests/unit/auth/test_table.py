"""Verdicts on 246 tokens, side by side with Clerk's own verifier (`tests/vectors/clerk`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from server.auth.claims import Rules
from server.auth.jwks import parse_jwks
from server.auth.refusals import refused
from server.auth.verifier import KeySource, OneKey, Verifier
from server.errors import Refused

TABLE: Final = json.loads(Path("tests/vectors/clerk.json").read_text())
KEYS: Final = parse_jwks(json.dumps(TABLE["jwks"]).encode())

STRICTER: Final[dict[str, str]] = {}
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
