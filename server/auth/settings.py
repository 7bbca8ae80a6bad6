"""API keys in the settings file, one table each:

[api_keys.studio]
sha256 = "…"                       # of the key, in hexadecimal; or: key = "…"
role = "worker"                    # or "app", the default
policy = "observe"                 # of its own
origins = ["https://app.example.com"]
expires = 2027-01-01T00:00:00Z
connections = 100
messages_per_second = 50
bytes_per_day = 1_000_000_000
bytes_stored = 10_000_000_000
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from server.auth.keys import POLICIES, ApiKey, KeyLimits, Secret, check_name, digest
from server.errors import BadSettings

API_KEYS: Final = "api_keys"
_LIMITS: Final = ("connections", "messages_per_second", "bytes_per_day", "bytes_stored")
_KNOWN: Final = {"key", "sha256", "role", "policy", "origins", "expires", *_LIMITS}
_KEY_CHARACTERS: Final = 16


def parse_keys(tables: Any, origin: str) -> tuple[ApiKey, ...]:
    """The keys in the `api_keys` tables of the file `origin`. Raises `BadSettings`."""
    if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
        raise BadSettings(f"{origin}: api_keys must be tables, [api_keys.NAME]")
    return tuple(
        _parse(name, table, f"{origin}: api_keys.{name}") for name, table in tables.items()
    )


def _parse(name: str, table: dict[str, Any], where: str) -> ApiKey:
    check_name(name)
    unknown = sorted(table.keys() - _KNOWN)
    if unknown:
        raise BadSettings(f"{where}: there is no {unknown[0]!r} in a key")
    if ("key" in table) == ("sha256" in table):
        raise BadSettings(f"{where}: give either key or sha256")
    role, policy = table.get("role", "app"), table.get("policy")
    if role not in ("app", "worker"):
        raise BadSettings(f"{where}: role must be app or worker")
    if policy is not None and policy not in POLICIES:
        raise BadSettings(f"{where}: policy must be {', '.join(POLICIES)}")
    origins = table.get("origins", [])
    if not isinstance(origins, list) or not all(isinstance(each, str) for each in origins):
        raise BadSettings(f"{where}: origins must be a list of texts")
    expires = table.get("expires")
    if expires is not None and (not isinstance(expires, datetime) or expires.tzinfo is None):
        raise BadSettings(f"{where}: expires must be a time with a zone, 2027-01-01T00:00:00Z")
    for limit in _LIMITS:
        value = table.get(limit, 0)
        if type(value) is not int or value < 0:
            raise BadSettings(f"{where}: {limit} must be a whole number, 0 for no limit")
    return ApiKey(
        name,
        role,
        policy,
        tuple(origins),
        KeyLimits(*(table.get(limit, 0) for limit in _LIMITS)),
        expires=expires.timestamp() if expires is not None else None,
        secrets=(Secret(_digest(table, where), 0.0),),
        from_settings=True,
    )


def _digest(table: dict[str, Any], where: str) -> bytes:
    if "key" in table:
        key = table["key"]
        if not isinstance(key, str) or len(key) < _KEY_CHARACTERS:
            raise BadSettings(
                f"{where}: key must be a text of {_KEY_CHARACTERS} characters or more"
            )
        return digest(key)
    try:
        found = bytes.fromhex(table["sha256"])
        if len(found) != 32:
            raise ValueError
    except (TypeError, ValueError):
        raise BadSettings(f"{where}: sha256 must be 64 hexadecimal digits") from None
    return found
