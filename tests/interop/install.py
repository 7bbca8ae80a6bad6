"""Install the npm packages the interop tests need: six Jazz releases and the reference server.

In: the package-lock.json of each folder below. Out: a `node_modules` next to each of them, with a
stamp that holds the lock's hash, so that a second run has nothing to do.

Exit code 0 also when this machine has no Node: interop tests then skip themselves, and this script
says so loudly. With CI=true in the environment a missing Node is a failure instead.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REFERENCE = HERE.parents[1] / "bench" / "reference"
STAMP = ".installed-lock"
# Without --legacy-peer-deps npm adds React Native and hundreds of other packages to every release.
NPM_CI = ("npm", "ci", "--legacy-peer-deps", "--ignore-scripts", "--no-audit", "--no-fund")


def client_folders() -> list[Path]:
    """The folders of the client releases, each with a lock of its own."""
    return sorted(lock.parent for lock in HERE.glob("clients/*/package-lock.json"))


def node_is_here() -> bool:
    """Whether this machine can run the clients at all."""
    return shutil.which("node") is not None and shutil.which("npm") is not None


def is_installed(folder: Path) -> bool:
    """Whether `folder` holds exactly what its lock asks for (as far as the stamp can tell)."""
    stamp = folder / "node_modules" / STAMP
    return stamp.is_file() and stamp.read_text() == _lock_hash(folder)


def install(folder: Path) -> None:
    """Bring `folder` in line with its lock; nothing happens when it already is."""
    if is_installed(folder):
        return
    _say(f"installing {folder.relative_to(HERE.parents[1])}")
    subprocess.run(NPM_CI, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    if folder == REFERENCE:
        _build_sqlite(folder)
    (folder / "node_modules" / STAMP).write_text(_lock_hash(folder))


def main() -> int:
    """Install everything; returns the exit code."""
    if not node_is_here():
        in_ci = os.environ.get("CI") == "true"
        _say("*" * 78)
        _say("NO NODE / NPM ON THIS MACHINE: the interop tests with real Jazz clients CANNOT RUN.")
        _say("Install Node 20 or newer, then run this again." if not in_ci else "CI=true: failing.")
        _say("*" * 78)
        return 1 if in_ci else 0
    for folder in [*client_folders(), REFERENCE]:
        try:
            install(folder)
        except subprocess.CalledProcessError as failure:
            _say(f"could not install {folder.name}: {failure}")
            return 1
    return 0


def _build_sqlite(folder: Path) -> None:
    # The one package whose install script is wanted: it fetches or compiles the SQLite binding.
    built = subprocess.run(
        ("npm", "rebuild", "better-sqlite3"),
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    if built.returncode != 0:
        _say(built.stderr[-2000:])
        _say("better-sqlite3 could not be built: the reference server runs in memory only.")


def _lock_hash(folder: Path) -> str:
    return hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
