"""FOUND BY THE SIMULATION: content of one sender that is dealt with in another order.

Each test failed when it was written; the seed is the one that found it.
"""

from __future__ import annotations

import pytest

from tests.integration.sync.stage import Band, known, stage
from tests.signing import Account, content, extend, group, set_role

pytestmark = pytest.mark.anyio


async def test_what_was_parked_is_taken_before_what_still_is() -> None:
    # Seed 9322. What was let go of was parked again, behind the later content of the same peer
    # that still waited for the parent: so that came first, and was lost.
    async with stage() as running:
        band, alice = Band(), running.client()
        account, members, _ = band.first()
        parent = group(band.account.id, unique="parent")
        roots = band.account.session("roots")
        root = roots.append(set_role(band.account.id, "admin", made_at=1))
        inherit = band.group_session.append(extend(parent.id, made_at=5))
        alice.send(members, content(band.group, {band.group_session.id: inherit}))
        await alice.take(2)
        await alice.upload(account)
        assert await alice.next() == known(band.group, {band.group_session.id: 1})
        alice.send(content(parent, {roots.id: root}, with_header=True))
        answers = await alice.take(2)
        assert known(band.group, {band.group_session.id: 2}) in answers


async def test_what_is_woken_twice_in_a_turn_keeps_its_order() -> None:
    # Seed 9322, too. The account and the parent arrive in one turn; what waited for the parent
    # was put ahead of what had waited for the account.
    async with stage() as running:
        band, alice = Band(), running.client()
        account, members, _ = band.first()
        guest = Account.named("guest")
        own = guest.agent.session()
        first = own.append(set_role(guest.agent.id, "admin", made_at=1))
        invitation = band.group_session.append(set_role(guest.id, "writer", made_at=5))
        alice.send(members, content(band.group, {band.group_session.id: invitation}))
        await alice.take(2)
        alice.send(account, content(guest, {own.id: first}, with_header=True))
        answers = await alice.take(3)
        assert known(band.group, {band.group_session.id: 2}) in answers


async def test_a_gap_that_is_closed_in_the_same_turn_is_corrected() -> None:
    # What closed the gap raised the count before the gap was looked for, and it was not noticed.
    async with stage() as running:
        band, alice, bob = Band(), running.client(), running.client()
        await alice.upload(*band.first())
        second, third = band.edit("a"), band.edit("b")
        bob.load(band.map.id)
        await bob.take(3)
        bob.send(third)
        alice.send(second)
        answer = await bob.next()
        while answer["action"] != "known":
            answer = await bob.next()
        assert answer == known(band.map, {band.session.id: 2}, isCorrection=True)


async def test_content_ahead_of_its_header_in_the_same_turn_is_corrected() -> None:
    # It was dealt with together with the header that another peer sent, and acknowledged away.
    async with stage() as running:
        band, alice, bob = Band(), running.client(), running.client()
        account, members, tune = band.first()
        await alice.upload(account, members)
        bob.send(band.edit("a"))
        alice.send(tune)
        answer = await bob.next()
        while answer["action"] != "known" or answer["id"] != band.map.id:
            answer = await bob.next()
        assert answer == known(band.map, {band.session.id: 1}, isCorrection=True)
