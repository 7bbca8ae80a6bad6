"""A whole Jazz client in a real browser: IndexedDB, locks, JazzClerkAuth and the helper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.interop.auth.knock import token_dies

if TYPE_CHECKING:
    from tests.browser.chromium import Chromium, Page
    from tests.interop.auth.frontend import Frontend

pytestmark = pytest.mark.anyio

SHORT_S = 2.5
"""The life of tokens: dead by the time the clients come back."""


async def test_two_browsers(chromium: Chromium, site: str, peer: str, frontend: Frontend) -> None:
    """Sign up in one, log in in another; offline past the token's end; converge."""
    user: dict[str, Any] = {"id": "user_two_browsers", "unsafeMetadata": {}}
    first, second = [await chromium.open_device(f"{site}/jazz.html") for _ in range(2)]
    for page in (first, second):
        await page.call("app.start", {"peer": f"{peer}/?key=app", "frontend": frontend.url})

    with anyio.fail_after(30):
        signed_up = await sign_in(first, user, frontend)
        user["unsafeMetadata"] = signed_up["metadata"]
        note = await first.call("app.create", {"text": "from the first", "tags": ["start"]})
        logged_in = await sign_in(second, user, frontend)
        assert logged_in["account"] == signed_up["account"]
        seen = await second.call("app.read", note)
        assert seen == {"text": "from the first", "tags": ["start"]}

        before = len(frontend.minted)
        for page, name in ((first, "one"), (second, "two")):
            await page.call("app.fail")
            await page.call("app.edit", note, {"text": name, "tag": name})
        await token_dies(peer, frontend.minted[-1])
        for page in (first, second):
            await page.call("app.restore")
        for page in (first, second):
            await page.call("app.until", note, ["start", "one", "two"])
        assert await first.call("app.read", note) == await second.call("app.read", note)
    assert len(frontend.minted) > before
    written = "".join(first.console + second.console)
    assert not any(token in written for token in frontend.minted)


async def sign_in(page: Page, user: dict[str, Any], frontend: Frontend) -> dict[str, Any]:
    """Sign in with Clerk, and Jazz after it."""
    sid = frontend.start_session(user["id"], SHORT_S)
    signed_in: dict[str, Any] = await page.call("app.signIn", {"user": user, "sid": sid})
    return signed_in
