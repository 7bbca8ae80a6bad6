"""The operator's commands: `keys`, `usage`, `sessions`, `token explain`, `check`.

They ask the running server over its control socket; keys and usage also work without one, on the
database itself.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final

import anyio

from server.admission import problems
from server.auth.keys import Keyring
from server.config import Settings
from server.control.books import Books
from server.control.messages import (
    Answer,
    Book,
    CreateKey,
    EndSessions,
    ListKeys,
    ListSessions,
    Request,
    RevokeKey,
    RotateKey,
    ShowUsage,
)
from server.control.socket import ask, socket_path
from server.errors import BadSettings, PortUnavailable, StoreError
from server.explain import explain
from server.store.ledger import SqliteLedger
from server.store.sqlite import SqliteStore

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_GRACE_S: Final = 7 * 86_400.0
_INPUT_BYTES: Final = 64 * 1024
Commands = Any
"""argparse's own type for it is private."""


def add_commands(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Describe these commands to the parser; `common` has the options that all share."""
    keys = commands.add_parser("keys", help="create, list, revoke and rotate API keys")
    actions = keys.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", parents=[common], help="make a key; shown this once")
    create.add_argument("name")
    create.add_argument("--role", choices=("app", "worker"), default="app")
    create.add_argument("--key-policy", choices=("off", "observe", "enforce"), dest="key_policy")
    create.add_argument("--origin", action="append", default=[], metavar="ORIGIN")
    create.add_argument("--expires", type=duration, metavar="DURATION", help="for example 90d")
    for limit in ("connections", "messages-per-second", "bytes-per-day", "bytes-stored"):
        create.add_argument(f"--{limit}", type=whole, default=0, metavar="N")
    actions.add_parser("list", parents=[common], help="all keys, without secrets")
    revoke = actions.add_parser("revoke", parents=[common], help="end a key and its connections")
    revoke.add_argument("name")
    rotate = actions.add_parser("rotate", parents=[common], help="give a key a second secret")
    rotate.add_argument("name")
    rotate.add_argument(
        "--grace",
        type=duration,
        default=_GRACE_S,
        metavar="DURATION",
        help="how long the old secret lives on; 7d unless given",
    )
    commands.add_parser("usage", parents=[common], help="what each key has used")
    sessions = commands.add_parser(
        "sessions", parents=[common], help="who is connected; `sessions end` closes"
    )
    sessions.add_argument(
        "--refused", action="store_true", help="who was refused, or in `observe` would have been"
    )
    ending = sessions.add_subparsers(dest="action", metavar="ACTION")
    end = ending.add_parser("end", parents=[common], help="close sockets, refuse the session")
    by = end.add_mutually_exclusive_group(required=True)
    by.add_argument("--sid", help="a Clerk session")
    by.add_argument("--user", help="a Clerk user", dest="sub")
    by.add_argument("--key", help="the name of an API key")
    token = commands.add_parser("token", help="explain a token")
    explaining = token.add_subparsers(dest="action", required=True, metavar="ACTION")
    explaining.add_parser(
        "explain", parents=[common], help="what the token on standard input claims, and what fails"
    )
    commands.add_parser("check", parents=[common], help="say what is unsafe in the settings")


async def administer(arguments: argparse.Namespace, settings: Settings) -> int:
    """Run one of these commands; its exit code. Raises `ServerError`."""
    if arguments.command == "check":
        return await _check(settings)
    if arguments.command == "token":
        return await _explain(settings)
    if settings.in_memory:
        raise BadSettings("a server in memory has no control socket and keeps no keys; name --db")
    request = _request(arguments)
    answer = await ask(settings.db, request)
    if answer is None:
        if not isinstance(request, Book):
            path = socket_path(settings.db)
            raise PortUnavailable(f"no server is running on {settings.db}: nobody is at {path}")
        answer = await _alone(settings, request)
    if answer.error is not None:
        raise BadSettings(answer.error)
    _show(answer)
    return 0


def _request(arguments: argparse.Namespace) -> Request:
    if arguments.command == "usage":
        return ShowUsage()
    if arguments.command == "sessions":
        if arguments.action != "end":
            return ListSessions(arguments.refused)
        if arguments.sid:
            return EndSessions("sid", arguments.sid)
        if arguments.sub:
            return EndSessions("sub", arguments.sub)
        return EndSessions("key", arguments.key)
    if arguments.action == "create":
        return CreateKey(
            arguments.name,
            arguments.role,
            arguments.key_policy,
            tuple(arguments.origin),
            arguments.expires,
            arguments.connections,
            arguments.messages_per_second,
            arguments.bytes_per_day,
            arguments.bytes_stored,
        )
    if arguments.action == "revoke":
        return RevokeKey(arguments.name)
    if arguments.action == "rotate":
        return RotateKey(arguments.name, arguments.grace)
    return ListKeys()


async def _alone(settings: Settings, request: Book) -> Answer:
    """The answer from the database itself, which no server has open."""
    store = await SqliteStore.open(settings.db)
    try:
        ledger = SqliteLedger(store.run)
        kept = await ledger.load()
        keyring = Keyring(time.time)
        for key in (*kept.keys, *settings.api_keys):
            keyring.put(key)
        return await Books(keyring, ledger, lambda: kept.usage, time.time).answer(request)
    finally:
        await store.close()


async def _check(settings: Settings) -> int:
    found = problems(settings, await _keys(settings))
    for line in found:
        sys.stdout.write(f"{line}\n")
    if not found:
        sys.stdout.write(f"the settings are safe together; policy is {settings.policy}\n")
    return BadSettings.exit_code if found else 0


async def _keys(settings: Settings) -> list[Any]:
    """Keys of the database, read without its lock: a server may be running."""
    if settings.in_memory or not await anyio.Path(settings.db).exists():
        return []
    try:
        connection = sqlite3.connect(f"file:{settings.db}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise StoreError(f"cannot read {settings.db}: {error}") from None

    async def run(function: Any) -> Any:
        return function(connection)

    try:
        return (await SqliteLedger(run).load()).keys
    except sqlite3.OperationalError:
        return []  # A file of the first format: it has no keys yet.
    except sqlite3.DatabaseError as error:
        raise StoreError(f"cannot read {settings.db}: {error}") from None
    finally:
        connection.close()


async def _explain(settings: Settings) -> int:
    # Whatever comes: a token is ASCII, and what is not is none.
    read = sys.stdin.buffer.read(_INPUT_BYTES).decode("ascii", "replace")
    text = read.strip().removeprefix("Bearer ").strip()
    if not text:
        raise BadSettings("there is no token on standard input")
    lines, accepted = await explain(text, settings)
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if accepted else 1


def _show(answer: Answer) -> None:
    """A table for people; a new secret alone on the last line."""
    rows = [{name: _text(name, value) for name, value in row.items()} for row in answer.rows]
    if rows:
        names = list(rows[0])
        widths = {n: max(len(n), *(len(row.get(n, "")) for row in rows)) for n in names}
        for row in [{n: n for n in names}, *rows]:
            line = "  ".join(row.get(n, "").ljust(widths[n]) for n in names)
            sys.stdout.write(line.rstrip() + "\n")
    if answer.secret is not None:
        sys.stdout.write("keep this key: it is not stored and cannot be shown again\n")
        sys.stdout.write(f"{answer.secret}\n")


def _text(name: str, value: Any) -> str:
    if name in ("created", "expires"):
        if not value:
            return "-"
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return "-" if value in ("", None) else str(value)


def duration(text: str) -> float:
    """Seconds from `90s`, `15m`, `12h`, `7d`, or a plain number of seconds. For argparse."""
    unit = _UNITS.get(text[-1:].lower())
    try:
        seconds = float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 90s, 12h, 7d") from None
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 90s, 12h, 7d")
    return seconds


def whole(text: str) -> int:
    """A whole number from 0 on. For argparse."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)
