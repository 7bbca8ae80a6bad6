"""Install what the browser tests need from npm: a bundler and a type checker (see tools/).

Run as `python -m tests.browser.install` from the root. Like tests/interop/install.py it is quick
when nothing changed, and says so loudly where there is no Node (with CI=true: fails). The browser
itself comes from the system's packages: chromium.sh.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.interop.install import install, node_is_here

TOOLS = Path(__file__).resolve().parent / "tools"


def main() -> int:
    """Install; returns the exit code."""
    if not node_is_here():
        sys.stderr.write("NO NODE / NPM ON THIS MACHINE: the browser tests CANNOT RUN.\n")
        return 1 if os.environ.get("CI") == "true" else 0
    try:
        install(TOOLS)
    except subprocess.CalledProcessError as failure:
        sys.stderr.write(f"could not install {TOOLS.name}: {failure}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
