"""bandstand, `websockets` and `ws`, case by case: the README shows all that they do differently.

`pytest tests/conformance --write-conformance-tables` writes its tables anew.
"""

from __future__ import annotations

from itertools import chain

import anyio
import pytest

from tests.conformance.autobahn import run
from tests.conformance.frame_cases import CASES
from tests.conformance.handshake_cases import HANDSHAKES, ID, LOAD
from tests.conformance.stacks import STACKS, ws_is_here
from tests.conformance.table import (
    README,
    REASONS,
    between_markers,
    put_between_markers,
    shown,
    table,
)
from tests.conformance.wire import Answer, converse, shake
from tests.integration.gateway.conftest import running

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        not ws_is_here(),
        reason="NO NODE, OR NO ws: bandstand is not compared with what Jazz's own server stands on",
    ),
]

Rows = dict[str, list[str]]


async def test_the_readme_shows_every_difference(pytestconfig: pytest.Config) -> None:
    topics = {
        "autobahn": await _of_autobahn(),
        "frames": await _of_frames(),
        "handshakes": await _of_handshakes(),
    }
    for rows in topics.values():
        for name in [name for name, cells in rows.items() if len(set(cells)) == 1]:
            del rows[name]
    named = {name for rows in topics.values() for name in rows}
    explained = set(chain.from_iterable(REASONS.values()))
    assert named == explained, named ^ explained
    text = README.read_text()
    for topic, rows in topics.items():
        made = table(rows, list(STACKS))
        if pytestconfig.getoption("write_conformance_tables", default=False):
            text = put_between_markers(text, topic, made)
        assert between_markers(text, topic) == made
    README.write_text(text)


async def _of_autobahn() -> Rows:
    passed: dict[str, dict[str, bool]] = {}

    async def suite(name: str) -> None:
        async with STACKS[name]() as port:
            verdicts = await run(port, and_not="9.*")
        passed[name] = {case: verdict.passed for case, verdict in verdicts.items()}

    # Each mostly waits.
    async with anyio.create_task_group() as tasks:
        for name in STACKS:
            tasks.start_soon(suite, name)
    return {
        case: ["pass", *("pass" if passed[name][case] else "fail" for name in STACKS)]
        for case in passed["bandstand"]
    }


async def _of_frames() -> Rows:
    rows: Rows = {case.name: [shown(case.expected)] for case in CASES}
    for stack in STACKS.values():
        async with stack() as port:
            for case in CASES:
                rows[case.name].append(shown(await converse(port, case.sent)))
    return rows


async def _of_handshakes() -> Rows:
    rows: Rows = {}
    for case in HANDSHAKES:
        rows[case.name] = [str(Answer(case.status, works=True))]

    async def ask(port: int) -> None:
        for case in HANDSHAKES:
            question = b"" if case.follows else LOAD
            sent = case.request + case.follows
            rows[case.name].append(str(await shake(port, sent, question, ID, hang_up=True)))

    async with running() as server:
        await ask(server.port)
    for name, stack in STACKS.items():
        if name != "bandstand":
            async with stack() as port:
                await ask(port)
    return rows
