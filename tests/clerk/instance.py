"""A Clerk instance that exists here only: its keys, and the tokens it mints."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from jwt.algorithms import RSAAlgorithm

SESSION_CATEGORY: Final = "cl_B7d4PD111AAA"
LIFE_S: Final = 60


def base64url(data: bytes) -> str:
    """Without padding, as in JWTs."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Instance:
    """Mints session tokens as Clerk does: 60 s, RS256, version 2 claims."""

    def __init__(self, issuer: str, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives Unix seconds."""
        self.issuer = issuer
        self.clock = clock
        self._generation = 0
        self.keys: dict[str, rsa.RSAPrivateKey] = {}
        self.kid = ""
        self.rotate()

    def rotate(self, *, keep: bool = False) -> None:
        """Sign with a new key from now on; publish the old one too if `keep`."""
        self._generation += 1
        if not keep:
            self.keys.clear()
        self.kid = f"ins_stand_in_{self._generation}"
        self.keys[self.kid] = rsa.generate_private_key(65537, 2048)

    def jwks(self) -> dict[str, Any]:
        """The published key set."""
        return {
            "keys": [
                RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
                | {"kid": kid, "use": "sig", "alg": "RS256"}
                for kid, key in self.keys.items()
            ]
        }

    def claims(self, sub: str = "user_1", sid: str | None = "sess_1", **more: Any) -> Any:
        """What a session token claims now. A claim of `None` is left out."""
        now = int(self.clock())
        claims = {
            "azp": "https://app.example.com",
            "exp": now + LIFE_S,
            "fva": [0, -1],
            "iat": now,
            "iss": self.issuer,
            "nbf": now - 10,
            "sid": sid,
            "sts": "active",
            "sub": sub,
            "v": 2,
        } | more
        return {name: value for name, value in claims.items() if value is not None}

    def mint(
        self,
        sub: str = "user_1",
        sid: str | None = "sess_1",
        *,
        header: dict[str, Any] | None = None,
        key: rsa.RSAPrivateKey | None = None,
        **claims: Any,
    ) -> str:
        """A token, signed with the instance's key, or another one to forge it."""
        head = {"alg": "RS256", "cat": SESSION_CATEGORY, "kid": self.kid, "typ": "JWT"}
        head |= header or {}
        text = ".".join(
            base64url(json.dumps(part, separators=(",", ":")).encode())
            for part in (head, self.claims(sub, sid, **claims))
        )
        signature = (key or self.keys[self.kid]).sign(text.encode(), padding.PKCS1v15(), SHA256())
        return f"{text}.{base64url(signature)}"
