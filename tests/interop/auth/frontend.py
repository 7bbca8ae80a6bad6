"""As much of Clerk's front end as a client asks for: sessions, and their short-lived tokens.

In: `POST /sessions/<sid>/tokens` from a client (any origin). Out: `{"jwt": ...}`, or 404 once the
session has ended. The tests start and end sessions by calling the object.
"""

from __future__ import annotations

import itertools
import json
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.clerk.instance import Instance

if TYPE_CHECKING:
    from collections.abc import Iterator

SKEW_SECONDS = 5
"""How long after its end a verifier still takes a token, as Clerk's does."""


class Frontend:
    """One Clerk instance, and who is signed in."""

    def __init__(self) -> None:
        self.instance = Instance("https://clerk.example.test")
        self.url = ""
        self.minted: list[str] = []
        self._users: dict[str, str] = {}
        self._lives: dict[str, float] = {}
        self._numbers = itertools.count(1)

    @property
    def public_pem(self) -> str:
        """The key that verifies its tokens."""
        key = self.instance.keys[self.instance.kid].public_key()
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def start_session(self, user: str, life_s: float = 60) -> str:
        """Sign `user` in; returns the session id.

        Verifiers take its tokens for `life_s`, cut to whole seconds: what they allow for clocks
        that differ is already taken off, so that a test sees a token die without a long wait.
        """
        sid = f"sess_{next(self._numbers)}"
        self._users[sid] = user
        self._lives[sid] = life_s
        return sid

    def end_session(self, sid: str) -> None:
        """No more tokens; those that are out live on."""
        del self._users[sid]

    def mint(self, sid: str) -> str | None:
        """A token of the session, or None when it has ended."""
        if sid not in self._users:
            return None
        now = time.time()
        end = int(now + self._lives[sid] - SKEW_SECONDS)
        token = self.instance.mint(self._users[sid], sid, iat=end - 60, nbf=end - 70, exp=end)
        self.minted.append(token)
        return token


@contextmanager
def serve(frontend: Frontend) -> Iterator[Frontend]:
    """Answer clients on a free loopback port while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            _, _, sid, *_ = self.path.split("/")
            token = frontend.mint(sid)
            body = json.dumps({"jwt": token}).encode()
            self.send_response(404 if token is None else 200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        frontend.url = f"http://127.0.0.1:{http.server_port}"
        try:
            yield frontend
        finally:
            http.shutdown()
            thread.join()
