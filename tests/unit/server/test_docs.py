"""The documentation is held against the code.

`python -m tests.unit.server.test_docs` rewrites the generated parts of the README.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from server import config
from server.offences import CATALOGUE, CLOSINGS, COUNTED_CODES

ROOT = Path(__file__).resolve().parents[3]
README = ROOT / "README.md"
SERVER = ROOT / "server" / "README.md"
_OPTIONS = {
    "host",
    "port",
    "db",
    "in_memory",
    "open",
    "policy",
    "clerk",
    "log_level",
    "log_format",
}


def settings_table() -> str:
    """The table of all settings."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for name in config.names():
        default = config.default(name)
        shown = str(default).lower() if isinstance(default, bool) else f"{default}"
        option = f" (`--{name.replace('_', '-')}`)" if name in _OPTIONS else ""
        lines.append(f"| `{name}`{option} | `{shown}` | {config.meaning(name)} |")
    return "\n".join(lines)


def example() -> str:
    """The example app, as a test with real clients runs it."""
    code = (ROOT / "tests/interop/example.mjs").read_text()
    return f"```js\n{code.strip()}\n```"


def offences_table() -> str:
    """What peers should not do, what they get, and which counter moves."""
    lines = ["| counter | what was done | what its doer gets |", "|---|---|---|"]
    lines += [f"| `{name}` | {done} | {gets} |" for name, (done, gets) in CATALOGUE.items()]
    return "\n".join(lines)


PARTS = {
    "settings": (README, settings_table),
    "example": (README, example),
    "offences": (SERVER, offences_table),
}


def between(name: str) -> re.Pattern[str]:
    """What stands between the markers of a generated part."""
    return re.compile(rf"(?<=<!-- {name}:begin -->\n).*?(?=<!-- {name}:end -->)", re.DOTALL)


@pytest.mark.parametrize("name", PARTS)
def test_the_readme_says_what_the_code_says(name: str) -> None:
    page, make = PARTS[name]
    found = between(name).search(page.read_text())
    assert found is not None
    assert found[0].strip() == make()


def test_every_counter_of_an_offence_is_in_the_catalogue() -> None:
    # 1003 is in use by nobody: binary messages are dropped.
    codes = {f"closed_{code}" for code in COUNTED_CODES - {1003, 1011}}
    assert codes | set(CLOSINGS.values()) <= CATALOGUE.keys()
    source = "".join(path.read_text() for path in (ROOT / "server").rglob("*.py"))
    counted = re.findall(r'\.count\("([\w-]+)"\)|note\(\s*[\w.]+, "([\w-]+)"', source)
    assert {first or second for first, second in counted} <= CATALOGUE.keys()


def test_every_module_is_in_the_picture_of_the_house() -> None:
    picture = README.read_text().split("## The house")[1].split("**The way of one edit.**")[0]
    modules = {
        path.stem
        for room in ("protocol", "server")
        for path in (ROOT / room).glob("*.py")
        if not path.stem.startswith("__")
    }
    missing = {m for m in modules - {"errors", "limits", "log"} if m not in picture}
    assert not missing


def test_links_between_the_readmes_lead_somewhere() -> None:
    pages = [README, *ROOT.glob("*/README.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


if __name__ == "__main__":
    for part, (page, make) in PARTS.items():
        made = make().replace("\\", r"\\") + "\n"
        page.write_text(between(part).sub(made, page.read_text()))
