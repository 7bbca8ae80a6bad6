"""What somebody else, or nobody, signed; deletions and roles that nobody gave."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.transaction import MAX_MADE_AT
from tests.hostile.conftest import Besiege, Scale
from tests.hostile.raw import Message, Raw, connected
from tests.hostile.siege import MB, Siege
from tests.integration.sync.stage import Band, edit
from tests.signing import (
    Account,
    CoValue,
    Run,
    content,
    deletion,
    extend,
    group,
    owned_map,
    set_role,
    trusting,
)

pytestmark = pytest.mark.anyio


async def refused(under: Siege, raw: Raw, value: CoValue, message: bytes) -> Message:
    """The message is refused and counted; its sender is told what is held."""
    before = (await under.counters()).get("refused", 0)
    await raw.send(message)
    said = await raw.about(value.id)
    assert said["action"] == "known"
    assert (await under.counters())["refused"] == before + 1
    return said


async def test_signatures_that_do_not_hold(besiege: Besiege) -> None:
    async with (
        besiege("forged, replayed, cut, foreign signatures", bound=16 * MB) as under,
        connected(under.port) as raw,
    ):
        band, other = Band("alice"), Band("bob")
        for message in (*band.first(), *other.first()):
            await raw.send(message)
        while (await raw.about(other.map.id))["action"] != "known":
            pass
        good = band.session.append(edit("second"), edit("third"))
        wrong: dict[str, Run] = {
            "forged": good.with_flipped_signature(),
            "changed": good.with_changed_transaction(),
            "cut": good.without_last(),
            "turned round": good.reversed(),
            "replayed from another session": replace(good, signature=other.run("second").signature),
            "replayed at another place": replace(
                good, transactions=[*good.transactions, *good.transactions]
            ),
            "no signature": replace(good, signature="signature_z" + "1" * 64),
            "of a signature's other spelling": replace(
                good, signature="signature_z1" + good.signature[11:]
            ),
        }
        for kind, run in wrong.items():
            said = await refused(under, raw, band.map, content(band.map, {band.session.id: run}))
            assert said["sessions"] == {band.session.id: 1}, kind
        # The session as it was signed, in the name of another, or for another value.
        theirs = other.account.session("1").id.replace("session_z", "session_z2")
        said = await refused(
            under, raw, band.map, content(band.map, {theirs: replace(good, after=0)})
        )
        assert said["sessions"] == {band.session.id: 1}
        # None of it spoilt the session: what its author signed goes on.
        await raw.send(content(band.map, {band.session.id: good}))
        assert (await raw.about(band.map.id))["sessions"] == {band.session.id: 3}


async def test_headers_that_are_not_their_ids(besiege: Besiege, scale: Scale) -> None:
    count = scale(100, 10_000)
    async with (
        besiege("headers that are not their ids", bound=32 * MB) as under,
        connected(under.port) as raw,
    ):
        band = Band("alice")
        await raw.send(content(band.account, {}, with_header=True))
        await raw.about(band.account.id)
        for n in range(count):
            value = owned_map(band.account.id, unique=f"true {n}")
            lie = CoValue(value.header | {"createdAt": "2026-01-01"}, value.id, 3)
            await raw.send(content(lie, {}, with_header=True))
        await under.moved("refused", count)
        await raw.send({"action": "load", "id": value.id, "header": False, "sessions": {}})
        assert (await raw.about(value.id))["header"] is False


async def test_deletions_by_who_is_no_admin(besiege: Besiege) -> None:
    async with (
        besiege("deletions by who is no admin", bound=32 * MB) as under,
        connected(under.port) as raw,
    ):
        band, mallory = Band("alice"), Account.named("mallory")
        own = mallory.agent.session().append(set_role(mallory.agent.id, "admin", made_at=1))
        for message in (
            *band.first(),
            content(mallory, {mallory.agent.session().id: own}, with_header=True),
        ):
            await raw.send(message)
        await raw.about(mallory.id)
        roles = band.group_session.append(set_role(mallory.id, "writer", made_at=1000))
        await raw.send(content(band.group, {band.group_session.id: roles}))
        await raw.about(band.group.id)
        for at in (0, 1, 2, 999, 1000, MAX_MADE_AT):
            gone = mallory.delete_session(str(at))
            run = gone.append(deletion(band.map.id, made_at=at))
            said = await refused(under, raw, band.map, content(band.map, {gone.id: run}))
            assert said["sessions"] == {band.session.id: 1}, at
        # A group cannot be deleted at all, a value not by a marker for another one.
        admin = band.account.delete_session()
        for value, marked in ((band.group, band.group), (band.map, band.group)):
            run = replace(admin, count=0).append(deletion(marked.id, made_at=5))
            await refused(under, raw, value, content(value, {admin.id: run}))
        await raw.send(band.edit("still there"))
        while (await raw.about(band.map.id)).get("sessions") != {band.session.id: 2}:
            pass


async def test_roles_that_nobody_gave(besiege: Besiege) -> None:
    async with (
        besiege("roles that nobody gave", bound=32 * MB) as under,
        connected(under.port) as raw,
    ):
        band, mallory = Band("alice"), Account.named("mallory")
        own = mallory.agent.session().append(set_role(mallory.agent.id, "admin", made_at=1))
        mine = group(mallory.id, unique="mallory's own")
        first = mallory.session("own").append(set_role(mallory.id, "admin", made_at=1))
        for message in (
            *band.first(),
            content(mallory, {mallory.agent.session().id: own}, with_header=True),
            content(mine, {mallory.session("own").id: first}, with_header=True),
        ):
            await raw.send(message)
        await raw.about(mine.id)
        # All of it is signed and stored: who reads it decides what it means. It means nothing.
        session = mallory.session("tricks")
        tricks = session.append(
            set_role(mallory.id, "admin", made_at=0),
            set_role(mallory.id, "admin", made_at=MAX_MADE_AT),
            set_role("everyone", "admin", made_at=3),
            set_role(mallory.id, "adminInvite", made_at=3),
            extend(mine.id, made_at=3),
            extend(mine.id, made_at=3, mapping="admin"),
            extend(band.group.id, made_at=3),
            trusting([{"op": "del", "key": band.account.id}], made_at=3),
            trusting("not JSON", made_at=3),
            trusting([{"op": "set", "key": mallory.id, "value": ["admin"]}], made_at=3),
        )
        await raw.send(content(band.group, {session.id: tricks}))
        while session.id not in (await raw.about(band.group.id)).get("sessions", {}):
            pass
        for at in (4, MAX_MADE_AT):
            gone = mallory.delete_session(f"trick {at}")
            run = gone.append(deletion(band.map.id, made_at=at))
            said = await refused(under, raw, band.map, content(band.map, {gone.id: run}))
            assert said["sessions"] == {band.session.id: 1}
        # The real admin still may, far in the future, too.
        gone = band.account.delete_session()
        run = gone.append(deletion(band.map.id, made_at=MAX_MADE_AT))
        await raw.send(content(band.map, {gone.id: run}))
        while gone.id not in (await raw.about(band.map.id)).get("sessions", {}):
            pass


async def test_deletions_judged_over_a_long_history(besiege: Besiege, scale: Scale) -> None:
    count, attempts = scale(5_000, 50_000), scale(5, 20)
    async with (
        besiege("deletions judged over a long history", bound=200 * MB) as under,
        connected(under.port) as raw,
    ):
        band, mallory = Band("alice"), Account.named("mallory")
        own = mallory.agent.session().append(set_role(mallory.agent.id, "admin", made_at=1))
        for message in (
            *band.first(),
            content(mallory, {mallory.agent.session().id: own}, with_header=True),
        ):
            await raw.send(message)
        await raw.about(mallory.id)
        session = mallory.session("long")
        for at in range(0, count, 500):
            run = session.append(
                *[set_role(mallory.id, "admin", made_at=n) for n in range(at, at + 500)]
            )
            await raw.send(content(band.group, {session.id: run}))
        while (await raw.about(band.group.id)).get("sessions", {}).get(session.id) != count:
            pass
        for n in range(attempts):
            gone = mallory.delete_session(f"attempt {n}")
            run = gone.append(deletion(band.map.id, made_at=count))
            said = await refused(under, raw, band.map, content(band.map, {gone.id: run}))
            assert said["sessions"] == {band.session.id: 1}


async def test_transactions_that_some_jazz_would_refuse(besiege: Besiege) -> None:
    async with (
        besiege("transactions that some Jazz refuses", bound=32 * MB) as under,
        connected(under.port) as raw,
    ):
        band = Band("alice")
        for message in band.first():
            await raw.send(message)
        while (await raw.about(band.map.id))["action"] != "known":
            pass
        plain = edit("second")
        text = '[{"op":"set","key":"k","value":"\\ud800"}]'
        wrong: dict[str, Message] = {
            "madeAt past every double": plain | {"madeAt": MAX_MADE_AT + 1},
            "madeAt before 1970": plain | {"madeAt": -1},
            "a fraction of a millisecond": plain | {"madeAt": 1.5},
            "a huge madeAt": plain | {"madeAt": 10**300},
            "madeAt that is no number": plain | {"madeAt": "1"},
            "a lone surrogate": plain | {"changes": text},
            "another member": plain | {"more": 1},
            "a meta that is null": plain | {"meta": None},
            "no changes": {"privacy": "trusting", "madeAt": 3},
            "changes that are no text": plain | {"changes": [{"op": "set"}]},
            "members of both kinds": plain | {"encryptedChanges": "encrypted_Ux"},
            "text that Jazz writes unescaped": plain | {"changes": 'encrypted_U"'},
            "another privacy": plain | {"privacy": "public"},
        }
        run = band.session.append(plain)
        for kind, transaction in wrong.items():
            message = content(band.map, {band.session.id: replace(run, transactions=[transaction])})
            said = await refused(under, raw, band.map, message)
            assert said["sessions"] == {band.session.id: 1}, kind
        await raw.send(content(band.map, {band.session.id: run}))
        assert (await raw.about(band.map.id))["sessions"] == {band.session.id: 2}
