"""What came with later releases: branches, deletion, reconciliation of a client's storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.interop.cast import enter, second_device
from tests.interop.releases import needs
from tests.interop.server_process import REFERENCE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interop.conftest import Drivers
    from tests.interop.driver_process import Driver
    from tests.interop.server_process import ServerProcess

pytestmark = pytest.mark.anyio

NO_BRANCHES = "no branches before 0.18"
NO_DELETION = "no deletion before 0.20"
NO_RESUMPTION = "clients before 0.19 do not keep what was never acknowledged"
NO_RECONCILIATION = "no reconciliation before 0.20.19"
SQLITE = REFERENCE / "node_modules" / "better-sqlite3" / "lib" / "index.js"


@pytest.mark.scenario("branches and their merge")
async def test_branch(driver: Driver, server: ServerProcess) -> None:
    needs(driver, "branches", NO_BRANCHES)
    alice, bob = await enter(driver, server, "alice", "bob")
    note = await alice.create("map", await alice.group(everyone="writer"), {"title": "main"})
    await bob.wait(note, equals={"title": "main"})
    draft = await alice.branch(note, "draft")
    await alice.set(draft, title="draft")
    await alice.synced()
    # Bob finds the same branch by its name; the source is as it was.
    assert await bob.branch(note, "draft") == draft
    await bob.wait(draft, equals={"title": "draft"})
    await bob.set(draft, bob="agrees")
    await alice.wait(draft, equals={"title": "draft", "bob": "agrees"})
    (carol,) = await enter(driver, server, "carol")
    await carol.wait(note, equals={"title": "main"})
    await alice.merge(draft)
    await carol.wait(note, equals={"title": "draft", "bob": "agrees"})


@pytest.mark.scenario("deletion reaches every reader and survives a restart")
async def test_deletion(driver: Driver, own_server: ServerProcess) -> None:
    needs(driver, "deletion", NO_DELETION)
    alice, bob = await enter(driver, own_server, "alice", "bob")
    group = await alice.group(everyone="writer")
    note = await alice.create("map", group, {"doomed": True})
    other = await alice.create("map", group, {"doomed": False})
    await bob.wait(note, equals={"doomed": True})
    await alice.delete(note)
    await alice.synced()
    await bob.wait(note, type="deleted")
    fresh = await second_device(driver, own_server, bob)
    assert (await fresh.look(note))["type"] == "deleted"
    await own_server.restart()
    (late,) = await enter(driver, own_server, "late")
    assert (await late.look(note))["type"] == "deleted"
    await late.wait(other, equals={"doomed": False})
    # An acknowledged deletion is as durable as any edit.
    await alice.connected()
    await alice.delete(other)
    await alice.synced_then_kill(own_server.pid)
    await own_server.gone()
    await own_server.start()
    (latest,) = await enter(driver, own_server, "latest")
    assert (await latest.look(note))["type"] == "deleted"
    assert (await latest.look(other))["type"] == "deleted"


@pytest.mark.scenario("only admins delete")
async def test_deletion_by_writer(driver: Driver, server: ServerProcess) -> None:
    needs(driver, "deletion", NO_DELETION)
    alice, bob = await enter(driver, server, "alice", "bob")
    group = await alice.group(everyone="writer")
    note = await alice.create("map", group, {"safe": True})
    await bob.wait(note, equals={"safe": True})
    other = await bob.create("map", group, {"bob": "is done"})
    await bob.delete_anyway(note)
    await bob.set(other, now="really")
    # What Bob said before this has reached the server as well.
    await alice.wait(other, includes={"now": "really"})
    await alice.set(note, still="here")
    (fresh,) = await enter(driver, server, "fresh")
    await fresh.wait(note, equals={"safe": True, "still": "here"})


@pytest.mark.scenario("deleted by 0.20.19 while this release holds it")
async def test_deletion_seen_by_others(
    drivers: Drivers, driver: Driver, server: ServerProcess
) -> None:
    newest = await drivers.of("0.20.19")
    (alice,) = await enter(newest, server, "alice")
    (bob,) = await enter(driver, server, "bob")
    note = await alice.create("map", await alice.group(everyone="writer"), {"doomed": True})
    await bob.wait(note, equals={"doomed": True})
    await alice.delete(note)
    await alice.synced()
    if driver.features["deletion"]:
        await bob.wait(note, type="deleted")
    else:
        # An old client does not know deletion. It goes on editing and must believe it is synced,
        # however often it comes back, and nobody else must get its edits.
        await bob.set(note, bob="edits")
        await bob.synced()
        await bob.offline()
        await bob.set(note, bob="edits again")
        await bob.online()
        await bob.synced()
        # Quiet: everything it said afterwards is a handful of frames, not an endless exchange.
        assert len(await bob.frames(note)) < 40
    (fresh,) = await enter(newest, server, "fresh")
    assert (await fresh.look(note))["type"] == "deleted"


@pytest.mark.scenario("edits of an ended app come from its storage")
async def test_storage_resumes(driver: Driver, server: ServerProcess, tmp_path: Path) -> None:
    needs(driver, "resumption", NO_RESUMPTION)
    storage = {"driver": str(SQLITE), "file": str(tmp_path / "client.db")}
    alice = await driver.client(server.url, "alice", storage=storage)
    note = await alice.create("map", await alice.group(everyone="reader"), {"start": 0})
    await alice.synced()
    await alice.offline()
    await alice.set(note, offline="kept")
    await alice.stored(note)
    await alice.close()
    (bob,) = await enter(driver, server, "bob")
    await bob.wait(note, equals={"start": 0})
    # The app starts again and does not even touch the value.
    await driver.client(server.url, account=alice.credentials, storage=storage)
    await bob.wait(note, equals={"start": 0, "offline": "kept"})


@pytest.mark.scenario("reconciliation of a client's storage")
async def test_reconciliation(driver: Driver, own_server: ServerProcess, tmp_path: Path) -> None:
    needs(driver, "reconciliation", NO_RECONCILIATION)
    storage = {"driver": str(SQLITE), "file": str(tmp_path / "client.db")}
    alice = await driver.client(own_server.url, "alice", storage=storage)
    group = await alice.group(everyone="reader")
    # More than one batch of a hundred.
    notes = [await alice.create("map", group, {"n": n}) for n in range(120)]
    await alice.synced()
    await alice.close()
    await own_server.stop()
    own_server.lose_database()
    await own_server.start()
    # A new process of the same device: its memory is empty, its storage is not.
    again = await driver.client(own_server.url, account=alice.credentials, storage=storage)
    (early,) = await enter(driver, own_server, "early")
    assert await early.look(notes[0]) == {"type": "unavailable"}
    await again.reconcile()
    (fresh,) = await enter(driver, own_server, "fresh")
    assert await fresh.read_many(notes) == [{"n": n} for n in range(120)]
