"""From the settings to a door: what is refused as unsafe or contradictory, and what is built.

What checks tokens is imported where it is needed: it takes a third of a start to load.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio

from server.auth.addresses import is_local, is_origin, parse_networks
from server.auth.carriers import Carriers
from server.auth.claims import Rules
from server.auth.clerk import Instance, parse_instance
from server.auth.door import Door, House
from server.auth.jwks import Jwks
from server.auth.keys import ApiKey, Keyring
from server.auth.ledger import Ledger
from server.auth.revocation import Recent, Revocations
from server.config import Settings
from server.errors import BadSettings
from server.gateway import is_loopback

if TYPE_CHECKING:
    import httpx

    from server.auth.verifier import Verifier


def problems(settings: Settings, keys: Iterable[ApiKey]) -> list[str]:
    """Why the settings are unsafe or contradictory together, one line each; empty if they are not.

    `keys` are those of the database; those of the settings are known.
    """
    found = [*_exposure(settings), *_clerk(settings), *_shapes(settings)]
    clerk = bool(settings.clerk or settings.clerk_pem)
    if settings.policy == "enforce":
        live = any(k.is_live(time.time()) for k in (*keys, *settings.api_keys))
        if not clerk and not live:
            found.append(
                "policy is enforce, but there is neither a key nor clerk: nobody could connect;"
                " make a key with `bandstand keys create NAME` or set clerk"
            )
    elif settings.policy == "off":
        if clerk:
            found.append(
                "clerk is set, but policy is off, so no token would be looked at;"
                " set policy to observe or enforce"
            )
        if settings.origins:
            found.append(
                "origins are set, but policy is off, so none would be looked at;"
                " set policy to observe or enforce"
            )
    return found


def check_alone(settings: Settings) -> None:
    """Raise `BadSettings` for what is wrong whatever keys the database holds."""
    for wrong in [*_exposure(settings), *_clerk(settings), *_shapes(settings)]:
        raise BadSettings(wrong)


def _exposure(settings: Settings) -> Iterable[str]:
    if settings.policy == "enforce" and settings.open:
        yield "policy is enforce, but open lets anybody in; take one of them away"
    if settings.policy != "enforce" and not settings.open and not is_loopback(settings.host):
        yield (
            f"without keys everybody who reaches {settings.host} could use this server: set policy"
            " to enforce, listen on 127.0.0.1 (behind a proxy that lets in whom you want), or"
            " accept it with --open"
        )


def _clerk(settings: Settings) -> Iterable[str]:
    if settings.clerk_pem and not settings.clerk:
        yield "clerk_pem is set without clerk, which says whose tokens (`iss`) are accepted"
    try:
        if settings.clerk:
            parse_instance(settings.clerk)
        if settings.clerk_pem:
            from server.auth.keyset import load_pem

            load_pem(settings.clerk_pem)
    except BadSettings as error:
        yield str(error)
    if settings.clerk_template_seconds and not settings.clerk_audience:
        yield "clerk_template_seconds needs clerk_audience, or any template's token would do"
    if settings.clerk_allow_missing_azp and not settings.clerk_azp:
        yield "clerk_allow_missing_azp means nothing without clerk_azp, which lists who may"
    dependent = ("azp", "pem", "audience", "template_seconds", "resume_seconds")
    for name in dependent if not settings.clerk else ():
        if getattr(settings, f"clerk_{name}") and name != "pem":
            yield f"clerk_{name} is set, but clerk is not"


def _shapes(settings: Settings) -> Iterable[str]:
    for name in ("origins", "clerk_azp"):
        for origin in _words(getattr(settings, name)):
            if not is_origin(origin):
                yield (
                    f"{name} holds {origin!r}, which is no origin: scheme and host, no path,"
                    " as in https://app.example.com"
                )
    for key in settings.api_keys:
        for origin in key.origins:
            if not is_origin(origin):
                yield f"the key {key.name!r} has the origin {origin!r}, which is none"
    try:
        parse_networks(settings.trusted_proxies)
    except ValueError as error:
        yield f"trusted_proxies: {error}"
    if not settings.token_parameter or settings.token_parameter == "key":
        yield f"token_parameter cannot be {settings.token_parameter!r}"


@asynccontextmanager
async def opened(settings: Settings, ledger: Ledger) -> AsyncIterator[Door]:
    """The door that the settings describe, with what the ledger keeps; it works inside the context.

    Raises `BadSettings` for the first of `problems`, and `StoreUnavailable`.
    """
    async with verifying(settings) as verifier:
        keyring = Keyring(time.time)
        revocations = Revocations(time.time)
        recent = Recent(time.time, settings.clerk_resume_seconds)
        door = Door(
            _house(settings),
            keyring,
            verifier,
            ledger,
            recent=recent,
            revocations=revocations,
            clock=time.time,
            monotonic=time.monotonic,
        )
        await door.load()
        kept = list(keyring.all())
        for wrong in problems(settings, kept):
            raise BadSettings(wrong)
        for key in settings.api_keys:
            if key.name in {k.name for k in kept}:
                raise BadSettings(
                    f"the key {key.name!r} is in the database and in the settings file; rename one"
                )
            keyring.put(key)
        async with anyio.create_task_group() as tasks:
            await tasks.start(door.run)
            try:
                yield door
            finally:
                tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await door.save()


@asynccontextmanager
async def verifying(settings: Settings) -> AsyncIterator[Verifier | None]:
    """What verifies tokens; `None` without Clerk. Its `Jwks`, if it has one, is not running."""
    if not settings.clerk:
        yield None
        return
    from server.auth.keyset import fetch_jwks, load_pem
    from server.auth.verifier import KeySource, OneKey, Verifier

    instance = parse_instance(settings.clerk)
    rules = Rules(
        instance.issuer,
        tuple(_words(settings.clerk_azp)),
        settings.clerk_allow_missing_azp,
        settings.clerk_audience,
        settings.clerk_template_seconds,
    )
    if settings.clerk_pem:
        yield Verifier(OneKey(load_pem(settings.clerk_pem)), rules, time.time)
        return
    async with _client(instance) as client:
        source: KeySource = Jwks(
            lambda: fetch_jwks(client, instance.jwks_url),
            clock=time.monotonic,
            stale_s=settings.clerk_stale_seconds,
        )
        yield Verifier(source, rules, time.time)


def _client(instance: Instance) -> httpx.AsyncClient:
    """A proxy from the environment counts, but not on the way to this machine itself."""
    import httpx

    host = urlsplit(instance.issuer).hostname or ""
    local = host == "localhost" or is_local(host)
    return httpx.AsyncClient(trust_env=not local, timeout=5.0)


def _house(settings: Settings) -> House:
    origins = tuple(_words(settings.origins))
    suffix = parse_instance(settings.clerk).cookie_suffix if settings.clerk else None
    return House(
        settings.policy,
        Carriers(settings.token_parameter, suffix, cookies=bool(origins)),
        origins,
        tuple(parse_networks(settings.trusted_proxies)),
    )


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()
