"""What perf wrote, as shares."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from bench.profile import Profiler, shares

REPORT = """\
# Samples: 2K of event 'cpu-clock'
# Overhead|Shared Object
 50.00% |libpython3.11.so.1.0
 20.00% |[kernel.kallsyms]
 0.50%  |[vdso]
 15.00% |_sodium.abi3.so
 4.50%  |libsqlite3.so.0.8.6
 6.00%  |libc.so.6
 4.00%  |blake3.cpython-311-x86_64-linux-gnu.so
"""


def test_libraries_become_parts() -> None:
    found = shares(REPORT.splitlines())
    assert found["interpreter"] == 0.5
    assert found["kernel"] == pytest.approx(0.205)
    assert found["signatures"] == 0.15
    assert found["else"] == pytest.approx(0.06)
    assert sum(found.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("report", ["", REPORT.replace("2K", "99")])
def test_too_few_samples_say_nothing(report: str) -> None:
    assert shares(report.splitlines()) == {}


@pytest.mark.skipif(shutil.which("perf") is not None, reason="there is perf here")
def test_nothing_is_seen_without_perf() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert Profiler(process.pid).stop() == {}
