"""Making a failing plan smaller: leave out whatever the failure does not need."""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.plan import Plan, Step


def shrunk(plan: Plan, fails: Callable[[Plan], bool], attempts: int = 400) -> Plan:
    """A plan that still fails, with as few steps as can be found by bisection."""
    steps = plan.steps
    size = max(len(steps) // 2, 1)
    while size and attempts:
        index = 0
        while index < len(steps) and attempts:
            shorter = steps[:index] + steps[index + size :]
            attempts -= 1
            if fails(plan.having(shorter)):
                steps = shorter
            else:
                index += size
        size //= 2
    return _hurried(plan.having(steps), fails)


def _hurried(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """The same without the waits, if they do not matter."""
    steps: tuple[Step, ...] = tuple(step._replace(wait=0.0) for step in plan.steps)
    hurried = plan.having(steps)
    return hurried if fails(hurried) else plan
