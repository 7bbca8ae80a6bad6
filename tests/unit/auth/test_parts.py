"""Carriers, addresses, keys, penalties, usage, revocation: each for itself, on a clock of ours."""

from __future__ import annotations

import pytest
from websockets.datastructures import Headers

from server.auth.addresses import client_address, parse_networks
from server.auth.carriers import SUBPROTOCOL, Carriers, read_credentials
from server.auth.claims import Claims
from server.auth.clerk import parse_instance
from server.auth.keys import ApiKey, KeyLimits, Keyring, Secret, digest, rotated
from server.auth.penalties import Penalties
from server.auth.revocation import Recent, Revocations
from server.auth.usage import Usage, UsageBook
from server.errors import BadSettings, Refused


class Clock:
    """A clock that goes when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


def test_where_keys_and_tokens_are_found() -> None:
    def read(target: str, **headers: str) -> tuple[str | None, str | None]:
        found = read_credentials(
            target, Headers({n.replace("_", "-"): v for n, v in headers.items()}), Carriers()
        )
        return found.key, found.token

    assert read("/?key=you+tag@example.com") == ("you+tag@example.com", None)
    assert read("/?key=you%2Btag@example.com") == ("you+tag@example.com", None)
    assert read("/?key=you%20tag@example.com") == ("you+tag@example.com", None)
    assert read("/", Authorization="bearer a.b.c") == (None, "a.b.c")
    assert read("/", Authorization="Basic a.b.c") == (None, None)
    assert read("/", Authorization="Bearer bsk_x") == ("bsk_x", None)
    assert read("/", Sec_WebSocket_Protocol=f"{SUBPROTOCOL}, a.b.c") == (None, "a.b.c")
    assert read("/", Sec_WebSocket_Protocol="other, a.b.c") == (None, None)
    assert read("/", Cookie="__session=a.b.c") == (None, None)
    assert read("/?key=label", Authorization="Bearer bsk_x") == ("bsk_x", None)
    for target in ("/?key=a&key=a", "/?token=a&token=a", "/?token=" + "x" * 9000):
        with pytest.raises(Refused):
            read(target)


def test_only_trusted_proxies_are_believed() -> None:
    trusted = parse_networks("127.0.0.1, 10.0.0.0/8")
    assert client_address("127.0.0.1", ["203.0.113.9"], trusted) == "203.0.113.9"
    assert client_address("127.0.0.1", ["1.1.1.1, 203.0.113.9, 10.1.1.1"], trusted) == "203.0.113.9"
    assert client_address("203.0.113.9", ["1.1.1.1"], trusted) == "203.0.113.9"
    assert client_address("127.0.0.1", ["nonsense"], trusted) == "127.0.0.1"
    assert client_address("::ffff:127.0.0.1", ["203.0.113.9"], trusted) == "203.0.113.9"


def test_two_secrets_live_at_once_and_never_three(clock: Clock) -> None:
    ring = Keyring(clock)
    key = ApiKey("app", secrets=(Secret(digest("bsk_1"), 0.0),))
    for n in (2, 3):
        clock.now += 1
        key = rotated(key, digest(f"bsk_{n}"), clock.now, 100)
    ring.put(key)
    assert ring.find("bsk_3") is not None
    assert ring.find("bsk_2") is not None
    assert ring.find("bsk_1") is None
    clock.now += 100
    with pytest.raises(Refused, match="key-expired"):
        ring.find("bsk_2")
    assert ring.find("bsk_3") is not None


def test_refusals_slow_down_and_are_forgotten(clock: Clock) -> None:
    penalties = Penalties(clock)
    delays = [penalties.note("a") for _ in range(70)]
    assert delays[:5] == [0.0] * 5
    assert delays == sorted(delays)
    assert delays[-1] == 2.0
    assert penalties.is_banned("a")
    assert not penalties.is_banned("b")
    clock.now += 60
    assert not penalties.is_banned("a")


def test_usage_of_a_day_and_of_a_second() -> None:
    usage = Usage("app")
    usage.limit(KeyLimits(bytes_per_day=100, messages_per_second=10))
    usage.write(100, 86_400.0)
    assert usage.is_spent(86_400.0 * 1.5)
    assert not usage.is_spent(86_400.0 * 2)
    assert usage.pause(10, 50.0) == 0
    assert usage.pause(5, 50.0) == 0.5


def test_labels_are_bounded_and_strange_ones_hashed() -> None:
    book = UsageBook()
    assert book.of_label("you+tag@example.com").name == "you+tag@example.com"
    assert "hush" not in book.of_label("hush").name
    names = {book.of_label(f"{n}@example.com").name for n in range(2_000)}
    assert "(others)" in names
    assert len(names) < 1_001


def test_a_denial_ends_and_a_user_may_come_back(clock: Clock) -> None:
    revocations = Revocations(clock)
    revocations.deny("sub", "u")
    old = Claims("u", "s", clock.now, clock.now + 60, False)
    new = Claims("u", "t", clock.now + 60, clock.now + 120, False)
    assert revocations.covers(old)
    assert not revocations.covers(new)
    denial = revocations.deny("sid", "t")
    assert revocations.covers(new)
    clock.now = denial.until
    assert not revocations.covers(new)


def test_resumption_has_a_window(clock: Clock) -> None:
    recent = Recent(clock, 30)
    expired = Claims("u", "s", 0, clock.now - 10, True)
    assert not recent.may_resume(expired)
    recent.joined("s")
    recent.left("s")
    assert recent.may_resume(expired)
    clock.now += 31
    assert not recent.may_resume(expired)


def test_a_publishable_key_names_its_instance() -> None:
    # base64 of "clerk.example.com$"
    instance = parse_instance("pk_live_Y2xlcmsuZXhhbXBsZS5jb20k")
    assert instance.issuer == "https://clerk.example.com"
    assert instance.jwks_url == "https://clerk.example.com/.well-known/jwks.json"
    assert instance.cookie_suffix is not None
    assert len(instance.cookie_suffix) == 8
    for wrong in ("pk_live_", "https://a.example/path", "ftp://a.example", "x", "sk_live_x"):
        with pytest.raises(BadSettings):
            parse_instance(wrong)
