"""A sync server as a process of its own that tests may stop, kill and rob of its database.

In: nothing but the environment: INTEROP_SERVER=reference puts Jazz's own server from npm in
bandstand's place. Out: a `ServerProcess` whose `url` stays the same over restarts.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from subprocess import STDOUT

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.printed import PRINTED

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "bench" / "reference"
READY = re.compile(rb"ws://127\.0\.0\.1:(\d+)")
KEPT_LINES = 100


def serving_reference() -> bool:
    """Whether this run looks at Jazz's own server instead of bandstand."""
    return os.environ.get("INTEROP_SERVER") == "reference"


class ServerProcess:
    """A server on one port with one database file; its output is read by a task in `tasks`."""

    def __init__(self, folder: Path, tasks: anyio.abc.TaskGroup) -> None:
        self.port = 0
        self.database = folder / "interop.db"
        self._backup = folder / "backup"
        self._tasks = tasks
        self._process: anyio.abc.Process | None = None
        self._output: list[bytes] = []

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process to kill."""
        return self._running().pid

    @property
    def output(self) -> str:
        """The last lines the server wrote."""
        return b"".join(self._output).decode(errors="replace")

    async def start(self) -> None:
        """Start on the port it had before (any free one the first time); returns when ready."""
        process = await anyio.open_process(self._command(), cwd=ROOT, stderr=STDOUT)
        self._process = process
        assert process.stdout is not None
        lines = BufferedByteReceiveStream(process.stdout)
        try:
            with anyio.fail_after(30):
                while True:
                    line = await self._read_line(lines)
                    if found := READY.search(line):
                        break
        except (anyio.EndOfStream, anyio.IncompleteRead, TimeoutError) as error:
            raise AssertionError(f"the server did not come up:\n{self.output}") from error
        self.port = int(found[1])
        self._tasks.start_soon(self._drain, lines)

    async def stop(self) -> None:
        """SIGTERM; the server must end by itself and report success."""
        process = self._running()
        process.terminate()
        with anyio.fail_after(20):
            code = await process.wait()
        self._process = None
        assert code == 0, f"the server ended with {code} after SIGTERM:\n{self.output}"

    async def kill(self) -> None:
        """SIGKILL."""
        self._running().kill()
        await self.gone()

    async def gone(self) -> None:
        """Wait for the end of a process that somebody killed."""
        code = await self._running().wait()
        self._process = None
        assert code == -signal.SIGKILL, f"the server ended with {code}:\n{self.output}"

    async def died(self) -> bool:
        """Whether the server has ended all by itself; if so it may be started again."""
        try:
            await (await anyio.connect_tcp("127.0.0.1", self.port)).aclose()
        except OSError:
            await self._running().wait()
            self._process = None
            return True
        return False

    async def restart(self) -> None:
        """Stop cleanly, start again with the same database."""
        await self.stop()
        await self.start()

    def lose_database(self) -> None:
        """Remove every file of the database; only while the server is down."""
        assert self._process is None, "stop the server first"
        for file in self._files():
            file.unlink()

    async def end(self) -> None:
        """Leave nothing running."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def back_up(self) -> None:
        """Copy the database aside; only while the server is down."""
        assert self._process is None, "stop the server first"
        self._backup.mkdir()
        for file in self._files():
            shutil.copy2(file, self._backup)

    def restore_backup(self) -> None:
        """Put the copy in the place of the database; only while the server is down."""
        self.lose_database()
        for file in self._backup.iterdir():
            shutil.copy2(file, self.database.parent)

    def is_alive(self) -> bool:
        """Whether the process is still there."""
        return self._process is not None and self._process.returncode is None

    def _files(self) -> list[Path]:
        # The write-ahead log and its index lie beside the database.
        return list(self.database.parent.glob(f"{self.database.name}*"))

    def _running(self) -> anyio.abc.Process:
        assert self._process is not None, "the server is not running"
        return self._process

    def _command(self) -> list[str]:
        port, database = str(self.port), str(self.database)
        if serving_reference():
            script = str(REFERENCE / "server.mjs")
            return ["node", script, "--port", port, "--db", database]
        serve = [sys.executable, "-m", "server", "serve"]
        return [*serve, "--host", "127.0.0.1", "--port", port, "--db", database]

    async def _read_line(self, lines: BufferedByteReceiveStream) -> bytes:
        line = await lines.receive_until(b"\n", 1024 * 1024) + b"\n"
        self._output = [*self._output[-KEPT_LINES:], line]
        if not serving_reference():
            PRINTED.take("server of the interop tests", line.decode(errors="replace"))
        return line

    async def _drain(self, lines: BufferedByteReceiveStream) -> None:
        # A server whose output nobody reads would block once the pipe is full.
        try:
            while True:
                await self._read_line(lines)
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.ClosedResourceError):
            return
