"""The running server's side of the control socket."""

from __future__ import annotations

import time
from typing import Any, Final

import structlog

from server.auth.door import Door
from server.auth.identity import Identity
from server.control.books import Books
from server.control.messages import Answer, EndSessions, ListSessions, Request, RevokeKey
from server.gateway import Gateway
from server.peer import Peer

log: Final = structlog.get_logger(__name__)


class Desk:
    """Answers requests about a running server."""

    def __init__(self, door: Door, gateway: Gateway) -> None:
        self._door = door
        self._gateway = gateway
        self._books = Books(door.keyring, door.ledger, door.usage.all, time.time)

    async def answer(self, request: Request) -> Answer:
        """The answer. Raises `BadSettings` and `StoreUnavailable`."""
        if isinstance(request, ListSessions):
            if request.refused:
                return Answer(self._door.shut_out())
            return Answer([_shown(peer) for peer in self._gateway.peers()])
        if isinstance(request, EndSessions):
            return await self._end(request)
        answer = await self._books.answer(request)
        if isinstance(request, RevokeKey):
            log.info("key.revoked", key=request.name)
            self._gateway.end(lambda identity: identity.key == request.name)
        return answer

    async def _end(self, request: EndSessions) -> Answer:
        """Deny first, then close: who was closed must not slip in again."""
        door, denials = self._door, []
        rules = door.verifier.rules if door.verifier is not None else None
        life_s = rules.template_life_s if rules is not None else 0.0
        if request.by == "key":
            door.keyring.get(request.name)
        else:
            denials.append(door.revocations.deny(request.by, request.name, life_s))
            door.recent.forget(request.name)
        if request.by == "sub":
            # Not only by the time of issue: these sessions are over.
            for identity in self._identities():
                if identity.sub == request.name and identity.sid is not None:
                    denials.append(door.revocations.deny("sid", identity.sid, life_s))
                    door.recent.forget(identity.sid)
        ended = self._gateway.end(lambda identity: _matches(identity, request))
        if denials:
            await door.ledger.put_denials(denials, time.time())
        log.info("sessions.ended", by=request.by, connections=ended)
        return Answer([{"ended": ended}])

    def _identities(self) -> list[Identity]:
        return [p.identity for p in self._gateway.peers() if p.identity is not None]


def _matches(identity: Identity, request: EndSessions) -> bool:
    return bool(getattr(identity, request.by) == request.name)


def _shown(peer: Peer) -> dict[str, Any]:
    identity = peer.identity
    if identity is None:
        return {"peer": peer.name}
    return {
        "peer": peer.name,
        "key": identity.key or peer.usage.name,
        "sub": identity.sub or "",
        "sid": identity.sid or "",
        "address": identity.address,
        "account_hint": identity.account_hint or "",
        "unmet": identity.unmet or "",
    }
