"""Every input in the tree through its target, and a few hundred new ones made by Hypothesis.

`make fuzz` looks for more, for as long as one likes.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.fuzz.corpus import KEPT, TARGETS, TRANSCRIPTS, kept, seeds
from tests.fuzz.node import node

_MANY = {"node": 40, "connection": 100, "chunks": 30}
_TOKENS = [
    *(
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\n",
        b"null",
        b"true",
        b"-0",
        b"1e999",
        b"9" * 30,
    ),
    *(b"\\u0000", b"\\ud800", b"\xff", b"\x00", b"\xe2\x82\xac", b"co_z", b"_session_z"),
]


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_kept(target: str) -> None:
    inputs = [*seeds(target), *kept(target)]
    assert len(inputs) > 2
    for data in inputs:
        TARGETS[target](data)


def test_the_node_gets_somewhere() -> None:
    done: Counter[str] = Counter()
    for data in seeds("node"):
        done += node(data)
    wanted = {"stored", "deleted", "transactions", "refused", "malformed", "parked", "expired"}
    assert done.keys() >= wanted, done


def test_nothing_is_kept_for_nobody() -> None:
    assert {file.stem for file in KEPT.iterdir()} <= {*TARGETS, TRANSCRIPTS}


@pytest.mark.parametrize("target", TARGETS)
def test_what_comes_to_mind(target: str) -> None:
    many = _MANY.get(target, 150)

    @settings(max_examples=many, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=_inputs(target))
    @example(data=b"")
    def try_it(data: bytes) -> None:
        TARGETS[target](data)

    try_it()


@st.composite
def _changed(draw: st.DrawFn, known: list[bytes]) -> bytes:
    """A known input with a few places replaced, cut out, or taken from another one."""
    data = draw(st.sampled_from(known))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        less = draw(st.sampled_from((0, 0, 1, 2, 10, 100)))
        other = draw(st.sampled_from(known))
        begin = draw(st.integers(0, len(other)))
        part = draw(
            st.sampled_from(_TOKENS) | st.binary(max_size=4) | st.just(other[begin : begin + 20])
        )
        data = data[:at] + part + data[at + less :]
    return data


def _inputs(target: str) -> st.SearchStrategy[bytes]:
    return _changed([*seeds(target), *kept(target)]) | st.binary(max_size=200)
