"""A Clerk instance, from one setting: its publishable key or its issuer URL."""

from __future__ import annotations

import base64
import binascii
from hashlib import sha1
from typing import Final
from urllib.parse import urlsplit

import msgspec

from server.errors import BadSettings

_LOCAL: Final = {"127.0.0.1", "::1", "localhost"}


class Instance(msgspec.Struct, frozen=True):
    """Where its tokens come from."""

    issuer: str
    cookie_suffix: str | None
    """The suffix of its cookies' names; known if the publishable key is."""

    @property
    def jwks_url(self) -> str:
        """Where its public keys are."""
        return f"{self.issuer}/.well-known/jwks.json"


def parse_instance(text: str) -> Instance:
    """The instance that a publishable key or an issuer URL names. Raises `BadSettings`.

    A publishable key is `pk_live_` or `pk_test_` and the base64 of the frontend API's host and `$`;
    the cookie suffix is the start of its SHA-1 (Clerk's own `getCookieSuffix`).
    """
    if text.startswith("sk_"):
        raise BadSettings("clerk holds a secret key: the publishable one (pk_...) is all it takes")
    if text.startswith(("pk_live_", "pk_test_")):
        encoded = text[len("pk_live_") :]
        try:
            host = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True).decode()
        except (binascii.Error, ValueError):
            host = ""
        if not host.endswith("$") or not _is_host(host[:-1]):
            raise BadSettings("clerk holds a publishable key that names no host; copy it again")
        suffix = base64.urlsafe_b64encode(sha1(text.encode()).digest()).decode()[:8]
        return Instance(f"https://{host[:-1]}", suffix)
    try:
        url = urlsplit(text)
        local = url.hostname in _LOCAL
        right = url.scheme == "https" or (url.scheme == "http" and local)
        bare = not (url.query or url.fragment or url.username or url.path.strip("/"))
        if not (right and bare and url.hostname):
            raise ValueError
    except ValueError:
        raise BadSettings(
            "clerk must be a publishable key (pk_live_...) or an issuer, https://<frontend API>"
        ) from None
    return Instance(f"{url.scheme}://{url.netloc}", None)


def _is_host(text: str) -> bool:
    try:
        return urlsplit(f"//{text}").netloc == text and bool(text) and "@" not in text
    except ValueError:
        return False
