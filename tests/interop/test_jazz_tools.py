"""The layer apps are written in: jazz-tools schemas, server workers, the README's example."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import anyio
import pytest

from tests.interop.driver_process import HERE
from tests.interop.releases import NEWEST, not_applicable

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interop.driver_process import Driver
    from tests.interop.server_process import ServerProcess

pytestmark = pytest.mark.anyio


@pytest.mark.scenario("jazz-tools: server workers share a note")
async def test_workers(driver: Driver, server: ServerProcess) -> None:
    alice = await driver.worker(server.url, "alice")
    bob = await driver.worker(server.url, "bob")
    note = await alice.create_note("from alice", ["one"], everyone="writer")
    assert await bob.read_note(note) == {"text": "from alice", "tags": ["one"]}
    await bob.edit_note(note, "from bob", "two")
    assert await alice.wait_note(note, "from bob", "two") == {
        "text": "from bob",
        "tags": ["one", "two"],
    }


@pytest.mark.scenario("jazz-tools: the example of the README")
async def test_example(server: ServerProcess, release: str, tmp_path: Path) -> None:
    if release != NEWEST:
        not_applicable("the example is written for the newest release")
    # Node looks for packages beside the script, not in the working directory.
    (tmp_path / "node_modules").symlink_to(HERE / "clients" / release / "node_modules")
    shutil.copy(HERE / "example.mjs", tmp_path)
    with anyio.fail_after(20):
        done = await anyio.run_process(
            ["node", "example.mjs", server.url], cwd=tmp_path, check=False
        )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().splitlines() == [
        "Bob reads: So What",
        "Bob reads: Play So What, louder!",
    ]
