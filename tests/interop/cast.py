"""Who is on stage: several clients at once, each known to the server."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from tests.interop.client import ClientError

if TYPE_CHECKING:
    from tests.interop.client import Client
    from tests.interop.driver_process import Driver
    from tests.interop.server_process import ServerProcess


async def enter(driver: Driver, server: ServerProcess, *names: str) -> list[Client]:
    """A new client for each name, its account already on the server."""
    clients = [await driver.client(server.url, name) for name in names]
    for client in clients:
        await client.synced()
    return clients


async def second_device(driver: Driver, server: ServerProcess, user: Client) -> Client:
    """A fresh client with an existing account and an empty memory."""
    return await driver.client(server.url, account=user.credentials)


async def try_set(client: Client, value: str, **entries: object) -> None:
    """Set entries as somebody who may not: the client refuses or the others must."""
    with suppress(ClientError):
        await client.set(value, **entries)
    await client.synced()


async def try_add(client: Client, group: str, account: str, role: str) -> None:
    """Add a member as somebody who may not: the client refuses or the others must."""
    with suppress(ClientError):
        await client.add_member(group, account, role)
    await client.synced()
