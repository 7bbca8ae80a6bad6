"""Deletion: admins only, for good, and old clients are kept quiet."""

from __future__ import annotations

import pytest

from server.store.memory import MemoryStore
from tests.integration.sync.stage import Band, Client, edit, known, stage
from tests.signing import Account, Run, content, deletion, extend, group, owned_map, set_role

pytestmark = pytest.mark.anyio


async def join(client: Client, band: Band, name: str, role: str) -> Account:
    """An account that is a member of the band."""
    account = Account.named(name)
    own = account.agent.session()
    first = own.append(set_role(account.agent.id, "admin", made_at=1))
    run = band.group_session.append(set_role(account.id, role, made_at=10))
    await client.upload(
        content(account, {own.id: first}, with_header=True),
        content(band.group, {band.group_session.id: run}),
    )
    return account


def delete(band: Band, account: Account, *, made_at: int = 20) -> tuple[str, Run]:
    """A delete session of the band's map."""
    log = account.delete_session()
    return log.id, log.append(deletion(band.map.id, made_at=made_at))


async def test_an_admin_deletes_and_everybody_gets_the_tombstone_only() -> None:
    async with stage() as running:
        band, alice, bob, late = Band(), *[running.client() for _ in range(3)]
        await alice.upload(*band.first())
        bob.load(band.map.id)
        await bob.take(3)
        session, marker = delete(band, band.account)
        alice.send(content(band.map, {session: marker}))
        # The sender is told that all it ever sent is held, or it would send it again for ever.
        assert await alice.next() == known(band.map, {session: 1, band.session.id: 1})
        relayed = await bob.next()
        assert relayed["new"].keys() == {session}
        late.load(band.map.id)
        got = await late.take(3)
        assert got[2]["header"] == band.map.header
        assert got[2]["new"].keys() == {session}
        stored = (await running.store.load([band.map.id]))[band.map.id]
        assert stored.deleted
        assert stored.sessions == {session: 1}


async def test_content_for_a_tombstone_is_acknowledged_and_dropped() -> None:
    async with stage() as running:
        band, alice, old = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        session, marker = delete(band, band.account)
        await alice.upload(content(band.map, {session: marker}))
        old.load(band.map.id, {band.session.id: 5, session: 1})
        got = [m for m in await old.take(3) if m["id"] == band.map.id]
        assert got == [known(band.map, {band.session.id: 5, session: 1})]
        late = band.account.session("late")
        old.send(content(band.map, {late.id: late.append(edit(1), edit(2))}))
        assert await old.next() == known(band.map, {band.session.id: 5, session: 1, late.id: 2})
        old.load(band.map.id, {late.id: 2})
        answer = await old.next()
        assert answer["new"].keys() == {session}
        stored = (await running.store.load([band.map.id]))[band.map.id]
        assert stored.sessions == {session: 1}


@pytest.mark.parametrize("role", ["manager", "writer", "reader", "writeOnly", "adminInvite", None])
async def test_who_is_no_admin_cannot_delete(role: str | None) -> None:
    async with stage() as running:
        band, alice, mallory = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        member = await join(alice, band, "member", role or "revoked")
        mallory.load(band.map.id)
        await mallory.take(4)
        session, marker = delete(band, member)
        mallory.send(content(band.map, {session: marker}))
        assert await mallory.next() == known(band.map, {band.session.id: 1})
        alice.send(band.edit("still here"))
        assert (await mallory.next())["new"][band.session.id]["after"] == 1


async def test_the_role_counts_at_the_time_of_the_deletion() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first())
        admin = await join(alice, band, "late admin", "admin")
        session, too_early = delete(band, admin, made_at=9)
        alice.send(content(band.map, {session: too_early}))
        assert await alice.next() == known(band.map, {band.session.id: 1})
        session, in_time = delete(band, admin, made_at=10)
        alice.send(content(band.map, {session: in_time}))
        assert (await alice.next())["sessions"][session] == 1


async def test_an_admin_of_a_parent_group_may_delete() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first())
        boss = Account.named("boss")
        own, members = boss.agent.session(), boss.session()
        parent = group(boss.id, unique="parent")
        await alice.upload(
            content(
                boss,
                {own.id: own.append(set_role(boss.agent.id, "admin", made_at=1))},
                with_header=True,
            ),
            content(
                parent,
                {members.id: members.append(set_role(boss.id, "admin", made_at=2))},
                with_header=True,
            ),
        )
        inherit = band.group_session.append(extend(parent.id, made_at=5))
        await alice.upload(content(band.group, {band.group_session.id: inherit}))
        session, marker = delete(band, boss)
        alice.send(content(band.map, {session: marker}))
        assert (await alice.next())["sessions"][session] == 1


async def test_a_marker_for_something_else_or_with_more_deletes_nothing() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first())
        other = owned_map(band.group.id, unique="other")
        for bad in (
            [deletion(other.id, made_at=20)],
            [deletion(band.map.id, made_at=20), deletion(band.map.id, made_at=20)],
            [edit("no marker")],
        ):
            log = band.account.delete_session()
            alice.send(content(band.map, {log.id: log.append(*bad)}))
            assert await alice.next() == known(band.map, {band.session.id: 1})


async def test_groups_and_accounts_cannot_be_deleted() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first())
        for value, session in (
            (band.group, band.group_session),
            (band.account, band.account_session),
        ):
            log = band.account.delete_session()
            run = log.append(deletion(value.id, made_at=20))
            alice.send(content(value, {log.id: run}))
            assert await alice.next() == known(value, {session.id: 1})


async def test_a_tombstone_survives_a_restart() -> None:
    store = MemoryStore()
    band = Band()
    session, marker = delete(band, band.account)
    async with stage(store) as running:
        alice = running.client()
        await alice.upload(*band.first())
        await alice.upload(content(band.map, {session: marker}))
    async with stage(store) as running:
        alice, bob = running.client(), running.client()
        alice.load(band.map.id, {band.session.id: 1})
        got = [m for m in await alice.take(3) if m["id"] == band.map.id]
        assert got[0]["new"].keys() == {session}
        alice.send(band.edit("too late"))
        assert (await alice.next())["sessions"][band.session.id] == 2
        bob.load(band.map.id)
        assert (await bob.take(3))[2]["new"].keys() == {session}


async def test_a_second_admin_may_delete_again() -> None:
    async with stage() as running:
        band, alice = Band(), running.client()
        await alice.upload(*band.first())
        admin = await join(alice, band, "admin too", "admin")
        for account in (band.account, admin):
            session, marker = delete(band, account)
            alice.send(content(band.map, {session: marker}))
            assert (await alice.next())["sessions"][session] == 1
        stored = (await running.store.load([band.map.id]))[band.map.id]
        assert len(stored.sessions) == 2
