"""From a token to verified claims: where the keys are, and what a token must say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from server.auth.claims import Claims, Rules, check_claims
from server.auth.keyset import check_signature
from server.auth.token import parse_token


class KeySource(Protocol):
    """Where signing keys come from: `Jwks`, or one PEM."""

    @property
    def state(self) -> str:
        """`ok`, `stale` or `unavailable`."""

    def find(self, kid: str) -> RSAPublicKey:
        """The key of that id. Raises `Refused` or `KeysWanted`."""


class OneKey:
    """A key from the settings. Its id is nowhere stated, so a token's is not looked at."""

    state: Final = "ok"

    def __init__(self, key: RSAPublicKey) -> None:
        self._key = key

    def find(self, kid: str) -> RSAPublicKey:
        """See `KeySource.find`."""
        return self._key


class Verifier:
    """Verifies tokens of one instance."""

    def __init__(self, source: KeySource, rules: Rules, clock: Callable[[], float]) -> None:
        """`clock` gives Unix seconds."""
        self.source = source
        self.rules = rules
        self._clock = clock

    def verify(self, text: str) -> Claims:
        """What the token says. Raises `Refused`, or `KeysWanted` if keys are on their way.

        An expired token is not refused but says so, see `claims.Claims.expired`.
        """
        token = parse_token(text, templates=self.rules.template_life_s > 0)
        key = self.source.find("" if isinstance(self.source, OneKey) else token.kid)
        check_signature(token, key)
        return check_claims(token.claims, self.rules, self._clock())
