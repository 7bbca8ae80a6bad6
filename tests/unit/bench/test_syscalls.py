"""What strace wrote, as counted."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.faults import NotMeasured
from bench.scenarios.fsync import unsynced
from bench.syscalls import Event, Tracer, events

ACK = r'write(9<socket:[7]>, "\201~\0~{\"action\":\"known\",\"id\":\"co_z1\"}", 130) = 130'
TWO = r'sendto(9<socket:[7]>, "{\"action\":\"known\"}..{\"action\":\"known\"}", 40, 0) = 40'


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["12 fdatasync(5</d/bench.db-wal>)    = 0", f"12 {ACK}"], [Event.SYNCED, Event.ACKED]),
        (
            [
                "13 fsync(5</d/x.db-wal> <unfinished ...>",
                f"12 {ACK}",
                "13 <... fsync resumed>) = 0",
            ],
            [Event.ACKED, Event.SYNCED],
        ),
        (["12 fdatasync(5</d/bench.db-wal>) = -1 EIO (Input/output error)"], []),
        (["12 fdatasync(5</d/bench.db>) = 0"], []),
        ([f"12 {TWO}"], [Event.ACKED, Event.ACKED]),
        ([r'12 write(3</d/log>, "{\"action\":\"known\"}", 10) = 10', "nonsense"], []),
    ],
)
def test_syncs_and_acknowledgements_are_told_apart(lines: list[str], found: list[Event]) -> None:
    assert list(events(lines)) == found


def test_an_acknowledgement_needs_a_sync_of_its_own() -> None:
    s, a = Event.SYNCED, Event.ACKED
    assert unsynced([s, a, s, a]) == 0
    assert unsynced([a, s, a, a, s]) == 2


PROGRAM = """
import os, socket, sys
near, far = socket.socketpair()
wal = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(3):
    os.write(wal, b"x")
    os.fdatasync(wal)
    near.sendall(b'{"action":"known"}')
print("done", flush=True)
sys.stdin.readline()
"""


def test_a_process_is_watched(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("there is no strace here")
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, tmp_path / "a.db-wal"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        try:
            tracer = Tracer(process.pid, tmp_path / "calls")
        except NotMeasured as reason:
            process.kill()
            pytest.skip(str(reason))
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        found = tracer.stop()
        process.stdin.write("\n")
    assert found == [Event.SYNCED, Event.ACKED] * 3
