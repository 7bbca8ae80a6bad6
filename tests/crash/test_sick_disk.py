"""A disk that is full, broken, read-only or slow for a while, below a whole server.

No acknowledgement leaves before what it covers is durable; those who only read, and relays between
those who write, go on; `/ready` says so; it recovers by itself.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

import anyio
import pytest
from websockets.exceptions import ConnectionClosed

from server import readiness
from tests.crash.disk import Disk, put
from tests.crash.history import content_of
from tests.crash.shim import FULL, IOERR_FSYNC, IOERR_READ, IOERR_WRITE, READONLY, Kind, Shim
from tests.crash.sick import Here, serving_here, sick
from tests.integration.operations.talk import Message, Talk, talking
from tests.integration.sync.stage import Band, known
from tests.signing import Run, content, owned_map

pytestmark = pytest.mark.anyio

ILLNESSES: Final[Mapping[str, Mapping[Kind, int]]] = {
    "full": {"write": FULL},
    "full, noticed late": {"sync": FULL},
    "broken": {"write": IOERR_WRITE},
    "broken, noticed late": {"sync": IOERR_FSYNC},
    "read-only": {"write": READONLY, "truncate": READONLY, "delete": READONLY},
    "hanging": {"sync": 0},
}
EDITS: Final = 60
SIZE: Final = 20_000
SOCKET_READ: Final = 256 * 1024
ABSENT: Final = "co_z" + "1" * 19


async def nothing_was_told(peer: Talk) -> None:
    """Assert that nothing waits for the peer: the answer to its question comes next."""
    await peer.send({"action": "load", "id": ABSENT, "header": False, "sessions": {}})
    answer = {"action": "known", "id": ABSENT, "header": False, "sessions": {}}
    assert await peer.next() == answer


async def count_of(here: Here, band: Band) -> int:
    """How many transactions of the band's map a new client gets."""
    async with talking(here.url) as peer:
        message = await peer.load(band.map.id)
        expected: int = message.get("expectContentUntil", {}).get(band.session.id, 0)
        count = 0
        while True:
            part = message["new"][band.session.id]
            assert part["after"] == count
            count += len(part["newTransactions"])
            if count >= expected:
                return count
            message = await peer.next()


@pytest.mark.parametrize("illness", ILLNESSES)
async def test_acknowledgements_wait_and_everything_else_goes_on(
    tmp_path: Path, shim: Shim, monkeypatch: pytest.MonkeyPatch, illness: str
) -> None:
    monkeypatch.setattr(readiness, "SLOW_S", 0.1)
    band, other = Band(), Band("other")
    folder = tmp_path / "written"
    folder.mkdir()
    async with (
        serving_here(folder / "band.db", ping_seconds=0.05) as here,
        talking(here.url) as alice,
        talking(here.url) as bob,
    ):
        await alice.upload(*band.first(), *other.first())
        await bob.load(band.map.id)
        with sick(shim, ILLNESSES[illness]) as disk:
            await alice.send(band.edit("second"))
            await disk.struck.wait()
            await here.becomes("store")
            # It is relayed, and what is durable can be had, also by who asks for more than that.
            assert_is_edit(await bob.next(), band, 1)
            async with talking(here.url) as carol:
                await carol.send(load(band.map.id), load(other.map.id))
                while (await carol.next())["id"] != other.map.id:
                    pass
                await carol.pinged()
            await nothing_was_told(alice)
            assert await here.ready() == "store"
        assert await alice.next() == known(band.map, {band.session.id: 2})
        told = len(shim.record)
        await here.becomes("ready")
        assert await count_of(here, band) == 2
    # What was told is on the disk, and a sync that failed is not taken for one that did not.
    chance = random.Random(illness)
    record = Disk(shim.record, {})
    record.advance(told)
    for _ in range(20):
        put(tmp_path / "found", record.crash(chance))
        content = await content_of(tmp_path / "found" / "band.db")
        assert content[band.map.id].sessions[band.session.id].count == 2


def load(covalue: str) -> Message:
    """A `load` by who holds nothing."""
    return {"action": "load", "id": covalue, "header": False, "sessions": {}}


def assert_is_edit(message: Message, band: Band, index: int) -> None:
    """Assert that it is one edit of the band's map."""
    assert message["action"] == "content"
    part = message["new"][band.session.id]
    assert (part["after"], len(part["newTransactions"])) == (index, 1)


async def test_who_only_asks_waits_for_a_disk_that_cannot_be_read(
    tmp_path: Path, shim: Shim
) -> None:
    band = Band()
    file = tmp_path / "band.db"
    async with serving_here(file) as here, talking(here.url) as alice:
        await alice.upload(*band.first())
    async with serving_here(file, ping_seconds=0.05) as here, talking(here.url) as alice:
        with sick(shim, {"read": IOERR_READ}) as disk:
            await alice.send(load(band.map.id))
            await disk.struck.wait()
            await here.becomes("store")
            await alice.pinged()
        await here.becomes("ready")
        while (message := await alice.next())["id"] != band.map.id:
            pass
        assert_is_edit(message, band, 0)


async def test_a_bad_sector_withholds_what_is_in_it_and_nothing_else(
    tmp_path: Path, shim: Shim
) -> None:
    band = Band()
    file = tmp_path / "band.db"
    async with serving_here(file) as here, talking(here.url) as alice:
        await alice.upload(*band.first())
        maps = [owned_map(band.group.id, unique=str(n)) for n in range(40)]
        await alice.upload(*[content(each, {}, with_header=True) for each in maps])
    # The header of the last one, far from what it depends on.
    bad = file.read_bytes().index(str(maps[-1].header["uniqueness"]).encode())
    async with serving_here(file) as here, talking(here.url) as alice:
        with sick(shim, {"read": IOERR_READ}, bad=bad) as disk:
            await alice.send(*[load(each.id) for each in reversed(maps)])
            await disk.struck.wait()
            async with talking(here.url) as bob:
                assert (await bob.load(band.map.id))["action"] == "content"
            assert await here.ready() == "store"
        await here.becomes("ready")
        wanted = {each.id for each in maps}
        while wanted:
            wanted.discard((await alice.next())["id"])


async def test_memory_stays_bounded_and_who_was_cut_off_finds_everything(
    tmp_path: Path, shim: Shim
) -> None:
    bands = [Band(name) for name in "abcdef"]
    limits = {"held_bytes": 100_000, "total_held_bytes": 300_000, "ping_seconds": 0.05}
    firsts = [band.first() for band in bands]
    runs = [[band.run("x" * SIZE) for _ in range(EDITS)] for band in bands]
    async with serving_here(tmp_path / "band.db", **limits) as here:
        async with AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(talking(here.url)) for _ in bands]
            for peer, first in zip(peers, firsts, strict=True):
                await peer.upload(*first)
            with sick(shim, {"sync": FULL}) as disk:
                async with anyio.create_task_group() as tasks:
                    for peer, band, made in zip(peers, bands, runs, strict=True):
                        tasks.start_soon(send_all, peer, band, made)
                    await disk.struck.wait()
                    inside = here.gateway.peers()
                    with anyio.fail_after(20):
                        while not all(peer.throttled for peer in inside):  # noqa: ASYNC110
                            await anyio.sleep(0.02)
                    held = sum(peer.held_bytes for peer in inside)
                    # Each may bring what one read of its socket gives too much.
                    assert held < limits["total_held_bytes"] + len(bands) * SOCKET_READ
                    assert held < len(bands) * EDITS * SIZE / 2
                    for peer in peers[:3]:
                        peer.socket.transport.abort()
                    with anyio.fail_after(20):
                        while here.node.peers > 3:  # noqa: ASYNC110
                            await anyio.sleep(0.02)
                    disk.heal()
            for peer, band in zip(peers[3:], bands[3:], strict=True):
                while await told(peer, band) != {band.session.id: 1 + EDITS}:
                    pass
        await here.becomes("ready")
        for band, made in zip(bands[:3], runs, strict=False):
            # It comes back, sends what has not arrived, and has it all.
            async with talking(here.url) as peer:
                sessions = {band.session.id: 1 + EDITS}
                await peer.send(load(band.map.id) | {"header": True, "sessions": sessions})
                count = (await told(peer, band))[band.session.id]
                assert 1 < count < 1 + EDITS
                await send_all(peer, band, made[count - 1 :])
                while await told(peer, band) != sessions:
                    pass
            assert await count_of(here, band) == 1 + EDITS


async def told(peer: Talk, band: Band) -> dict[str, int]:
    """What the server next says that it holds of the band's map."""
    while (message := await peer.next())["action"] != "known" or message["id"] != band.map.id:
        pass
    sessions: dict[str, int] = message["sessions"]
    return sessions


async def send_all(peer: Talk, band: Band, runs: list[Run]) -> None:
    """Send edits of the band's map, until the connection ends."""
    with suppress(ConnectionClosed):
        for run in runs:
            await peer.send(content(band.map, {band.session.id: run}))


async def test_an_unreadable_sector_cannot_kill_the_process(tmp_path: Path) -> None:
    band = Band()
    file = tmp_path / "band.db"
    async with serving_here(file) as here, talking(here.url) as alice:
        await alice.upload(*band.first())
    async with serving_here(file) as here:
        assert await count_of(here, band) == 1
        # In a mapped file it would be a signal, not an error. The `-shm` file has to be mapped.
        assert f"{file}-shm" in mapped_files()
        assert str(file) not in mapped_files()


def mapped_files() -> set[str]:
    """The files that this process has mapped into its memory."""
    return set(Path("/proc/self/maps").read_text().split())
