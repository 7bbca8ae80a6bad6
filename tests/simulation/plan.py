"""What happens in a run, step by step: drawn from a seed, or what a shrunk failure is left with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Final, NamedTuple

from tests.simulation.knobs import Knobs

_HONEST: Final = {
    "connect": 10,
    "cut": 7,
    "restart": 2,
    "group": 4,
    "map": 8,
    "edit": 30,
    "burst": 6,
    "large": 3,
    "want": 14,
    "invite": 6,
    "promote": 2,
    "extend": 2,
    "delete": 1,
    "doze": 3,
    "wake": 3,
    "reconcile": 2,
    "lose": 3,
    "forget": 4,
    "reinstall": 1,
    "odd_member": 2,
    "stall": 3,
    "outpace": 3,
    "knot": 2,
    "withhold": 2,
}
_FAULTY: Final = {
    "connect": 10,
    "cut": 3,
    "want": 10,
    "edit": 8,
    "map": 2,
    "forge": 10,
    "truncate": 4,
    "replay": 4,
    "transplant": 3,
    "gap": 4,
    "fork": 5,
    "orphan": 5,
    "stray_member": 3,
    "entangle": 4,
    "junk": 4,
    "lie": 5,
    "usurp": 5,
    "haunt": 4,
    "spoil": 6,
    "flood": 1,
    "doze": 4,
    "wake": 2,
    "circle": 2,
}
_SERVER: Final = {"drain": 4, "kill": 4, "power": 4, "break": 5, "slow": 3}
_PAUSES_S: Final = (0.5, 3.0, 20.0)
"""Long enough for what is under way to arrive, to be stored, or to expire."""


class Step(NamedTuple):
    """After `wait` seconds, `actor` does `kind`; `dice` decides the rest."""

    wait: float
    actor: int
    """A client; -1 is the server."""
    kind: str
    dice: int


@dataclass(frozen=True)
class Plan:
    """A whole run. Equal plans run alike."""

    seed: int
    knobs: Knobs
    steps: tuple[Step, ...]

    @classmethod
    def drawn(cls, seed: int) -> Plan:
        """The plan that belongs to a seed."""
        random = Random(seed)
        knobs = Knobs.drawn(random)
        steps = _opening(knobs, random) if random.random() < 0.5 else []
        trouble = random.choice((0.0, 0.03, 0.08))
        pace = random.choice((0.0005, 0.01, 0.1))
        pauses = random.choice((0.0, 0.1, 0.2))
        for _ in range(random.choice((8, 16, 30, 60) if steps else (12, 30, 60, 90))):
            wait = 0.0 if random.random() < 0.4 else random.expovariate(1 / pace)
            if random.random() < pauses:
                wait = random.choice(_PAUSES_S)
            if random.random() < trouble:
                actor, kinds = -1, _SERVER
            else:
                actor = random.randrange(knobs.honest + knobs.faulty)
                kinds = _HONEST if actor < knobs.honest else _FAULTY
            kind = random.choices(list(kinds), list(kinds.values()))[0]
            steps.append(Step(round(wait, 6), actor, kind, random.getrandbits(32)))
        return cls(seed, knobs, tuple(steps))

    def having(self, steps: tuple[Step, ...]) -> Plan:
        """The same with these steps only."""
        return replace(self, steps=steps)


def _opening(knobs: Knobs, random: Random) -> list[Step]:
    """Everybody connects and holds something of one another: the middle of a working day."""
    everybody = range(knobs.honest + knobs.faulty)
    deeds = [(actor, "connect") for actor in everybody]
    deeds += [(0, "group"), (0, "map"), (0, "map")]
    deeds += [(actor, "want") for actor in everybody for _ in range(3)]
    deeds += [(actor, "edit") for actor in everybody]
    return [
        Step(_PAUSES_S[1] if kind == "want" else 0.0, actor, kind, random.getrandbits(32))
        for actor, kind in deeds
    ]
