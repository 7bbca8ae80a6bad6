"""A Clerk instance's public keys: fetched in the background, kept through outages.

Nobody who connects can make this fetch more than once in ten seconds, and a bad signature never
does. Keys are kept per instance. Addresses in a token's header (`jku`, `x5u`) are not looked at.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import anyio
import structlog

from server.auth.refusals import refused

log: Final = structlog.get_logger(__name__)

REFRESH_S: Final = 300.0
COOLDOWN_S: Final = 10.0
_RETRY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

Keys: TypeAlias = "dict[str, RSAPublicKey]"


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
