"""Real Jazz clients, seen from Python: what a test may ask of them.

`Client` is a cojson client, `RawSocket` a bare websocket, `Worker` a jazz-tools server worker. Each
lives in a Node process (`Driver`), with an account and a socket of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.interop.driver_process import Driver


class ClientError(Exception):
    """A command failed inside a client; the text holds the reason and the last frames."""


@dataclass(frozen=True)
class _Actor:
    driver: Driver
    actor: str

    async def _do(self, command: str, **args: Any) -> Any:
        return await self.driver.request(self.actor, command, **args)

    async def close(self) -> None:
        """Leave the server and forget everything."""
        await self._do("close")


@dataclass(frozen=True)
class Client(_Actor):
    """A cojson client. Values, groups and accounts are named by their ids."""

    account: str
    secret: str

    @property
    def credentials(self) -> dict[str, str]:
        """What `Driver.client(account=...)` needs to be this user on another device."""
        return {"id": self.account, "secret": self.secret}

    # --- connection ---

    async def offline(self) -> None:
        """Close the socket and stay away."""
        await self._do("offline")

    async def online(self) -> None:
        """Connect again; returns when the server has spoken."""
        await self._do("online")

    async def connected(self) -> None:
        """Wait until the client's own reconnecting has succeeded."""
        await self._do("connected")

    async def disconnected(self) -> None:
        """Wait until the client has noticed that its socket is gone."""
        await self._do("disconnected")

    async def synced(self, timeout_ms: int = 20_000) -> None:
        """Wait until the server has acknowledged everything."""
        await self._do("synced", timeout=timeout_ms)

    async def synced_then_kill(self, pid: int) -> None:
        """As `synced`; SIGKILL to `pid` in the very tick, then stay offline."""
        await self._do("synced_then_kill", pid=pid)

    async def stored(self, value: str) -> None:
        """Wait until the client's own storage holds the value."""
        await self._do("stored", id=value)

    async def lose_next_content(self, value: str) -> None:
        """From now on the next content message about `value` gets lost on its way."""
        await self._do("lose_next_content", id=value)

    async def content_lost(self) -> None:
        """Wait until that has happened."""
        await self._do("content_lost")

    async def frames(self, about: str) -> list[str]:
        """The last messages that contain `about`, each with `> ` (sent) or `< ` before it."""
        frames: list[str] = await self._do("frames", about=about)
        return frames

    # --- groups ---

    async def group(self, everyone: str | None = None) -> str:
        """A new group of which this client is admin."""
        group: str = await self._do("create_group", everyone=everyone)
        return group

    async def add_member(self, group: str, account: str, role: str) -> None:
        """Give `account` (or "everyone") a role."""
        await self._do("add_member", group=group, account=account, role=role)

    async def remove_member(self, group: str, account: str) -> None:
        """Take the role away; the client also rotates the group's key."""
        await self._do("remove_member", group=group, account=account)

    async def role_of(self, group: str, account: str) -> str | None:
        """The role as this client judges it now, inherited ones included."""
        role: str | None = await self._do("role_of", group=group, account=account)
        return role

    async def wait_role(self, group: str, account: str, role: str | None) -> None:
        """Wait until this client sees `account` with exactly that role."""
        await self._do("wait_role", group=group, account=account, role=role)

    async def extend(self, group: str, parent: str, role: str | None = None) -> None:
        """Make `parent` a parent group, its members keeping their roles or getting `role`."""
        mapped = {} if role is None else {"role": role}
        await self._do("extend", group=group, parent=parent, **mapped)

    async def revoke_extend(self, group: str, parent: str) -> None:
        """Undo `extend`."""
        await self._do("revoke_extend", group=group, parent=parent)

    async def invite(self, group: str, role: str) -> str:
        """A secret with which anybody can join `group` as `role`."""
        secret: str = await self._do("create_invite", group=group, role=role)
        return secret

    async def accept_invite(self, group: str, secret: str) -> None:
        """Join."""
        await self._do("accept_invite", group=group, secret=secret)

    # --- values ---

    async def create(
        self, kind: str, group: str, init: Any = None, privacy: str = "private"
    ) -> str:
        """A new map, list, text, feed or file in `group`."""
        value: str = await self._do("create", type=kind, group=group, init=init, privacy=privacy)
        return value

    async def edit(self, value: str, op: str, **how: Any) -> Any:
        """Change a value; the operations are those of driver/editors.mjs."""
        return await self._do("edit", id=value, op=op, **how)

    async def set(self, value: str, **entries: Any) -> None:
        """Set entries of a map, each in a transaction of its own."""
        await self.edit(value, "set", entries=entries)

    async def write_on(self, value: str) -> None:
        """Append 0, 1, 2… to a list from now on, connected or not; one list at a time."""
        await self._do("write_on", id=value)

    async def stop_writing(self) -> int:
        """Stop that; returns how many it were."""
        count: int = await self._do("stop_writing")
        return count

    async def append(self, value: str, *items: Any) -> None:
        """Append to a list, each item in a transaction of its own."""
        await self.edit(value, "append", items=list(items))

    async def look(self, value: str) -> dict[str, Any]:
        """`{"type": ..., "value": ...}` now; type "unavailable" if the server lacks it."""
        seen: dict[str, Any] = await self._do("read", id=value)
        return seen

    async def read(self, value: str) -> Any:
        """What the value holds now."""
        return (await self.look(value))["value"]

    async def read_many(self, values: Sequence[str]) -> list[Any]:
        """As `read`, for all of them at once."""
        seen: list[dict[str, Any]] = await self._do("read_many", ids=list(values))
        return [one.get("value") for one in seen]

    async def wait(self, value: str, timeout_ms: int = 20_000, **until: Any) -> Any:
        """Wait until the value meets all of `until` (driver/snapshot.mjs): equals, length…"""
        seen = await self._do("wait", id=value, until=until, timeout=timeout_ms)
        return seen["value"]

    # --- what only some releases have ---

    async def branch(self, value: str, name: str) -> str:
        """Check out a branch of a value, making it if need be; returns the branch's id."""
        branch: str = await self._do("branch", id=value, name=name)
        return branch

    async def merge(self, branch: str) -> None:
        """Merge a branch into its source."""
        await self._do("merge", branch=branch)

    async def delete(self, value: str) -> None:
        """Delete a value for everybody (0.20, admins only)."""
        await self._do("delete", id=value)

    async def delete_anyway(self, value: str) -> None:
        """Say that a value is deleted without asking whether one may."""
        await self._do("delete_anyway", id=value)

    async def reconcile(self) -> None:
        """Compare the client's storage with the server, batch by batch (0.20.19)."""
        await self._do("reconcile")

    async def content_of(self, value: str) -> list[dict[str, Any]]:
        """The content messages with all this client has of a value."""
        content: list[dict[str, Any]] = await self._do("content_of", id=value)
        return content


@dataclass(frozen=True)
class RawSocket(_Actor):
    """A bare websocket: says what it is told."""

    async def say(self, message: Any) -> None:
        """Send a JSON value as one frame."""
        await self._do("send", message=message)

    async def say_text(self, frame: str) -> None:
        """Send a frame as it is."""
        await self._do("send", frame=frame)

    async def pinged(self) -> None:
        """Wait for the server's next ping."""
        await self._do("pinged")

    async def linger(self) -> None:
        """Say goodbye in websocket terms, but keep the TCP connection open."""
        await self._do("linger")

    async def answers(self, message: dict[str, Any]) -> bool:
        """Send `message`; wait for any message about its id, or for the end of the socket."""
        answered: bool = await self._do("answers", message=message)
        return answered

    async def expect(self, timeout_ms: int = 10_000, **match: Any) -> dict[str, Any]:
        """The first message not handed out before whose members equal those of `match`."""
        message: dict[str, Any] = await self._do("expect", match=match, timeout=timeout_ms)
        return message


@dataclass(frozen=True)
class Worker(_Actor):
    """A jazz-tools server worker, knowing one schema: a note with a text and tags."""

    async def create_note(self, text: str, tags: list[str], everyone: str) -> str:
        """A note in a new group open to everyone with that role; returns when it is synced."""
        note: str = await self._do("create_note", text=text, tags=tags, everyone=everyone)
        return note

    async def edit_note(self, note: str, text: str, tag: str) -> None:
        """Replace the text, add a tag; returns when it is synced."""
        await self._do("edit_note", id=note, text=text, tag=tag)

    async def read_note(self, note: str) -> dict[str, Any]:
        """The note as it is now."""
        seen: dict[str, Any] = await self._do("read_note", id=note)
        return seen

    async def wait_note(self, note: str, text: str, tag: str) -> dict[str, Any]:
        """Wait until the note says `text` and has `tag`."""
        seen: dict[str, Any] = await self._do("wait_note", id=note, text=text, tag=tag)
        return seen
