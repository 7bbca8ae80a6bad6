"""Invites of each kind: a secret lets a stranger join with exactly that role."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.interop.cast import enter, second_device
from tests.interop.releases import not_applicable, version

if TYPE_CHECKING:
    from tests.interop.driver_process import Driver
    from tests.interop.server_process import ServerProcess

pytestmark = pytest.mark.anyio


@pytest.mark.scenario("invite as {role}")
@pytest.mark.parametrize("role", ["reader", "writer", "writeOnly", "admin", "manager"])
async def test_invite(driver: Driver, server: ServerProcess, release: str, role: str) -> None:
    if role == "manager" and version(release) < (0, 18):
        not_applicable("no managers before 0.18")
    alice, bob = await enter(driver, server, "alice", "bob")
    group = await alice.group()
    note = await alice.create("map", group, {"by": "alice"})
    secret = await alice.invite(group, role)
    await alice.synced()

    await bob.accept_invite(group, secret)
    await alice.wait_role(group, bob.account, role)
    if role == "writeOnly":
        await bob.set(note, bob="was here")
        await alice.wait(note, includes={"bob": "was here"})
        return
    await bob.wait(note, equals={"by": "alice"})
    phone = await second_device(driver, server, bob)
    await phone.wait(note, equals={"by": "alice"})
    if role != "reader":
        await phone.set(note, by="bob")
        await alice.wait(note, equals={"by": "bob"})


@pytest.mark.scenario("invite used twice, one guest removed")
async def test_invite_is_not_used_up(driver: Driver, server: ServerProcess) -> None:
    alice, bob, carol = await enter(driver, server, "alice", "bob", "carol")
    group = await alice.group()
    note = await alice.create("map", group, {"by": "alice"})
    secret = await alice.invite(group, "writer")
    await alice.synced()
    await bob.accept_invite(group, secret)
    await alice.wait_role(group, bob.account, "writer")
    await alice.remove_member(group, bob.account)
    await alice.wait_role(group, bob.account, None)
    await alice.set(note, after=1)
    # The same secret still works for others: an invite is not used up.
    await carol.accept_invite(group, secret)
    await carol.wait(note, equals={"by": "alice", "after": 1})
