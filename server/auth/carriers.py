"""What a handshake request carries: an API key, a token, an origin.

Tokens, in this order: `Authorization: Bearer` (RFC 6750), a subprotocol pair
(`Sec-WebSocket-Protocol: bandstand.clerk, <token>`), a query parameter, and, only where origins are
restricted, Clerk's session cookie. An API key comes as `?key=` or, if it is one of ours (they begin
with `bsk_`), wherever a token may.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal
from urllib.parse import unquote

from websockets.datastructures import Headers

from server.auth.keys import PREFIX, canonical_key
from server.auth.refusals import refused

SUBPROTOCOL: Final = "bandstand.clerk"
TOKEN_BYTES: Final = 8 * 1024
_KEY_CHARACTERS: Final = 512

Carrier = Literal["authorization", "subprotocol", "query", "cookie"]


@dataclass(frozen=True, slots=True)
class Carriers:
    """How this server lets itself be spoken to."""

    parameter: str = "token"
    """The query parameter that may hold a token."""
    cookie_suffix: str | None = None
    """The suffix of our Clerk instance's cookies; `None` reads the plain names only."""
    cookies: bool = False
    """Whether cookies count at all: they need an origin allow-list."""


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What was brought. Secret: it is never printed, so it has no `repr`."""

    key: str | None = None
    token: str | None = None
    carrier: Carrier | None = None
    origin: str | None = None
    client_uat: int | None = None
    """When the cookie's user last signed in or out, seconds; for cookies only."""


def read_credentials(target: str, headers: Headers, carriers: Carriers) -> Credentials:
    """What a request for `target` (path and query) carries.

    Raises `Refused`: a parameter or header is repeated, two tokens or two keys differ, something is
    too large.
    """
    query = target.partition("#")[0].partition("?")[2]
    found: list[tuple[Carrier, str]] = []
    found += (("authorization", value) for value in _bearers(headers))
    found += (("subprotocol", value) for value in _paired(headers))
    in_query = _parameter(query, carriers.parameter)
    if in_query:
        found.append(("query", in_query))
    if any(len(value) > TOKEN_BYTES for _, value in found):
        raise refused("token-too-large")
    keys = {value for _, value in found if value.startswith(PREFIX)}
    tokens = [(carrier, value) for carrier, value in found if not value.startswith(PREFIX)]
    if len({value for _, value in tokens}) > 1:
        raise refused("token-ambiguous")
    label = _parameter(query, "key")
    if label is not None and len(label) > _KEY_CHARACTERS:
        raise refused("key-too-large")
    if label is not None and label.startswith(PREFIX):
        keys.add(label)
    if len(keys) > 1:
        raise refused("key-ambiguous")
    key = next(iter(keys), None) or (canonical_key(label) if label else None)
    origin = _only(headers.get_all("Origin"), "origin-not-allowed")
    if tokens:
        carrier, token = tokens[0]
        return Credentials(key, token, carrier, origin)
    if carriers.cookies:
        # Only where nothing else came: browsers add cookies by themselves, helpers do not know.
        cookies = _cookies(headers)
        session = _named(cookies, "__session", carriers.cookie_suffix)
        if session:
            if len(session) > TOKEN_BYTES:
                raise refused("token-too-large")
            signed_in = _named(cookies, "__client_uat", carriers.cookie_suffix)
            uat = int(signed_in) if signed_in and _is_number(signed_in) else None
            return Credentials(key, session, "cookie", origin, uat)
    return Credentials(key, None, None, origin)


def offers_subprotocol(headers: Headers) -> bool:
    """Whether the name of our subprotocol pair is offered."""
    return SUBPROTOCOL in _subprotocols(headers)


def _bearers(headers: Headers) -> Iterable[str]:
    """Other schemes say nothing to us: a proxy's own password may be there."""
    for value in headers.get_all("Authorization"):
        scheme, _, rest = value.strip().partition(" ")
        if scheme.lower() == "bearer" and rest.strip():
            yield rest.strip()


def _paired(headers: Headers) -> Iterable[str]:
    offered = _subprotocols(headers)
    for name, value in pairwise(offered):
        if name == SUBPROTOCOL and value:
            yield value


def _subprotocols(headers: Headers) -> list[str]:
    values = headers.get_all("Sec-WebSocket-Protocol")
    return [name.strip() for value in values for name in value.split(",")]


def _parameter(query: str, name: str) -> str | None:
    """The value of a query parameter, percent-decoded; `+` stays, as e-mail addresses have it."""
    values = []
    for pair in query.split("&"):
        found, _, value = pair.partition("=")
        if unquote(found) == name:
            values.append(unquote(value))
    if len(values) > 1:
        raise refused(f"{'key' if name == 'key' else 'token'}-repeated")
    return values[0] if values else None


def _only(values: list[str], reason: str) -> str | None:
    if len(set(values)) > 1:
        raise refused(reason)
    return values[0] if values else None


def _cookies(headers: Headers) -> list[tuple[str, str]]:
    pairs = []
    for header in headers.get_all("Cookie"):
        for part in header.split(";"):
            name, equals, value = part.strip().partition("=")
            if equals:
                pairs.append((name, value))
    return pairs


def _named(cookies: list[tuple[str, str]], name: str, suffix: str | None) -> str | None:
    """The cookie of our instance, else the plain one; two of a name are somebody's trick."""
    for wanted in ([f"{name}_{suffix}"] if suffix else []) + [name]:
        values = {value for found, value in cookies if found == wanted}
        if len(values) > 1:
            raise refused("token-ambiguous")
        if values:
            return values.pop()
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16
