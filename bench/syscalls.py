"""What a process does on disk and on its sockets, in order, as `strace` sees it.

Only counts can be taken from a traced process: tracing makes it many times slower.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Final

from bench.faults import NotMeasured

_CALLS: Final = "fsync,fdatasync,write,writev,sendto,sendmsg"
_STOP_S: Final = 10.0
_LINE: Final = re.compile(r"(?:(\d+) +)?(?:<\.\.\. (\w+) resumed>|(\w+)\()")
_ACK: Final = '\\"action\\":\\"known\\"'


class Event(Enum):
    """What is told apart."""

    SYNCED = "synced"
    """A sync of the write-ahead log came back without an error: what was committed is on disk."""
    ACKED = "acked"
    """A `known` message was given to a socket."""


def events(lines: Iterable[str]) -> Iterator[Event]:
    """The events in what `strace -f -y` wrote.

    Calls of several threads may overlap: a sync counts when it came back, an acknowledgement when
    it was sent.
    """
    pending: dict[str, str] = {}
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        thread, resumed, begun = match[1] or "", match[2], match[3]
        if begun in ("fsync", "fdatasync"):
            if "<unfinished" in line:
                pending[thread] = line
            elif _synced(line, line):
                yield Event.SYNCED
        elif resumed in ("fsync", "fdatasync"):
            if _synced(pending.pop(thread, ""), line):
                yield Event.SYNCED
        elif begun and "<socket:" in line:
            yield from [Event.ACKED] * line.count(_ACK)


def _synced(call: str, result: str) -> bool:
    return "-wal>" in call and result.rstrip().endswith("= 0")


class Tracer:
    """`strace` on a running process, from `start` to `stop`.

    Raises `NotMeasured` where there is no strace or it is not allowed to look.
    """

    def __init__(self, pid: int, output: Path) -> None:
        program = shutil.which("strace")
        if program is None:
            raise NotMeasured("there is no strace here, which counts the syncs")
        self._output = output
        what = ["-f", "-y", "-s", "400", "-e", f"trace={_CALLS}", "-p", str(pid)]
        self._process = subprocess.Popen(
            [program, "-o", output, *what], stderr=subprocess.PIPE, text=True
        )
        assert self._process.stderr is not None
        # It says so once it is attached.
        said = self._process.stderr.readline()
        if "attached" not in said:
            self._process.kill()
            self._process.wait()
            raise NotMeasured(f"strace cannot look into the server: {said.strip()}")

    def stop(self) -> list[Event]:
        """Let the process go on alone; return what it did."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.communicate(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with self._output.open(errors="replace") as lines:
            return list(events(lines))
