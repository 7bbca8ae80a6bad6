"""Sessions that an operator ended, and sessions that were live a moment ago.

An ended session stays refused until every token of it must be dead: a session token lives a day
at the very most (`claims.SESSION_LIFE_S`). A user who is ended may sign in again: what was issued
until then is refused, what is issued later is not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, Literal

import msgspec

from server.auth.claims import SESSION_LIFE_S, SKEW_S, Claims

_TABLE: Final = 10_000
DENIED_S: Final = float(SESSION_LIFE_S + SKEW_S)


class Denial(msgspec.Struct, frozen=True):
    """Tokens of a session (`sid`) or a user (`sub`) that count no more. Times are Unix seconds."""

    kind: Literal["sid", "sub"]
    name: str
    since: float
    until: float


class Revocations:
    """The denials that still matter, in memory."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives Unix seconds."""
        self._clock = clock
        self._denials: dict[tuple[str, str], Denial] = {}

    def deny(self, kind: Literal["sid", "sub"], name: str, life_s: float = DENIED_S) -> Denial:
        """Refuse what is issued until now; `life_s` is how long tokens may live at most."""
        now = self._clock()
        denial = Denial(kind, name, now, now + max(life_s, DENIED_S))
        self.restore([denial])
        return denial

    def restore(self, denials: Iterable[Denial]) -> None:
        """Take in denials from before a restart; forget those that are over."""
        for denial in denials:
            self._denials[denial.kind, denial.name] = denial
        now = self._clock()
        self._denials = {k: d for k, d in self._denials.items() if d.until > now}

    def covers(self, claims: Claims) -> bool:
        """Whether the token with these claims was revoked."""
        if claims.sid is not None:
            denial = self._denials.get(("sid", claims.sid))
            if denial is not None and self._clock() < denial.until:
                return True
        denial = self._denials.get(("sub", claims.sub))
        if denial is None or self._clock() >= denial.until:
            return False
        return claims.issued is None or claims.issued <= denial.since + SKEW_S


class Recent:
    """When each session's last socket was seen: for resumption. Bounded, in memory only."""

    def __init__(self, clock: Callable[[], float], window_s: float) -> None:
        """`clock` gives Unix seconds. With a `window_s` of 0 nobody is remembered."""
        self._clock = clock
        self._window_s = window_s
        self._live: dict[str, int] = {}
        self._left: OrderedDict[str, float] = OrderedDict()

    def joined(self, sid: str) -> None:
        """A socket of the session is there."""
        if self._window_s:
            self._live[sid] = self._live.get(sid, 0) + 1

    def left(self, sid: str) -> None:
        """A socket of the session is gone."""
        if sid not in self._live:
            return
        self._live[sid] -= 1
        if not self._live[sid]:
            del self._live[sid]
            self._left[sid] = self._clock()
            self._left.move_to_end(sid)
            if len(self._left) > _TABLE:
                self._left.popitem(last=False)

    def forget(self, sid: str) -> None:
        """The session was ended."""
        self._live.pop(sid, None)
        self._left.pop(sid, None)

    def may_resume(self, claims: Claims) -> bool:
        """Whether an expired token may come back: its session is live, or was within the window."""
        if not self._window_s or claims.sid is None:
            return False
        if self._clock() - claims.expires > SESSION_LIFE_S:
            return False
        return (
            claims.sid in self._live
            or self._clock() - self._left.get(claims.sid, float("-inf")) <= self._window_s
        )
