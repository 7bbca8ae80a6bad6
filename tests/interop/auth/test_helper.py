"""The client helper alone, by Node's own test runner (helper.test.mjs), and its types."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
TSC = ROOT / "tests" / "browser" / "tools" / "node_modules" / ".bin" / "tsc"


def test_helper() -> None:
    done = subprocess.run(
        ["node", "--test", "--test-timeout=10000", "--test-reporter=tap", HERE / "helper.test.mjs"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counted = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert counted is not None
    assert int(counted[1]) >= 70, "tests got lost"


@pytest.mark.parametrize("project", ["types", "types/node"])
def test_types(project: str) -> None:
    """Code like the README's type-checks against index.d.ts; wrong code does not."""
    if not TSC.exists():
        missing = "TYPESCRIPT IS NOT INSTALLED: run python tests/browser/install.py"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    done = subprocess.run(
        [str(TSC), "--project", str(HERE / project)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
