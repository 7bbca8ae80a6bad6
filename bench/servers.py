"""The servers that are measured: processes of our own, or one that runs already."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Final

from bench import procfs
from bench.faults import Fault, ServerFailed

_ROOT: Final = Path(__file__).resolve().parent.parent
_REFERENCE: Final = _ROOT / "bench" / "reference" / "server.mjs"
_STOP_S: Final = 30.0
_ADDRESS: Final = re.compile(r"ws://[^\s/]+")
_TROUBLE: Final = re.compile(r"\[?(warning|error|critical)\b|Traceback|[A-Za-z]*Error:|fault", re.I)

Command = Callable[[str], list[str]]


def _bandstand(db: str) -> list[str]:
    return [sys.executable, "-m", "server", "serve", "--port", "0", "--db", db]


def _reference(db: str) -> list[str]:
    return ["node", str(_REFERENCE), "--port", "0", "--db", db]


def _reference_full(db: str) -> list[str]:
    return [*_reference(db), "--synchronous", "FULL"]


COMMANDS: Final[dict[str, Command]] = {
    "bandstand": _bandstand,
    "reference": _reference,
    "reference-full": _reference_full,
}
BASE: Final = "reference"
"""The one that ratios refer to."""


class Server:
    """A server that runs somewhere else: all that is known of it is its address."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = url
        self.pid: int | None = None
        self.profiled = False
        """Whether measurements are to see where its CPU time goes."""

    def restart(self) -> None:
        """Stop and start on the same database. Only servers of our own can be."""
        raise Fault("this scenario restarts the server; run it without --url")

    def cpu_seconds(self) -> float | None:
        """What it has used so far, in s; `None` if that cannot be seen."""
        return None if self.pid is None else procfs.cpu_seconds(self.pid)


@contextmanager
def fresh(name: str) -> Iterator[LocalServer]:
    """One of `COMMANDS` on an empty database, for as long as the block lasts.

    Raises `ServerFailed`.
    """
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    server = LocalServer(name, COMMANDS[name], folder)
    try:
        server.start()
        yield server
        server.stop()
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


class LocalServer(Server):
    """A process of our own, on a database of its own in `folder`."""

    def __init__(self, name: str, command: Command, folder: Path) -> None:
        super().__init__(name, "")
        self._db = folder / "bench.db"
        self._log = folder / "server.log"
        self._command = command(str(self._db))
        self._process: subprocess.Popen[str] | None = None
        self.started_at = 0.0
        """When the process was last started (`perf_counter`, s)."""

    def start(self) -> None:
        """Start the process and wait for its address. Raises `ServerFailed`."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BANDSTAND_")}
        environment["NODE_ENV"] = "production"
        # An installed bandstand has its bytecode beside it; a checkout may not.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.started_at = perf_counter()
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=_ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if match := _ADDRESS.search(line):
                self.url = match[0]
                self.pid = self._process.pid
                return
        code = self._process.wait()
        raise ServerFailed(f"{self.name} ended with {code}: {self.trouble() or 'no message'}")

    def stop(self) -> None:
        """End the process as an operator would. Raises `ServerFailed` if it does not in time."""
        process, self._process, self.pid = self._process, None, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServerFailed(f"{self.name} had to be killed") from None
        finally:
            _close(process)
        if code not in (0, -signal.SIGTERM):
            raise ServerFailed(f"{self.name} ended with {code}: {self.trouble()}")

    def kill(self) -> None:
        """End the process at once, if there still is one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            _close(self._process)
            self._process = self.pid = None

    def restart(self) -> None:
        """Stop and start on the same database."""
        self.stop()
        self.start()

    def database_bytes(self) -> int:
        """The size of the database, with its write-ahead log."""
        return sum(path.stat().st_size for path in self._db.parent.glob(f"{self._db.name}*"))

    def trouble(self) -> str:
        """Warnings and errors in the log, the last few."""
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        found = [line for line in lines if _TROUBLE.search(line)]
        return " | ".join(found[-3:]) + (f" ({len(found)} in all)" if len(found) > 3 else "")


def _close(process: subprocess.Popen[str]) -> None:
    if process.stdout is not None:
        process.stdout.close()
