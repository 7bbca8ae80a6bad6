"""`make fuzz`: atheris, a coverage-guided fuzzer, on one target after the other.

    python -m tests.fuzz [--seconds N] [TARGET ...]

Each target runs in a process of its own for N seconds (120 by default), from its seeds and what is
kept in the tree. What reaches code that nothing reached before is added to `corpus/`, up to 100
inputs of 4 KB a target. A finding ends the target: its input is printed, written to `found/`, and
the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile
from hashlib import sha1
from pathlib import Path
from typing import Final

_FOUND: Final = Path(__file__).with_name("found")
_MOST: Final = 100
_BYTES: Final = 4_096
_ONE: Final = "--one"


def main(arguments: list[str]) -> int:
    """Fuzz the targets; returns the exit code."""
    if arguments[:1] == [_ONE]:
        _fuzz(arguments[1], arguments[2:])
        return 0
    try:
        import atheris  # noqa: F401
    except ImportError:
        print("atheris is not here: pip install --group fuzz (it has wheels for Linux)")  # noqa: T201
        return 2
    from tests.fuzz.corpus import TARGETS

    parser = argparse.ArgumentParser(prog="make fuzz ARGS=")
    parser.add_argument("--seconds", type=int, default=120, help="for each target")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.targets) - TARGETS.keys()
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    results = [_run(target, chosen.seconds) for target in chosen.targets or TARGETS]
    return 0 if all(results) else 1


def _run(target: str, seconds: int) -> bool:
    """Fuzz one target in a process of its own. Returns whether nothing was found."""
    from tests.fuzz.corpus import keep, kept, seeds

    with tempfile.TemporaryDirectory() as folder:
        given, grown = Path(folder, "given"), Path(folder, "grown")
        given.mkdir()
        grown.mkdir()
        for data in (*seeds(target), *kept(target)):
            (given / sha1(data).hexdigest()).write_bytes(data)
        command = [sys.executable, "-m", "tests.fuzz", _ONE, target, str(grown), str(given)]
        options = [f"-max_total_time={seconds}", f"-max_len={_BYTES}", "-timeout=20"]
        options += ["-rss_limit_mb=2048", "-print_final_stats=1", f"-artifact_prefix={folder}/"]
        done = subprocess.run([*command, *options], check=False, capture_output=True, text=True)
        said = done.stderr
        findings = [*Path(folder).glob("crash-*"), *Path(folder).glob("timeout-*")]
        findings += Path(folder).glob("oom-*")
        new = [f.read_bytes() for f in grown.iterdir()]
        added = _worth_keeping(target, new, Path(folder), given)
        if added:
            keep(target, [*kept(target), *added])
        _report(target, said, len(added), findings)
        for file in findings:
            _FOUND.mkdir(exist_ok=True)
            data = file.read_bytes()
            (_FOUND / f"{target}-{file.name}").write_bytes(data)
            print(f"  FOUND {json.dumps(data.decode('latin-1'))}")  # noqa: T201
        if done.returncode != 0:
            print(done.stdout[-2000:] + said[-4000:])  # noqa: T201
    return done.returncode == 0


def _worth_keeping(target: str, new: list[bytes], folder: Path, given: Path) -> list[bytes]:
    """Of the new inputs those that libFuzzer's merge finds to reach more than what was given."""
    from tests.fuzz.corpus import kept

    room = _MOST - len(kept(target))
    if not new or room <= 0:
        return []
    pool = folder / "pool"
    pool.mkdir()
    for data in new:
        (pool / sha1(data).hexdigest()).write_bytes(data)
    before = {file.name for file in given.iterdir()}
    command = [sys.executable, "-m", "tests.fuzz", _ONE, target, "-merge=1", str(given), str(pool)]
    subprocess.run(command, check=False, capture_output=True)
    found = [file.read_bytes() for file in given.iterdir() if file.name not in before]
    return sorted(found, key=len)[:room]


def _report(target: str, said: str, added: int, findings: list[Path]) -> None:
    def last(pattern: str) -> str:
        found = re.findall(pattern, said)
        return str(found[-1]) if found else "?"

    print(  # noqa: T201
        f"{target}: {last(r'number_of_executed_units: *([0-9]+)')} runs, "
        f"{last(r'average_exec_per_sec: *([0-9]+)')} a second, coverage {last(r'cov: ([0-9]+)')}, "
        f"features {last(r'ft: ([0-9]+)')}, {added} inputs added, {len(findings)} findings",
        flush=True,
    )


def _fuzz(target: str, arguments: list[str]) -> None:
    """In a process of its own: run libFuzzer on the target."""
    import atheris

    with atheris.instrument_imports(include=["protocol", "server"]):
        from tests.fuzz.corpus import TARGETS
    # A merge runs this command again and again.
    again = f"{shlex.quote(sys.executable)} -m tests.fuzz {_ONE} {target}"
    atheris.Setup([again, *arguments], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
