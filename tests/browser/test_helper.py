"""The client helper alone, as it is shipped, in a real browser against a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.chromium import Chromium, Page
    from tests.interop.auth.frontend import Frontend

pytestmark = pytest.mark.anyio

UNAUTHORISED = "HTTP Authentication failed"
"""What Chromium writes to the console about a 401; scripts are not told."""


@pytest.fixture
async def page(chromium: Chromium, site: str) -> Page:
    """A page that has loaded the helper."""
    return await chromium.open_device(f"{site}/helper.html")


@pytest.mark.parametrize("carrier", ["subprotocol", "query"])
async def test_signed_in(page: Page, peer: str, frontend: Frontend, carrier: str) -> None:
    session = {"frontend": frontend.url, "sid": frontend.start_session("user_browser")}
    minted = len(frontend.minted)
    for visits in (1, 2):
        visit = await page.call("visit", f"{peer}/?key=app", {**session, "carrier": carrier})
        assert visit["seen"] == ["open", "ping"], "not let in"
        assert visit["protocol"] == ("bandstand.clerk" if carrier == "subprotocol" else "")
        assert visit["url"] == f"{peer}/?key=app"
        assert visit["readyState"] == 3
        assert visit["end"]["wasOpen"] is True
        assert len(frontend.minted) == minted + visits, "every connect asks for a token"
    assert not page.console


async def test_signed_out(page: Page, peer: str, frontend: Frontend) -> None:
    session = {"frontend": frontend.url, "sid": "sess_of_nobody"}
    visit = await page.call("visit", peer, session)
    assert visit["seen"] == ["error"]
    assert visit["end"] == {"code": 1006, "reason": "", "wasOpen": False}
    assert UNAUTHORISED in "".join(page.console), "refused for another reason"


async def test_dead_token(page: Page, peer: str, frontend: Frontend) -> None:
    """Refused; and what the browser writes about it does not show the token."""
    session = {"frontend": frontend.url, "sid": frontend.start_session("user_browser", -1)}
    visit = await page.call("visit", peer, session)
    assert visit["seen"] == ["error"]
    console = "".join(page.console)
    assert UNAUTHORISED in console, "refused for another reason"
    assert frontend.minted[-1] not in console


async def test_elsewhere(page: Page) -> None:
    """Sockets to other servers are the browser's own."""
    assert await page.call("elsewhere") == {"isNative": True, "sameStatics": True}
    assert "asked for a token" not in "".join(page.console)


async def test_header(page: Page) -> None:
    """Browsers send no headers with sockets; silence would be a riddle."""
    assert "no headers" in await page.call("header")
