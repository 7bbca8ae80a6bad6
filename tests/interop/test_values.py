"""Every kind of value: written by one client, read and edited by another, both ways and live."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.interop.driver_process import Driver
    from tests.interop.server_process import ServerProcess

pytestmark = pytest.mark.anyio


@pytest.mark.scenario("maps, live both ways")
async def test_map(driver: Driver, server: ServerProcess) -> None:
    alice = await driver.client(server.url, "alice")
    bob = await driver.client(server.url, "bob")
    group = await alice.group(everyone="writer")
    note = await alice.create("map", group, {"title": "hello", "n": 1, "deep": {"a": [None, 1.5]}})
    assert await bob.wait(note, includes={"n": 1}) == {
        "title": "hello",
        "n": 1,
        "deep": {"a": [None, 1.5]},
    }
    await bob.set(note, title="from bob", added="ünïcode \u2028 \U0001f3ba")
    seen = await alice.wait(note, includes={"title": "from bob"})
    assert seen["added"] == "ünïcode \u2028 \U0001f3ba"
    await alice.edit(note, "unset", key="n")
    await alice.set(note, last=True)
    assert await bob.wait(note, includes={"last": True}) == {
        "title": "from bob",
        "added": "ünïcode \u2028 \U0001f3ba",
        "deep": {"a": [None, 1.5]},
        "last": True,
    }


@pytest.mark.scenario("maps, unencrypted")
async def test_trusting_map(driver: Driver, server: ServerProcess) -> None:
    alice = await driver.client(server.url, "alice")
    bob = await driver.client(server.url, "bob")
    group = await alice.group(everyone="writer")
    note = await alice.create("map", group, {"open": "yes"}, privacy="trusting")
    await bob.wait(note, equals={"open": "yes"})
    await bob.edit(note, "set", entries={"more": "too"}, privacy="trusting")
    await alice.wait(note, equals={"open": "yes", "more": "too"})


@pytest.mark.scenario("lists, live both ways")
async def test_list(driver: Driver, server: ServerProcess) -> None:
    alice = await driver.client(server.url, "alice")
    bob = await driver.client(server.url, "bob")
    group = await alice.group(everyone="writer")
    songs = await alice.create("list", group, ["a", "b", "c"])
    await bob.wait(songs, equals=["a", "b", "c"])
    await bob.append(songs, "d", {"e": 5})
    await alice.wait(songs, equals=["a", "b", "c", "d", {"e": 5}])
    await alice.edit(songs, "remove", at=1)
    await alice.edit(songs, "prepend", item="first")
    await bob.wait(songs, equals=["first", "a", "c", "d", {"e": 5}])


@pytest.mark.scenario("feeds, live both ways")
async def test_feed(driver: Driver, server: ServerProcess) -> None:
    alice = await driver.client(server.url, "alice")
    bob = await driver.client(server.url, "bob")
    group = await alice.group(everyone="writer")
    feed = await alice.create("feed", group, ["one", "two"])
    await bob.wait(feed, equals={alice.account: ["one", "two"]})
    await bob.edit(feed, "push", item={"three": 3})
    await alice.wait(feed, equals={alice.account: ["one", "two"], bob.account: [{"three": 3}]})


@pytest.mark.scenario("plain text, live both ways")
async def test_text(driver: Driver, server: ServerProcess) -> None:
    alice = await driver.client(server.url, "alice")
    bob = await driver.client(server.url, "bob")
    group = await alice.group(everyone="writer")
    text = await alice.create("text", group, "jazz is good")
    await bob.wait(text, equals="jazz is good")
    await bob.edit(text, "insert", at=8, text="very ")
    await alice.wait(text, equals="jazz is very good")
    await alice.edit(text, "erase", **{"from": 0, "to": 5})
    await bob.wait(text, equals="is very good")


@pytest.mark.scenario("binary file of 5 MB")
async def test_file(driver: Driver, server: ServerProcess) -> None:
    alice = await driver.client(server.url, "alice")
    live = await driver.client(server.url, "live")
    group = await alice.group(everyone="reader")
    file = await alice.create("file", group)
    size = 5 * 1024 * 1024
    digest = await alice.edit(file, "write_file", size=size)
    whole = {
        "mimeType": "application/octet-stream",
        "fileName": "file.bin",
        "finished": True,
        "size": size,
        "sha256": digest,
    }
    # One reader follows the upload, the other one comes when it is over.
    await live.wait(file, timeout_ms=60_000, equals=whole)
    await alice.synced(timeout_ms=60_000)
    fresh = await driver.client(server.url, "fresh")
    await fresh.wait(file, timeout_ms=60_000, equals=whole)


@pytest.mark.scenario("one transaction of 900 KB")
async def test_big_transaction(driver: Driver, server: ServerProcess) -> None:
    alice = await driver.client(server.url, "alice")
    live = await driver.client(server.url, "live")
    note = await alice.create("map", await alice.group(everyone="reader"), {"start": 0})
    await live.wait(note, equals={"start": 0})
    # From 0.18.28 on clients refuse to make a transaction of more than 1 MiB.
    big = "all blues " * 90_000
    await alice.set(note, big=big)
    await alice.set(note, end=1)
    await live.wait(note, equals={"start": 0, "big": big, "end": 1})
    await alice.synced()
    fresh = await driver.client(server.url, "fresh")
    await fresh.wait(note, equals={"start": 0, "big": big, "end": 1})


@pytest.mark.scenario("accounts: profile, root, second device")
async def test_account(driver: Driver, server: ServerProcess) -> None:
    alice = await driver.client(server.url, "alice")
    root = await alice.create("map", alice.account, {"secret plan": "rehearse"})
    await alice.set(alice.account, root=root)
    await alice.synced()
    bob = await driver.client(server.url, "bob")
    phone = await driver.client(server.url, account=alice.credentials)
    await phone.wait(root, equals={"secret plan": "rehearse"})
    await phone.set(root, seen="on the phone")
    await alice.wait(root, includes={"seen": "on the phone"})
    # Somebody else can load the account and the value in it, but not read what is private.
    assert await bob.read(root) == {}
