"""Jazz's documented flow for Clerk, through a server that lets in nobody without a live token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import connect

from tests.interop.auth.knock import SUBPROTOCOL, admits, token_dies
from tests.interop.auth.stage import User

if TYPE_CHECKING:
    from tests.interop.auth.frontend import Frontend
    from tests.interop.auth.stage import Actor, Stage
    from tests.interop.server_process import ServerProcess

pytestmark = pytest.mark.anyio

SHORT_S = 2.5
"""The life of tokens that a test wants to see dead."""


async def test_second_device(stage: Stage, frontend: Frontend) -> None:
    """Sign up on one device, log in on another, read what the first one wrote."""
    user = User("user_second_device")
    phone, laptop = await stage.device(), await stage.device()
    account = await phone.sign_in(user, frontend.start_session(user.id))
    assert user.metadata["jazzAccountID"] == account
    note = await phone.create_note("from the phone", ["one"], everyone="")

    assert await laptop.sign_in(user, frontend.start_session(user.id)) == account
    # Private data: only this user's keys, which came by Clerk's metadata, open it.
    assert await laptop.read_note(note) == {"text": "from the phone", "tags": ["one"]}
    await laptop.edit_note(note, "from the laptop", "two")
    await phone.wait_note(note, "from the laptop", "two")


async def test_offline(stage: Stage, frontend: Frontend) -> None:
    """Offline for longer than a token lives, edits on both sides, and back."""
    user = User("user_offline")
    phone, laptop = await stage.device(), await stage.device()
    await phone.sign_in(user, frontend.start_session(user.id, SHORT_S))
    note = await phone.create_note("start", ["start"], everyone="")
    await laptop.sign_in(user, frontend.start_session(user.id, SHORT_S))
    assert await laptop.read_note(note) == {"text": "start", "tags": ["start"]}

    before = frontend.minted[-1]
    await offline_edits(note, phone, laptop)
    await token_dies(stage.url, before)
    await come_back(note, phone, laptop)
    assert not await admits(stage.url, before)
    printed = await phone.printed() + await laptop.printed()
    assert not any(token in printed for token in frontend.minted)


async def test_worker(stage: Stage, frontend: Frontend) -> None:
    """The same for a server worker, which has no Clerk user but a key of its own."""
    user = User("user_worker")
    phone, worker = await stage.device(), await stage.worker()
    await phone.sign_in(user, frontend.start_session(user.id, SHORT_S))
    note = await phone.create_note("start", ["start"], everyone="writer")
    assert await worker.read_note(note) == {"text": "start", "tags": ["start"]}

    before = frontend.minted[-1]
    await offline_edits(note, phone, worker)
    await token_dies(stage.url, before)
    await come_back(note, phone, worker)


async def test_refused(stage: Stage, frontend: Frontend) -> None:
    """A client whose session ended keeps what it has, and is synced when it signs in again."""
    user = User("user_refused")
    phone, laptop = await stage.device(), await stage.device()
    await phone.sign_in(user, sid := frontend.start_session(user.id))
    note = await phone.create_note("start", ["start"], everyone="")
    await laptop.sign_in(user, frontend.start_session(user.id))
    assert await laptop.read_note(note) == {"text": "start", "tags": ["start"]}

    frontend.end_session(sid)
    await phone.network_fails()
    await phone.edit_offline(note, "while refused", "kept")
    await phone.network_returns()
    await phone.refused()
    assert await phone.read_note(note) == {"text": "while refused", "tags": ["start", "kept"]}
    assert await laptop.read_note(note) == {"text": "start", "tags": ["start"]}

    await phone.renew(frontend.start_session(user.id))
    await laptop.wait_note(note, "while refused", "kept")


async def test_nobody_else(stage: Stage, frontend: Frontend) -> None:
    """The server of these tests does refuse: else they would prove nothing."""
    token = frontend.mint(frontend.start_session("user_nobody"))
    assert token is not None
    assert await admits(stage.url, token)
    assert not await admits(stage.url, None)
    assert not await admits(stage.url, token[:-8] + "AAAAAAAA")


async def test_open_server(server: ServerProcess) -> None:
    """A server that asks nobody for anything answers the pair, too: else browsers would hang up."""
    offered: Any = [SUBPROTOCOL, "some.token.here"]
    async with connect(server.url, subprotocols=offered) as socket:
        assert socket.subprotocol == SUBPROTOCOL


async def offline_edits(note: str, one: Actor, other: Actor) -> None:
    """Both lose the network and go on working."""
    for client, name in ((one, "one"), (other, "other")):
        await client.network_fails()
        await client.edit_offline(note, name, name)
        assert (await client.read_note(note))["text"] == name


async def come_back(note: str, one: Actor, other: Actor) -> None:
    """Both have a network again; they end with the same note, which has the edits of both."""
    for client in (one, other):
        await client.network_returns()
        await client.connected()
    await one.wait_tags(note, "start", "one", "other")
    await other.wait_tags(note, "start", "one", "other")
    assert await one.read_note(note) == await other.read_note(note)
