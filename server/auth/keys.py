"""API keys: a name, one or two live secrets, a role, limits. Only hashes are kept.

A secret of ours has 256 random bits, so its plain SHA-256 can be neither guessed nor reversed. It
is looked up by that hash, and compared in constant time.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

from server.auth.identity import Role
from server.auth.refusals import refused
from server.errors import BadSettings

PREFIX: Final = "bsk_"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
POLICIES: Final = ("off", "observe", "enforce")


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What one key may use; 0 means no limit."""

    connections: int = 0
    messages_per_second: int = 0
    bytes_per_day: int = 0
    """Written by clients."""
    bytes_stored: int = 0


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret of a key, as its hash. Times are Unix seconds; `None` is never."""

    digest: bytes
    created: float
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secrets. Times are Unix seconds."""

    name: str
    role: Role = "app"
    policy: str | None = None
    """The policy for whoever connects with it; `None` is the server's."""
    origins: tuple[str, ...] = ()
    limits: KeyLimits = KeyLimits()
    created: float = 0.0
    expires: float | None = None
    revoked: float | None = None
    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    from_settings: bool = False

    def is_live(self, now: float) -> bool:
        """Whether the key can be used."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def new_secret() -> str:
    """A fresh secret. It is shown once and not kept."""
    text = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
    return f"{PREFIX}{text}"


def canonical_key(text: str) -> str:
    """One spelling: `you+tag@example.com` arrives with `+` or, decoded as a form, with a space."""
    return text.replace(" ", "+")


def digest(secret: str) -> bytes:
    """What is kept of a secret."""
    return sha256(canonical_key(secret).encode("utf-8", "surrogatepass")).digest()


def check_name(name: str) -> None:
    """Raise `BadSettings` for a name that no key may have."""
    if not _NAME.fullmatch(name):
        raise BadSettings(
            f"a key cannot be called {name!r}: up to 64 letters, digits, dots, dashes, underscores"
        )


class Keyring:
    """All keys in memory. Who stores them is told by `put`'s caller."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives Unix seconds."""
        self._clock = clock
        self._keys: dict[str, ApiKey] = {}
        self._by_digest: dict[bytes, str] = {}

    def put(self, key: ApiKey) -> None:
        """Add or replace a key."""
        self._keys[key.name] = key
        self._by_digest = {s.digest: k.name for k in self._keys.values() for s in k.secrets}

    def all(self) -> Iterable[ApiKey]:
        """All keys, revoked ones included, in the order of their names."""
        return [self._keys[name] for name in sorted(self._keys)]

    def get(self, name: str) -> ApiKey:
        """The key of that name. Raises `BadSettings` if there is none."""
        key = self._keys.get(name)
        if key is None:
            raise BadSettings(f"there is no key {name!r}; `bandstand keys list` shows all")
        return key

    @property
    def required(self) -> bool:
        """Whether apps need a key: from the first app key on, also when it is revoked later."""
        return any(key.role == "app" for key in self._keys.values())

    def find(self, presented: str) -> ApiKey | None:
        """The key that `presented` is a live secret of; `None` if it is no key at all.

        Raises `Refused` if the key or the secret is revoked or expired.
        """
        found = digest(presented)
        name = self._by_digest.get(found)
        if name is None:
            return None
        key, now = self._keys[name], self._clock()
        matching = None
        for secret in key.secrets:
            if hmac.compare_digest(secret.digest, found):
                matching = secret
        if key.revoked is not None:
            raise refused("key-revoked")
        expired = matching is None or (matching.expires is not None and now >= matching.expires)
        if expired or not key.is_live(now):
            raise refused("key-expired")
        return key


def rotated(key: ApiKey, fresh: bytes, now: float, grace_s: float) -> ApiKey:
    """The key with a new secret; its latest old one lives on for `grace_s`, older ones end.

    Raises `BadSettings` for a key that is revoked or comes from the settings file.
    """
    _require_ours(key)
    if key.revoked is not None:
        raise BadSettings(f"the key {key.name!r} is revoked; create another one")
    old = max(key.secrets, key=lambda secret: secret.created)
    ends = now + grace_s if old.expires is None else min(old.expires, now + grace_s)
    kept = (replace(old, expires=ends),) if grace_s > 0 else ()
    return replace(key, secrets=(*kept, Secret(fresh, now)))


def revoked(key: ApiKey, now: float) -> ApiKey:
    """The key, of no use from now on. Raises `BadSettings` if it comes from the settings file."""
    _require_ours(key)
    return replace(key, revoked=key.revoked or now)


def _require_ours(key: ApiKey) -> None:
    if key.from_settings:
        raise BadSettings(f"the key {key.name!r} stands in the settings file; change it there")
