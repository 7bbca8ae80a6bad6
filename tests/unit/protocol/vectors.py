"""The vectors that real cojson releases made (see `tests/vectors`)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parents[2] / "vectors"


@cache
def load(name: str) -> Any:
    """The content of one file of vectors."""
    return json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def golden(kind: str) -> list[Any]:
    """One list of the golden vectors."""
    vectors: list[Any] = load("cojson")[kind]
    assert vectors, f"no golden vectors of {kind}"
    return vectors


def name_of(vector: Any) -> str:
    """What a test of this vector is called."""
    return f"{vector['name']}, by {vector.get('by', 'hand')}"
