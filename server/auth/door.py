"""The decision at the handshake: a request in; an identity, or a refusal, out.

`off`: nobody is refused, a key is a label. `observe`: everybody is admitted, and whom `enforce`
would refuse is counted. `enforce`: whoever brings what is configured, and nobody else; it fails
closed. A key may have a policy of its own.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import anyio
import msgspec
import structlog
from anyio.abc import TaskGroup
from websockets.datastructures import Headers

from server.auth.addresses import Network, client_address, is_local, neighbourhood
from server.auth.carriers import Carriers, Credentials, read_credentials
from server.auth.claims import Claims
from server.auth.identity import Identity
from server.auth.jwks import Jwks, KeysWanted
from server.auth.keys import ApiKey, KeyLimits, Keyring
from server.auth.ledger import Ledger
from server.auth.penalties import Penalties
from server.auth.refusals import refused
from server.auth.revocation import Recent, Revocations
from server.auth.usage import Usage, UsageBook, shown_label
from server.errors import Refused, StoreUnavailable

if TYPE_CHECKING:
    from server.auth.verifier import Verifier

log: Final = structlog.get_logger(__name__)

Policy = Literal["off", "observe", "enforce"]
_SAVE_S: Final = 30.0
_WAIT_S: Final = 6.0
_WAITING: Final = 256
_QUIET_S: Final = 60.0
_SHUT_OUT: Final = 500


class Request(NamedTuple):
    """What the gateway knows of a handshake."""

    target: str
    """Path and query. Secret."""
    headers: Headers
    address: str
    """The socket's other end."""


class House(msgspec.Struct, frozen=True):
    """The operator's rules."""

    policy: Policy = "off"
    carriers: Carriers = Carriers()
    origins: tuple[str, ...] = ()
    proxies: tuple[Network, ...] = ()


class _Found(msgspec.Struct):
    """What an examination has found so far, also if it then fails."""

    address: str
    key: ApiKey | None = None
    label: str | None = None
    claims: Claims | None = None
    origin: str | None = None


class Door:
    """Decides who may connect, and keeps count. One per process; `run` should be running."""

    def __init__(
        self,
        house: House,
        keyring: Keyring,
        verifier: Verifier | None,
        ledger: Ledger,
        *,
        recent: Recent,
        revocations: Revocations,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        """`clock` gives Unix seconds, `monotonic` seconds that never go back."""
        self.house = house
        self.keyring = keyring
        self.verifier = verifier
        self.ledger = ledger
        self.recent = recent
        self.revocations = revocations
        self.usage = UsageBook()
        self.counters: Counter[str] = Counter()
        """Refusals by reason; under `observe`, what would have been ones."""
        self._clock = clock
        self._monotonic = monotonic
        self._penalties = Penalties(monotonic)
        self._tasks: TaskGroup | None = None
        self.waiting = 0
        """Handshakes that wait for keys."""
        self._logged: dict[str, float] = {}
        self._shut_out: OrderedDict[tuple[str, ...], int] = OrderedDict()

    async def load(self) -> None:
        """Take in keys, usage and revocations from the ledger. Raises `StoreUnavailable`."""
        kept = await self.ledger.load()
        for key in kept.keys:
            self.keyring.put(key)
        self.usage.restore(kept.usage)
        self.revocations.restore(kept.denials)

    async def run(
        self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Keep keys fresh, save usage, let handshakes wait. Until cancelled."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            if self.verifier is not None and isinstance(self.verifier.source, Jwks):
                tasks.start_soon(self.verifier.source.run)
            task_status.started()
            while True:
                await anyio.sleep(_SAVE_S)
                await self.save()

    async def save(self) -> None:
        """Make the usage durable, if the store takes it; what it does not take comes next time."""
        changed = self.usage.changed()
        if not changed:
            return
        done = self.usage.snapshot(changed)
        try:
            await self.ledger.put_usage(changed)
        except StoreUnavailable as error:
            log.warning("usage.unsaved", error=str(error))
        else:
            done()

    def policy_of(self, key: ApiKey | None) -> str:
        """The policy for whoever connects with this key."""
        return (key.policy if key is not None else None) or self.house.policy

    def decide(self, request: Request, *, final: bool = False) -> tuple[Identity, Usage]:
        """Who this is.

        Raises `Refused`, or `KeysWanted`: `when_keys` says when to ask again, then as `final`.
        """
        house = self.house
        forwarded = request.headers.get_all("X-Forwarded-For")
        found = _Found(client_address(request.address, forwarded, list(house.proxies)))
        banned = self._penalties.is_banned(neighbourhood(found.address))
        if house.policy == "enforce" and banned:
            self.counters["too-many-refusals"] += 1
            raise refused("too-many-refusals")
        try:
            self._examine(request, found)
        except KeysWanted:
            if not final:
                raise
            refusal = refused(self._why_keyless())
        except Refused as error:
            refusal = error
        else:
            return self._admit(found, None)
        policy = self.policy_of(found.key)
        if policy != "off":
            self._note(refusal.reason, policy, found)
        if policy == "enforce":
            raise refusal
        return self._admit(found, refusal.reason if policy == "observe" else None)

    def penalty(self, request: Request, refusal: Refused) -> float:
        """After how many seconds to answer a refusal, which is counted."""
        forwarded = request.headers.get_all("X-Forwarded-For")
        address = client_address(request.address, forwarded, list(self.house.proxies))
        # A proxy on this machine that names nobody must not get everybody banned; and what the
        # client cannot help is not held against it.
        if is_local(address) or refusal.status == 503:
            return 0.0
        return self._penalties.note(neighbourhood(address))

    def when_keys(self, go: Callable[[], None]) -> Callable[[], None]:
        """Call `go` once the keys are there, or 6 s have passed. Returns what cancels that.

        Raises `Refused` if too many wait already.
        """
        source = self.verifier.source if self.verifier is not None else None
        if self._tasks is None or self.waiting >= _WAITING or not isinstance(source, Jwks):
            raise refused("jwk-remote-failed-to-load")
        scope = anyio.CancelScope()
        self.waiting += 1

        async def wait() -> None:
            try:
                with scope:
                    with anyio.move_on_after(_WAIT_S):
                        await source.fetched()
                    go()
            finally:
                self.waiting -= 1

        self._tasks.start_soon(wait)
        return scope.cancel

    def joined(self, identity: Identity, usage: Usage) -> None:
        """A peer with this identity is there."""
        usage.connections += 1
        usage.live += 1
        if identity.sid is not None and identity.unmet is None:
            self.recent.joined(identity.sid)

    def left(self, identity: Identity, usage: Usage) -> None:
        """It is gone."""
        usage.live -= 1
        if identity.sid is not None and identity.unmet is None:
            self.recent.left(identity.sid)

    def status(self) -> dict[str, Any]:
        """What `/health` shows."""
        shown: dict[str, Any] = {"policy": self.house.policy, "refused": dict(self.counters)}
        if self.verifier is not None:
            shown["clerk_keys"] = self.verifier.source.state
        return shown

    def shut_out(self) -> list[dict[str, Any]]:
        """Who was, or would have been, refused: reason, key, user, origin, address, how often."""
        names = ("policy", "reason", "key", "sub", "origin", "address")
        return [
            dict(zip(names, each, strict=True)) | {"times": times}
            for each, times in self._shut_out.items()
        ]

    def _examine(self, request: Request, found: _Found) -> None:
        credentials = read_credentials(request.target, request.headers, self.house.carriers)
        found.origin = credentials.origin
        if credentials.key is not None:
            found.label = credentials.key
            found.key = self.keyring.find(credentials.key)
        key = found.key
        if self.policy_of(key) == "off":
            return
        self._check_origin(credentials, key)
        if key is not None and self.usage.of_key(key.name).is_spent(self._clock(), key.limits):
            raise refused("key-quota")
        if key is not None and key.role == "worker":
            self._check_room(key)
            return
        if key is None and (self.verifier is None or self.keyring.required):
            raise refused("key-missing" if credentials.key is None else "key-unknown")
        if self.verifier is not None:
            self._check_token(credentials, self.verifier, found)
        if key is not None:
            self._check_room(key)

    def _check_origin(self, credentials: Credentials, key: ApiKey | None) -> None:
        """Native apps and workers send no Origin; a cookie counts only with an allowed one."""
        for allowed in (self.house.origins, key.origins if key is not None else ()):
            if not allowed:
                continue
            if credentials.origin is None and credentials.carrier != "cookie":
                continue
            if credentials.origin not in allowed:
                raise refused("origin-not-allowed")

    def _check_room(self, key: ApiKey) -> None:
        most = key.limits.connections
        if most and self.usage.of_key(key.name).live >= most:
            raise refused("key-connections")

    def _check_token(self, credentials: Credentials, verifier: Verifier, found: _Found) -> None:
        if credentials.token is None:
            raise refused("token-missing")
        claims = verifier.verify(credentials.token)
        if credentials.carrier == "cookie":
            # Clerk's own rule: signed out, or in again, since the token was issued.
            signed_in = credentials.client_uat
            if not signed_in or claims.issued is None or claims.issued < signed_in:
                raise refused("session-token-iat-before-client-uat")
        found.claims = claims
        if self.revocations.covers(claims):
            raise refused("session-ended")
        if claims.expired and not self.recent.may_resume(claims):
            raise refused("token-expired")

    def _why_keyless(self) -> str:
        """What to say after waiting: the keys came and this one is not among them, or none came."""
        there = self.verifier is not None and self.verifier.source.state == "ok"
        return "jwk-kid-mismatch" if there else "jwk-remote-failed-to-load"

    def _admit(self, found: _Found, unmet: str | None) -> tuple[Identity, Usage]:
        key, claims = found.key, found.claims
        if key is not None:
            usage = self.usage.of_key(key.name)
            holds = self.policy_of(key) == "enforce"
            limits = key.limits if holds else KeyLimits()
            if usage.limits != limits:
                usage.limit(limits)
        else:
            usage = self.usage.of_label(found.label)
        identity = Identity(
            address=found.address,
            key=key.name if key is not None else None,
            role=key.role if key is not None else None,
            sub=claims.sub if claims is not None else None,
            sid=claims.sid if claims is not None else None,
            actor=claims.actor if claims is not None else None,
            account_hint=claims.account_hint if claims is not None else None,
            unmet=unmet,
        )
        return identity, usage

    def _note(self, reason: str, policy: str, found: _Found) -> None:
        """Count; say so once a reason and minute; and remember who it was."""
        self.counters[reason] += 1
        now = self._monotonic()
        if now - self._logged.get(reason, float("-inf")) >= _QUIET_S:
            self._logged[reason] = now
            say = log.error if reason == "token-holds-secrets" else log.info
            say("peer.refused" if policy == "enforce" else "peer.unmet", reason=reason)
        if found.key is not None:
            key = found.key.name
        else:
            key = "" if found.label is None else shown_label(found.label)
        origin = "".join(c for c in (found.origin or "")[:100] if c.isascii() and c.isprintable())
        who = (policy, reason, key, found.claims.sub if found.claims else "", origin, found.address)
        self._shut_out[who] = self._shut_out.pop(who, 0) + 1
        if len(self._shut_out) > _SHUT_OUT:
            self._shut_out.popitem(last=False)
