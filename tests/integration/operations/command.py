"""The real command in a process of its own: run it to its end, or run a server and talk to it."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import anyio
import anyio.abc

from tests.printed import PRINTED

COMMAND: Final = str(Path(sys.executable).with_name("bandstand"))
_DEADLINE_S: Final = 30
_LISTENS: Final = re.compile(r"listens on (ws://\S+:(\d+))\n")


class Ended(NamedTuple):
    """A process that has come to its end."""

    code: int
    stdout: str
    stderr: str


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without settings of whoever runs the tests."""
    kept = {name: v for name, v in os.environ.items() if not name.startswith("BANDSTAND_")}
    return kept | dict(more or {})


def names(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(each.name for each in folder.iterdir())


async def run(
    folder: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    seconds: float = _DEADLINE_S,
) -> Ended:
    """Run the command in `folder`; it must end by itself, within so many seconds."""
    with anyio.fail_after(seconds):
        ended = await anyio.run_process(
            [COMMAND, *arguments], cwd=folder, env=environment(env), input=stdin, check=False
        )
    stdout, stderr = ended.stdout.decode(), ended.stderr.decode()
    shown = stdout
    if arguments[:2] in (("keys", "create"), ("keys", "rotate")):
        # The one place where a key is shown: alone on the last line.
        shown = "\n".join(stdout.splitlines()[:-1])
    PRINTED.take(f"bandstand {' '.join(arguments[:2])}", shown + "\n" + stderr)
    return Ended(ended.returncode, stdout, stderr)


class Server:
    """A server that runs. What it writes is gathered as it comes."""

    def __init__(self, process: anyio.abc.Process) -> None:
        self._process = process
        self._written = anyio.Event()
        self.stdout = ""
        self.stderr = ""
        self.url = ""
        self.port = 0

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    async def read_stdout(self) -> None:
        """Gather what is written to standard output."""
        assert self._process.stdout is not None
        async for data in self._process.stdout:
            self.stdout += data.decode()
            self._written.set()
        self._written.set()

    async def read_stderr(self) -> None:
        """Gather what is written to standard error."""
        assert self._process.stderr is not None
        async for data in self._process.stderr:
            self.stderr += data.decode()
            self._written.set()

    async def listening(self) -> None:
        """Wait until the server says where it listens."""
        with anyio.fail_after(_DEADLINE_S):
            while (found := _LISTENS.search(self.stdout)) is None:
                assert self._process.returncode is None, self.stderr
                await self._more()
        self.url, self.port = found[1], int(found[2])

    async def logged(self, text: str) -> None:
        """Wait until the text stands in the log."""
        with anyio.fail_after(_DEADLINE_S):
            while text not in self.stderr:
                await self._more()

    async def _more(self) -> None:
        self._written = anyio.Event()
        with anyio.move_on_after(0.2):
            # Not for ever, as the end of the process writes nothing.
            await self._written.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        # Not through the process object, which may look for its end and take it from asyncio.
        os.kill(self.pid, number)

    async def ended(self) -> int:
        """Wait for the end of the process; its exit code."""
        with anyio.fail_after(_DEADLINE_S):
            return await self._process.wait()

    async def stop(self) -> None:
        """Stop as operators do; it must end well."""
        self.send(signal.SIGTERM)
        code = await self.ended()
        assert code == 0, f"ended with {code}:\n{self.stderr}"

    async def end(self) -> None:
        """Leave nothing running."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self.send(signal.SIGKILL)
        await self._process.wait()


@asynccontextmanager
async def serving(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> AsyncIterator[Server]:
    """`bandstand serve` on a free port with a database in `folder`, unless told otherwise."""
    command = [COMMAND, "serve", *arguments]
    if "--port" not in arguments:
        command += ["--port", "0"]
    process = await anyio.open_process(command, cwd=folder, env=environment(env))
    server = Server(process)
    try:
        async with process, anyio.create_task_group() as tasks:
            tasks.start_soon(server.read_stdout)
            tasks.start_soon(server.read_stderr)
            try:
                await server.listening()
                yield server
            finally:
                with anyio.CancelScope(shield=True):
                    await server.end()
    finally:
        PRINTED.take("bandstand serve", server.stdout + "\n" + server.stderr)
