"""The scan of what servers printed finds each kind of secret, and nothing in what they may say."""

from __future__ import annotations

import pytest

from tests.clerk.instance import Instance
from tests.printed import SECRETS, Printed

LEAKS = {
    "an API key": "connected with bsk_none-that-exists",
    "a token": f"refused {Instance('https://clerk.example.test').mint()[:60]}",
    "a secret of Jazz": "claims sealerSecret_zNONE",
    "a cookie": "Cookie: a=b",
    "the subprotocols": "Sec-WebSocket-Protocol",
    "a bearer": "authorization=Bearer x",
    "a query string": "GET /?key=band@example.com HTTP/1.1",
    "a secret of a test": "s3cr3t",
}


@pytest.mark.parametrize("what", SECRETS)
def test_a_leak_is_found(what: str) -> None:
    printed = Printed()
    printed.take("somebody", f"a line\n  {LEAKS[what]}\nanother")
    assert [leak for leak in printed.leaks if leak.startswith(f"somebody printed {what}: ")]


def test_what_may_be_said() -> None:
    printed = Printed()
    printed.take(
        "somebody",
        "bandstand listens on ws://127.0.0.1:4200\n"
        "peer.joined key=studio sub=user_1 sid=sess_1 peer=7\n"
        "keep this key: it is not stored and cannot be shown again\n"
        "peer.refused reason=token-holds-secrets label:0a1b2c3d\n",
    )
    assert not printed.leaks
    assert printed.characters > 100
