"""RSA public keys: from a key set or a PEM file, and what is signed with them.

All that needs `httpx`, `jwt` and `cryptography` to be loaded, a third of a start, is here and is
imported only where tokens are checked.
"""

from __future__ import annotations

from typing import Any, Final

import anyio
import httpx
import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import RSAAlgorithm

from server.auth.jwks import Keys, Unfetched
from server.auth.refusals import refused
from server.auth.token import Unverified
from server.errors import BadSettings

FETCH_S: Final = 5.0
_SIZE: Final = 64 * 1024
_KEYS: Final = 32
_RSA_BITS: Final = 2048
_ALGORITHM: Final = "RS256"
_JWS: Final = jwt.PyJWS(algorithms=[_ALGORITHM])


def check_signature(token: Unverified, key: RSAPublicKey) -> None:
    """Raise `Refused` unless the token is signed with `key`, by RS256, and says so."""
    if token.header.get("typ", "JWT") != "JWT":
        raise refused("token-invalid")
    if token.header.get("alg") != _ALGORITHM:
        raise refused("token-invalid-algorithm")
    try:
        _JWS.decode(token.text, key, algorithms=[_ALGORITHM])
    except jwt.InvalidSignatureError:
        raise refused("token-invalid-signature") from None
    except jwt.PyJWTError:
        # Also unknown critical header parameters (`crit`, RFC 7515 §4.1.11).
        raise refused("token-invalid") from None


def load_pem(path: str) -> RSAPublicKey:
    """The public key in a PEM file. Raises `BadSettings`."""
    try:
        with open(path, "rb") as file:
            key = load_pem_public_key(file.read(64 * 1024))
    except OSError as error:
        raise BadSettings(f"cannot read clerk_pem {path}: {error.strerror}") from None
    except ValueError:
        raise BadSettings(f"clerk_pem {path} holds no public key in PEM form") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < _RSA_BITS:
        raise BadSettings(f"clerk_pem {path} holds no RSA key of {_RSA_BITS} bits or more")
    return key


async def fetch_jwks(client: httpx.AsyncClient, url: str) -> Keys:
    """Get and parse the key set: 5 s in all, 64 KiB, no redirect. Raises `Unfetched`."""
    try:
        with anyio.fail_after(FETCH_S):
            async with client.stream("GET", url, follow_redirects=False) as answer:
                if answer.status_code != 200:
                    raise Unfetched(f"the key set's address answered {answer.status_code}")
                body = b""
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > _SIZE:
                        raise Unfetched(f"the key set is larger than {_SIZE} bytes")
    except TimeoutError:
        raise Unfetched(f"the key set's address did not answer within {FETCH_S:g} s") from None
    except httpx.HTTPError as error:
        name = type(error).__name__
        raise Unfetched(f"the key set's address cannot be reached: {name}") from None
    return parse_jwks(body)


def parse_jwks(body: bytes) -> Keys:
    """The RSA signing keys of a key set (RFC 7517), by `kid`. Raises `Unfetched` without any."""
    try:
        found: Any = msgspec.json.decode(body)
        listed = found["keys"]
        assert isinstance(listed, list)
    except (msgspec.DecodeError, RecursionError, KeyError, TypeError, AssertionError):
        raise Unfetched("the answer is no key set") from None
    keys: Keys = {}
    for jwk in listed[:_KEYS]:
        key = _signing_key(jwk)
        if key is not None:
            keys.setdefault(jwk["kid"], key)
    if not keys:
        raise Unfetched("the key set holds no RSA signing key")
    return keys


def _signing_key(jwk: Any) -> RSAPublicKey | None:
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str) or not jwk["kid"]:
        return None
    use, algorithm = jwk.get("use", "sig"), jwk.get("alg", "RS256")
    if jwk.get("kty") != "RSA" or use != "sig" or algorithm != "RS256":
        return None
    public = {name: jwk.get(name) for name in ("kty", "n", "e")}
    try:
        key = RSAAlgorithm.from_jwk(public)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        return None
    return key if isinstance(key, RSAPublicKey) and key.key_size >= _RSA_BITS else None
