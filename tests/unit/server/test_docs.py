"""The documentation is held against the code.

`python -m tests.unit.server.test_docs` rewrites the generated parts of the README.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from server import config

ROOT = Path(__file__).resolve().parents[3]
README = ROOT / "README.md"
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


PARTS = {"settings": settings_table, "example": example}


def between(name: str) -> re.Pattern[str]:
    """What stands between the markers of a generated part."""
    return re.compile(rf"(?<=<!-- {name}:begin -->\n).*?(?=<!-- {name}:end -->)", re.DOTALL)


@pytest.mark.parametrize("name", PARTS)
def test_the_readme_says_what_the_code_says(name: str) -> None:
    found = between(name).search(README.read_text())
    assert found is not None
    assert found[0].strip() == PARTS[name]()


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
    text = README.read_text()
    for part, make in PARTS.items():
        text = between(part).sub(make().replace("\\", r"\\") + "\n", text)
    README.write_text(text)
