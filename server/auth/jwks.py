"""A Clerk instance's public keys: fetched in the background, kept through outages.

Nobody who connects can make this fetch more than once in ten seconds, and a bad signature never
does. Keys are kept per instance. Addresses in a token's header (`jku`, `x5u`) are not looked at.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

import anyio
import httpx
import jwt
import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm

from server.auth.refusals import refused

log: Final = structlog.get_logger(__name__)

REFRESH_S: Final = 300.0
COOLDOWN_S: Final = 10.0
FETCH_S: Final = 5.0
_RETRY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
_SIZE: Final = 64 * 1024
_KEYS: Final = 32
_RSA_BITS: Final = 2048

Keys = dict[str, RSAPublicKey]


class KeysWanted(Exception):
    """The key may be there after the next fetch: wait for `Jwks.fetched` and ask again."""


class Unfetched(Exception):
    """The key set could not be fetched or is none; says why."""


class Jwks:
    """The keys of one instance. `run` must be running."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Keys]],
        *,
        clock: Callable[[], float],
        stale_s: float,
    ) -> None:
        """`fetch` gets all keys or raises `Unfetched`; `clock` gives seconds.

        `stale_s` is for how long keys serve on while no newer ones can be fetched.
        """
        self._fetch = fetch
        self._clock = clock
        self._stale_s = stale_s
        self._keys: Keys = {}
        self._fetched_at = float("-inf")
        self._began = float("-inf")
        self._fetching = True
        self._wanted = anyio.Event()
        self._done = anyio.Event()
        self.failures = 0
        """Failed fetches since the last good one."""
        self.fetches = 0

    @property
    def state(self) -> Literal["ok", "stale", "unavailable"]:
        """Whether keys are there and the last fetch succeeded."""
        if not self._is_usable():
            return "unavailable"
        return "stale" if self.failures else "ok"

    def find(self, kid: str) -> RSAPublicKey:
        """The key of that id.

        Raises `KeysWanted` if a fetch that is now under way may bring it, `Refused` if not.
        """
        usable = self._is_usable()
        key = self._keys.get(kid) if usable else None
        if key is not None:
            return key
        if self._fetching:
            raise KeysWanted
        if usable and not self.failures and self._clock() - self._began >= COOLDOWN_S:
            self._fetching = True
            self._wanted.set()
            raise KeysWanted
        # During an outage an unknown key may be a new one: nobody can say, so try again later.
        known = usable and not self.failures
        raise refused("jwk-kid-mismatch" if known else "jwk-remote-failed-to-load")

    async def fetched(self) -> None:
        """Wait until the fetch that is under way has ended."""
        if self._fetching:
            await self._done.wait()

    async def run(self) -> None:
        """Fetch now, when a new key id is seen, every five minutes, and sooner after a failure."""
        while True:
            await self._refresh()
            failures = min(self.failures, len(_RETRY_S))
            with anyio.move_on_after(_RETRY_S[failures - 1] if failures else REFRESH_S):
                await self._wanted.wait()

    async def _refresh(self) -> None:
        self._fetching = True
        self._wanted = anyio.Event()
        self._began = self._clock()
        self.fetches += 1
        try:
            self._keys = await self._fetch()
        except Unfetched as error:
            self.failures += 1
            log.warning("jwks.unfetched", error=str(error), failures=self.failures)
        else:
            if self.failures or self._fetched_at == float("-inf"):
                log.info("jwks.fetched", keys=len(self._keys), failures=self.failures)
            self.failures = 0
            self._fetched_at = self._clock()
        self._fetching = False
        done, self._done = self._done, anyio.Event()
        done.set()

    def _is_usable(self) -> bool:
        return bool(self._keys) and self._clock() - self._fetched_at <= self._stale_s


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
