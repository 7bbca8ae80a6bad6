"""Keys and usage: what is asked of them, whether or not a server is running."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from server.auth.addresses import is_origin
from server.auth.keys import (
    POLICIES,
    ApiKey,
    KeyLimits,
    Keyring,
    Secret,
    check_name,
    digest,
    new_secret,
    revoked,
    rotated,
)
from server.auth.ledger import Ledger
from server.auth.usage import Usage
from server.control.messages import Answer, Book, CreateKey, ListKeys, RevokeKey, RotateKey
from server.errors import BadSettings


class Books:
    """Answers what needs keys and usage only."""

    def __init__(
        self,
        keyring: Keyring,
        ledger: Ledger,
        usage: Callable[[], Iterable[Usage]],
        clock: Callable[[], float],
    ) -> None:
        """`usage` gives all usages, `clock` Unix seconds."""
        self.keyring = keyring
        self._ledger = ledger
        self._usage = usage
        self._clock = clock

    async def answer(self, request: Book) -> Answer:
        """The answer. Raises `BadSettings` and `StoreUnavailable`."""
        if isinstance(request, CreateKey):
            return await self._create(request)
        if isinstance(request, ListKeys):
            return Answer([self._shown(key) for key in self.keyring.all()])
        if isinstance(request, RevokeKey):
            key = revoked(self.keyring.get(request.name), self._clock())
            await self._keep(key)
            return Answer([self._shown(key)])
        if isinstance(request, RotateKey):
            secret = new_secret()
            old = self.keyring.get(request.name)
            key = rotated(old, digest(secret), self._clock(), request.grace_s)
            await self._keep(key)
            return Answer([self._shown(key)], secret=secret)
        return Answer([_used(usage) for usage in self._usage()])

    async def _create(self, request: CreateKey) -> Answer:
        check_name(request.name)
        if request.name in {key.name for key in self.keyring.all()}:
            raise BadSettings(
                f"there is a key {request.name!r} already; choose another name, or rotate it"
            )
        if request.policy is not None and request.policy not in POLICIES:
            raise BadSettings(
                f"the policy is {request.policy!r}, but it must be off, observe or enforce"
            )
        for origin in request.origins:
            if not is_origin(origin):
                raise BadSettings(
                    f"{origin!r} is no origin: scheme and host, no path, as in"
                    " https://app.example.com"
                )
        limits = KeyLimits(
            request.connections,
            request.messages_per_second,
            request.bytes_per_day,
            request.bytes_stored,
        )
        now, secret = self._clock(), new_secret()
        key = ApiKey(
            request.name,
            request.role,
            request.policy,
            request.origins,
            limits,
            created=now,
            expires=None if request.expires_in_s is None else now + request.expires_in_s,
            secrets=(Secret(digest(secret), now),),
        )
        await self._keep(key)
        return Answer([self._shown(key)], secret=secret)

    async def _keep(self, key: ApiKey) -> None:
        """Durable first: a key that is handed out must not be forgotten."""
        await self._ledger.put_key(key)
        self.keyring.put(key)

    def _shown(self, key: ApiKey) -> dict[str, Any]:
        now = self._clock()
        live = [s for s in key.secrets if s.expires is None or s.expires > now]
        state = "revoked" if key.revoked is not None else "live" if key.is_live(now) else "expired"
        return {
            "name": key.name,
            "role": key.role,
            "state": state,
            "policy": key.policy or "",
            "secrets": len(live),
            "created": key.created,
            "expires": key.expires,
            "origins": " ".join(key.origins),
            "connections": key.limits.connections,
            "messages_per_second": key.limits.messages_per_second,
            "bytes_per_day": key.limits.bytes_per_day,
            "bytes_stored": key.limits.bytes_stored,
            "from": "settings" if key.from_settings else "database",
        }


def _used(usage: Usage) -> dict[str, Any]:
    names = ("name", "live", "connections", "bytes_in", "bytes_out", "transactions", "values")
    shown = {name: getattr(usage, name) for name in names}
    return shown | {"bytes_stored": usage.bytes_stored}
