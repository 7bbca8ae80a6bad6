"""Where a server's CPU time goes, as `perf` samples it: the share of each library it runs in."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_HERTZ: Final = 999
_STOP_S: Final = 10.0
_LEAST: Final = 100
"""Samples; fewer say nothing."""
PARTS: Final[dict[str, tuple[str, ...]]] = {
    "interpreter": ("libpython", "python"),
    "kernel": ("[",),
    "signatures": ("_sodium", "libsodium"),
    "SQLite": ("libsqlite3", "_sqlite3"),
    "JSON": ("_core.",),
    "hashes": ("blake3", "_xxhash"),
    "event loop": ("loop.", "_asyncio"),
}
"""Part → how the names of its shared objects begin; the rest is `else`."""


def shares(report: Iterable[str]) -> dict[str, float]:
    """The shares of the parts, 0 to 1, in what `perf report --sort dso -t '|'` wrote.

    Empty if there were too few samples.
    """
    found: dict[str, float] = dict.fromkeys((*PARTS, "else"), 0.0)
    count = 0
    for line in report:
        share, _, name = line.partition("|")
        if line.startswith("# Samples:"):
            count = _number(line.split()[2])
        elif name and share.strip().endswith("%"):
            starts = PARTS.items()
            part = next((p for p, begin in starts if name.strip().startswith(begin)), "else")
            found[part] += float(share.strip().rstrip("%")) / 100
    return found if count >= _LEAST else {}


def _number(text: str) -> int:
    """`perf` writes thousands as `2K`."""
    return int(text.rstrip("KM")) * {"K": 1_000, "M": 1_000_000}.get(text[-1], 1)


class Profiler:
    """`perf record` on a running process, from its making to `stop`."""

    def __init__(self, pid: int) -> None:
        """Nothing is sampled where there is no `perf`, or where it may not look."""
        self._folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self._process: subprocess.Popen[bytes] | None = None
        if program := shutil.which("perf"):
            what = ["-q", "-F", str(_HERTZ), "-e", "cpu-clock", "-p", str(pid)]
            self._process = subprocess.Popen(
                [program, "record", *what, "-o", self._folder / "data"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def stop(self) -> dict[str, float]:
        """The shares since then; empty if there are none."""
        process = self._process
        if process is None:
            shutil.rmtree(self._folder, ignore_errors=True)
            return {}
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_S)
            command = ["perf", "report", "--stdio", "--no-children", "--sort", "dso", "-t", "|"]
            said = subprocess.run(
                [*command, "-i", self._folder / "data"], capture_output=True, text=True, check=False
            )
            return shares(said.stdout.splitlines())
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return {}
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
