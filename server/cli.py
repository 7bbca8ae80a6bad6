"""The command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import anyio

from server import __version__, log
from server.administration import add_commands, administer
from server.config import ENVIRONMENT_PREFIX, default, load_settings, meaning
from server.errors import BadSettings, ServerError
from server.service import serve


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, and the exit code of every bad setting."""
        self.exit(BadSettings.exit_code, f"{self.prog}: {message}\n")


def _parser() -> _Parser:
    parser = _Parser(prog="bandstand", description="A self-hosted sync server for Jazz apps.")
    parser.add_argument("--version", action="version", version=f"bandstand {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serving = commands.add_parser(
        "serve",
        help="run the server",
        description="Run the server until SIGTERM or SIGINT.",
        epilog="Every setting, these and more, can also be given as an environment variable "
        f"({ENVIRONMENT_PREFIX}PORT=4200) or in a TOML file (port = 4200).",
    )
    serving.add_argument("--config", metavar="FILE", help="TOML file with settings")
    _add_options(serving, ("host", "port", "db", "policy", "clerk", "log_level", "log_format"))
    for name in ("in_memory", "open"):
        serving.add_argument(
            f"--{name.replace('_', '-')}",
            action="store_true",
            default=argparse.SUPPRESS,
            help=meaning(name),
        )
    common = _Parser(add_help=False)
    common.add_argument(
        "--config", metavar="FILE", help="TOML file with settings", default=argparse.SUPPRESS
    )
    _add_options(common, ("db",))
    add_commands(commands, common)
    checking = commands.add_parser(
        "verify",
        parents=[common],
        help="check a database, byte by byte; exit code 65 if it is damaged",
        description="Check every header, hash, signature and row of a database. It is only read.",
    )
    checking.add_argument("file", nargs="?", metavar="DB", help="instead of --db")
    checking.add_argument(
        "--all", action="store_true", help="prove everything again, also what earlier runs proved"
    )
    return parser


def _add_options(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    for name in names:
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(default(name)),
            default=argparse.SUPPRESS,
            metavar=name.rpartition("_")[2].upper(),
            help=f"{meaning(name)} Default: {default(name) or 'none'}.".replace("%", "%%"),
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the code that `server.errors` documents."""
    parsed = _parser().parse_args(arguments)
    given: dict[str, Any] = vars(parsed)
    config = given.get("config") or os.environ.get(f"{ENVIRONMENT_PREFIX}CONFIG")
    try:
        if parsed.command != "serve":
            chosen = {"db": given["db"]} if "db" in given else {}
            settings = load_settings(chosen, os.environ, config)
            log.configure("warning", settings.log_format)
            if parsed.command == "verify":
                # Here, because a server that starts need not load it.
                from server.verify.command import main as verify

                sys.exit(verify(parsed.file or settings.db, fresh=parsed.all))
            sys.exit(anyio.run(administer, parsed, settings))
        given = {n: value for n, value in given.items() if n not in ("command", "config")}
        if "db" in given and given.get("in_memory"):
            raise BadSettings("--db and --in-memory exclude each other")
        settings = load_settings(given, os.environ, config)
        log.configure(settings.log_level, settings.log_format)
        anyio.run(serve, settings, backend_options={"use_uvloop": True})
    except* ServerError as group:
        error = _first(group)
        sys.stderr.write(f"bandstand: {error}\n")
        sys.exit(error.exit_code)


def _first(group: BaseExceptionGroup[ServerError]) -> ServerError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
