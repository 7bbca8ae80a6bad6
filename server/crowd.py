"""How many connections there are, in total and from one address, and how many there may be.

Whoever comes through a trusted proxy is counted under the address that the proxy names; proxies
themselves are not limited.
"""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Hashable
from typing import Final

from server.auth.addresses import (
    Network,
    client_address,
    is_trusted,
    neighbourhood,
    parse_networks,
)

_OTHER_FILES: Final = 128
"""File descriptors that are not connections: the database, logs, Clerk."""


class Crowd:
    """Counts connections. What is counted must `leave`; what was not let in must not."""

    def __init__(self, most: int, most_per_address: int, proxies: str) -> None:
        """`proxies` are the trusted ones, as in the settings; `most_per_address` 0 is no limit."""
        self.most = most
        """Connections that there may be."""
        self._most_per_address = most_per_address
        self._proxies: list[Network] = parse_networks(proxies)
        self._places: dict[Hashable, str] = {}
        self._per_place: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._places)

    def enter(self, connection: Hashable, socket_address: str) -> str | None:
        """Count a connection. Returns why it cannot be let in (it is not counted then)."""
        if len(self._places) >= self.most:
            return "server_full"
        place = ""
        if self._most_per_address and not is_trusted(socket_address, self._proxies):
            place = neighbourhood(client_address(socket_address, (), []))
            if self._per_place[place] >= self._most_per_address:
                return "address_full"
            self._per_place[place] += 1
        self._places[connection] = place
        return None

    def name(self, connection: Hashable, socket_address: str, forwarded: list[str]) -> bool:
        """Count it under what a proxy says. Returns whether there is room for it."""
        if not self._most_per_address or self._places.get(connection) != "":
            return True
        address = client_address(socket_address, forwarded, self._proxies)
        if is_trusted(address, self._proxies):
            return True
        place = neighbourhood(address)
        if self._per_place[place] >= self._most_per_address:
            return False
        self._per_place[place] += 1
        self._places[connection] = place
        return True

    def leave(self, connection: Hashable) -> None:
        """The connection is gone."""
        place = self._places.pop(connection, "")
        if place:
            self._per_place[place] -= 1
            if not self._per_place[place]:
                del self._per_place[place]


def room_for(wanted: int) -> int:
    """Make room for so many connections among the process's file descriptors.

    Returns how many fit: fewer if the hard limit (`ulimit -Hn`) is lower.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(min(wanted, soft - _OTHER_FILES), 1)
