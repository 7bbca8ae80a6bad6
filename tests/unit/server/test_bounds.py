"""The parts that bound what peers may do, by themselves."""

from __future__ import annotations

import pytest

from protocol.errors import InvalidHeader
from protocol.frames import sliced_frame
from protocol.header import parse_header
from protocol.messages import Content, decode_message, split_content
from server.crowd import Crowd
from server.outbox import CONTROL, Outbox, Outboxes
from server.slices import Slices
from server.subscription import Subscription, sensible
from tests.signing import owned_map


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_slices_hold_every_line_whole(limit: int) -> None:
    frame = b"a\nbb\n\nccccccccc\nd\n" * 3
    slices = list(sliced_frame(frame, limit))
    assert b"\n".join(slices) == frame
    longest = max(map(len, frame.split(b"\n")))
    assert all(len(part) <= max(limit, longest) for part in slices)


def test_a_split_message_says_the_same() -> None:
    new = ",".join(f'"s{n}":{{"after":{n}}}' for n in range(10))
    message = decode_message(
        b'{"action":"content","id":"x","header":{"a":1},"new":{%b}}' % new.encode()
    )
    assert isinstance(message, Content)
    parts = split_content(message, 4)
    assert [len(part.new) for part in parts] == [4, 4, 2]
    assert {s: bytes(raw) for part in parts for s, raw in part.new.items()} == {
        s: bytes(raw) for s, raw in message.new.items()
    }
    assert all(part.id == "x" and part.header == message.header for part in parts)


def test_an_ipv6_household_is_one_address_and_proxies_are_none() -> None:
    crowd = Crowd(10, 2, "10.0.0.0/8 ::1")
    assert crowd.enter("a", "2001:db8::1") is None
    assert crowd.enter("b", "2001:db8::ffff") is None
    assert crowd.enter("c", "2001:db8::2") == "address_full"
    assert crowd.enter("c", "2001:db8:0:1::2") is None
    for name in "defg":
        assert crowd.enter(name, "10.1.2.3") is None
    assert crowd.name("d", "10.1.2.3", ["203.0.113.1"])
    assert crowd.name("e", "10.1.2.3", ["203.0.113.1"])
    assert not crowd.name("f", "10.1.2.3", ["203.0.113.1"])
    assert crowd.name("f", "10.1.2.3", ["203.0.113.1, 10.9.9.9, 203.0.113.2"])
    crowd.leave("d")
    assert crowd.name("g", "10.1.2.3", ["203.0.113.1"])
    assert len(crowd) == 6


def test_a_full_server_lets_nobody_in_until_somebody_leaves() -> None:
    crowd = Crowd(1, 0, "")
    assert crowd.enter("a", "192.0.2.1") is None
    assert crowd.enter("b", "192.0.2.2") == "server_full"
    crowd.leave("a")
    assert crowd.enter("b", "192.0.2.2") is None


def test_outboxes_share_what_there_is() -> None:
    total = Outboxes(300_000)
    first, second = (Outbox(250_000, lambda: None, total) for _ in range(2))
    first.put(CONTROL, bytes(240_000))
    second.put(CONTROL, bytes(70_000))
    # Each has less than its own limit, together they have too much.
    assert first.is_full
    assert second.is_full
    assert not first.is_over
    first.put(CONTROL, bytes(300_000))
    assert first.is_over
    assert not second.is_over
    first.close()
    assert total.size == 70_000
    assert not second.is_full
    while second.take() is not None:
        pass
    assert total.size == 0


def test_slices_take_turns() -> None:
    class Sender:
        def __init__(self, name: str) -> None:
            self.name = name
            self.left = 3

        def take_slice(self) -> bool:
            order.append(self.name)
            self.left -= 1
            return self.left > 0

    order: list[str] = []
    due: list[object] = []
    slices = Slices(lambda: 0.0, due.append)
    slices.add(Sender("a"))
    slices.add(Sender("b"))
    assert len(due) == 1
    slices._run()
    assert order == ["a", "b"] * 3


def test_claims_that_make_no_sense_are_not_remembered() -> None:
    counts = {"here": 5}
    assert sensible({"here": 9, "elsewhere": 3}, counts) == {"here": 9, "elsewhere": 3}
    senseless = {f"s{n}": 1 for n in range(5_000)} | {"here": 9}
    assert sensible(senseless, counts) == {"here": 9}
    subscription = Subscription()
    for n in range(50):
        subscription.claim({f"{n} {m}": 1 for m in range(1_000)})
        assert subscription.claims is not None
        assert len(subscription.claims) <= 11_000


def test_a_header_is_not_hashed_if_it_is_large() -> None:
    for size, wrong in ((60_000, False), (70_000, True)):
        value = owned_map("co_z" + "1" * 19, meta={"x": "y" * size})
        if wrong:
            with pytest.raises(InvalidHeader, match="bytes"):
                parse_header(value.id, value.raw)
        else:
            assert parse_header(value.id, value.raw).id == value.id
