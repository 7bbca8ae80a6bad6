"""What a scenario is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bench.meter import Measurement
from bench.servers import Server


@dataclass(frozen=True, slots=True)
class Site:
    """Where and how a scenario is measured."""

    server: Server
    seconds: float
    """About the longest that a measured part may take."""
    processes: int
    """How many processes may read where many clients do."""
    tell: Callable[[int], None]
    """Shows progress, in operations."""


class Scenario(Protocol):
    """One kind of load. Made once, signed once, and measured on each server in each round."""

    name: str
    local: bool
    """Whether it needs a server of our own, to restart it or to look into its process."""

    def prepare(self, tag: str) -> None:
        """Make and sign everything that will be sent; `tag` makes the ids new."""

    async def measure(self, site: Site) -> list[Measurement]:
        """Put the load on the server. Raises `Fault` if the server fails."""
