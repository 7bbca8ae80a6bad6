"""Groups: what each role can and cannot make others see, everyone, parents, removal of members."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.interop.cast import enter, second_device, try_add, try_set
from tests.interop.releases import not_applicable, version

if TYPE_CHECKING:
    from tests.interop.driver_process import Driver
    from tests.interop.server_process import ServerProcess

pytestmark = pytest.mark.anyio


@pytest.mark.scenario("role reader")
async def test_reader(driver: Driver, server: ServerProcess) -> None:
    alice, bob, carol = await enter(driver, server, "alice", "bob", "carol")
    group = await alice.group()
    note = await alice.create("map", group, {"by": "alice"})
    await alice.add_member(group, bob.account, "reader")
    await bob.wait(note, equals={"by": "alice"})
    await try_set(bob, note, by="bob", smuggled=True)
    # Carol, who is no member, may hold the value but read nothing of it.
    await carol.wait(note, equals={})
    await alice.set(note, last="word")
    fresh = await second_device(driver, server, alice)
    seen = await fresh.wait(note, includes={"last": "word"})
    assert seen == {"by": "alice", "last": "word"}
    assert await alice.read(note) == seen


@pytest.mark.scenario("role writer")
async def test_writer(driver: Driver, server: ServerProcess) -> None:
    alice, bob, carol = await enter(driver, server, "alice", "bob", "carol")
    group = await alice.group()
    note = await alice.create("map", group, {"by": "alice"})
    await alice.add_member(group, bob.account, "writer")
    await bob.wait(note, equals={"by": "alice"})
    await bob.set(note, by="bob")
    await alice.wait(note, equals={"by": "bob"})
    # A writer cannot let anybody in.
    await try_add(bob, group, carol.account, "reader")
    fresh = await second_device(driver, server, alice)
    assert await fresh.role_of(group, carol.account) is None
    await carol.wait(note, equals={})


@pytest.mark.scenario("role writeOnly")
async def test_write_only(driver: Driver, server: ServerProcess) -> None:
    alice, bob, carol = await enter(driver, server, "alice", "bob", "carol")
    group = await alice.group()
    box = await alice.create("map", group, {"from alice": "hidden"})
    for member in (bob, carol):
        await alice.add_member(group, member.account, "writeOnly")
        await member.wait_role(group, member.account, "writeOnly")
    await bob.set(box, bob="complaint")
    await carol.set(box, carol="praise")
    whole = {"from alice": "hidden", "bob": "complaint", "carol": "praise"}
    await alice.wait(box, equals=whole)
    await bob.synced()
    # Each sees what they wrote themselves, also on another device, and nothing else.
    phone = await second_device(driver, server, bob)
    await phone.wait(box, equals={"bob": "complaint"})


@pytest.mark.scenario("role admin")
async def test_admin(driver: Driver, server: ServerProcess) -> None:
    alice, bob, carol = await enter(driver, server, "alice", "bob", "carol")
    group = await alice.group()
    note = await alice.create("map", group, {"by": "alice"})
    await alice.add_member(group, bob.account, "admin")
    await bob.wait(note, equals={"by": "alice"})
    await bob.add_member(group, carol.account, "writer")
    await carol.wait(note, equals={"by": "alice"})
    await carol.set(note, by="carol")
    await alice.wait(note, equals={"by": "carol"})
    assert await alice.role_of(group, carol.account) == "writer"


@pytest.mark.scenario("role manager")
async def test_manager(driver: Driver, server: ServerProcess, release: str) -> None:
    if version(release) < (0, 18):
        not_applicable("no managers before 0.18")
    alice, bob, carol, dave = await enter(driver, server, "alice", "bob", "carol", "dave")
    group = await alice.group()
    note = await alice.create("map", group, {"by": "alice"})
    await alice.add_member(group, bob.account, "manager")
    await bob.wait(note, equals={"by": "alice"})
    await bob.add_member(group, carol.account, "writer")
    await carol.wait(note, equals={"by": "alice"})
    await carol.set(note, by="carol")
    await alice.wait(note, equals={"by": "carol"})
    # A manager lets people in, but cannot make anybody an admin.
    await try_add(bob, group, dave.account, "admin")
    fresh = await second_device(driver, server, alice)
    assert await fresh.role_of(group, carol.account) == "writer"
    assert await fresh.role_of(group, dave.account) is None


@pytest.mark.scenario("role for everyone")
async def test_everyone(driver: Driver, server: ServerProcess) -> None:
    alice, bob = await enter(driver, server, "alice", "bob")
    group = await alice.group()
    note = await alice.create("map", group, {"by": "alice"})
    await bob.wait(note, equals={})
    await alice.add_member(group, "everyone", "reader")
    await bob.wait(note, equals={"by": "alice"})
    await try_set(bob, note, smuggled=True)
    await alice.add_member(group, "everyone", "writer")
    await bob.wait_role(group, bob.account, "writer")
    await bob.set(note, by="bob")
    seen = await alice.wait(note, includes={"by": "bob"})
    assert "smuggled" not in seen


@pytest.mark.scenario("removed member cannot read on, others can")
async def test_removal(driver: Driver, server: ServerProcess) -> None:
    alice, bob, carol = await enter(driver, server, "alice", "bob", "carol")
    group = await alice.group()
    for member in (bob, carol):
        await alice.add_member(group, member.account, "writer")
    note = await alice.create("map", group, {"before": 1})
    await bob.wait(note, equals={"before": 1})
    await carol.wait(note, equals={"before": 1})

    await alice.remove_member(group, bob.account)
    await alice.set(note, after=2)
    # The marker is not encrypted: whoever sees it has received everything before it.
    await alice.edit(note, "set", entries={"marker": 3}, privacy="trusting")
    await carol.wait(note, equals={"before": 1, "after": 2, "marker": 3})
    seen = await bob.wait(note, includes={"marker": 3})
    assert "after" not in seen
    bobs_phone = await second_device(driver, server, bob)
    assert "after" not in await bobs_phone.wait(note, includes={"marker": 3})
    carols_phone = await second_device(driver, server, carol)
    await carols_phone.wait(note, equals={"before": 1, "after": 2, "marker": 3})

    await try_set(bob, note, intruder=True)
    await carol.set(note, still="here")
    await alice.wait(note, includes={"still": "here"})
    fresh = await second_device(driver, server, alice)
    seen = await fresh.wait(note, includes={"still": "here"})
    assert "intruder" not in seen


@pytest.mark.scenario("parent groups")
async def test_parents(driver: Driver, server: ServerProcess) -> None:
    alice, bob, carol = await enter(driver, server, "alice", "bob", "carol")
    band = await alice.group()
    await alice.add_member(band, bob.account, "writer")
    setlist_group, archive_group = await alice.group(), await alice.group()
    await alice.extend(setlist_group, band)
    await alice.extend(archive_group, band, "reader")
    setlist = await alice.create("map", setlist_group, {"opener": "So What"})
    archive = await alice.create("map", archive_group, {"1959": "Kind of Blue"})
    await bob.wait(setlist, equals={"opener": "So What"})
    await bob.wait(archive, equals={"1959": "Kind of Blue"})
    # Bob's role in the band carries over to the setlist, as a mere reader to the archive.
    await bob.set(setlist, closer="Blue in Green")
    await alice.wait(setlist, includes={"closer": "Blue in Green"})
    await try_set(bob, archive, smuggled=True)
    # Whoever joins the band later gets in as well.
    await alice.add_member(band, carol.account, "reader")
    await carol.wait(setlist, equals={"opener": "So What", "closer": "Blue in Green"})
    await carol.wait(archive, equals={"1959": "Kind of Blue"})
    await carol.wait_role(setlist_group, carol.account, "reader")


@pytest.mark.scenario("parent group taken away")
async def test_revoked_parent(driver: Driver, server: ServerProcess) -> None:
    alice, bob = await enter(driver, server, "alice", "bob")
    band, group = await alice.group(), await alice.group()
    await alice.add_member(band, bob.account, "reader")
    await alice.extend(group, band)
    note = await alice.create("map", group, {"before": 1})
    await bob.wait(note, equals={"before": 1})
    await alice.revoke_extend(group, band)
    await alice.set(note, after=2)
    await alice.edit(note, "set", entries={"marker": 3}, privacy="trusting")
    seen = await bob.wait(note, includes={"marker": 3})
    assert "after" not in seen
    await bob.wait_role(group, bob.account, None)
    fresh = await second_device(driver, server, alice)
    await fresh.wait(note, equals={"before": 1, "after": 2, "marker": 3})
