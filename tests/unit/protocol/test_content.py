"""Content on its way out: chunks are joined into messages, and nothing is lost or repeated."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.content import (
    Chunk,
    PieceBuilder,
    encode_content,
    joined,
    split_transactions,
    without_first,
)
from protocol.header import Header, parse_header
from protocol.known_state import Sessions
from protocol.messages import Content, decode_message, decode_session_content
from protocol.session_log import PIECE_BYTES, Chain, extended
from tests.signing import Account, Json, Run, canonical, group, owned_map, trusting
from tests.unit.protocol.strategies import transactions
from tests.unit.protocol.vectors import golden

ALICE = Account.named("alice")
BAND = group(ALICE.id)
TUNE = owned_map(BAND.id)
HEADER = parse_header(TUNE.id, TUNE.raw)

SIZES = [10, 1_000, 30_000, 50_000, 60_000, PIECE_BYTES - 100, PIECE_BYTES, 150_000]
shapes = st.lists(st.lists(st.lists(st.sampled_from(SIZES), min_size=1, max_size=2), max_size=4))


def chunk_of(session: str, run: Run) -> Chunk:
    return Chunk(session, run.after, len(run.transactions), run.signature, b",".join(run.texts))


def chunks_of(shape: list[list[list[int]]], after: int = 0) -> list[Chunk]:
    """Signed chunks with transactions of these sizes, session by session."""
    chunks = []
    for number, runs in enumerate(shape):
        session = ALICE.session(str(number))
        for sizes in runs:
            made = [trusting("p" * size, made_at=number) for size in sizes]
            chunks.append(chunk_of(session.id, session.append(*made)))
    return chunks


def pieces_of(
    chunks: list[Chunk], *, with_header: bool = True, expect_until: Sessions | None = None
) -> list[bytes]:
    """Everything that the builder says when it is given these chunks."""
    builder = PieceBuilder(HEADER, with_header=with_header, expect_until=expect_until)
    said = [builder.add(chunk) for chunk in chunks] + [builder.end()]
    return [piece for piece in said if piece is not None]


def counts_of(chunks: list[Chunk]) -> Sessions:
    return {chunk.session: chunk.first + chunk.count for chunk in chunks}


def one_chunk(size: int, *, session: str = "1", first: int = 0) -> Chunk:
    """A chunk of exactly `size` bytes of data."""
    empty = canonical(trusting("", made_at=1))
    data = canonical(trusting("p" * (size - len(empty)), made_at=1))
    assert len(data) == size
    return Chunk(ALICE.session(session).id, first, 1, f"signature_z{first}", data)


@settings(max_examples=50)
@given(shapes.filter(lambda shape: len(shape) <= 4), st.booleans())
def test_any_chunks_come_out_whole_and_in_order(
    shape: list[list[list[int]]], with_header: bool
) -> None:
    chunks = chunks_of(shape)
    held: dict[str, Chain] = {}
    counts: Sessions = {}
    pieces = pieces_of(chunks, with_header=with_header, expect_until=counts_of(chunks))
    for piece in pieces:
        message = decode_message(piece)
        assert isinstance(message, Content)
        for session, raw in message.new.items():
            part = decode_session_content(raw)
            assert part.after == counts.get(session, 0)
            texts = [canonical(each) for each in json.loads(bytes(raw))["newTransactions"]]
            key = ALICE.agent.public_key
            chain = extended(held.get(session, Chain()), key, texts, part.lastSignature)
            assert chain is not None
            held[session] = chain
            counts[session] = part.after + len(texts)
    assert counts == counts_of(chunks)


@settings(max_examples=50)
@given(shapes.filter(lambda shape: len(shape) <= 4))
def test_a_message_past_100_kb_holds_one_chunk(shape: list[list[list[int]]]) -> None:
    chunks = chunks_of(shape)
    waiting = iter(chunks)
    for piece in pieces_of(chunks):
        wanted = sum(len(part["newTransactions"]) for part in parts_of(piece))
        inside: list[Chunk] = []
        while sum(chunk.count for chunk in inside) < wanted:
            inside.append(next(waiting))
        assert sum(len(chunk.data) for chunk in inside) <= PIECE_BYTES or len(inside) == 1
    assert list(waiting) == []


def parts_of(piece: bytes) -> list[Any]:
    return list(json.loads(piece)["new"].values())


@settings(max_examples=50)
@given(shapes.filter(lambda shape: len(shape) <= 4), st.booleans())
def test_only_the_first_of_several_says_what_to_expect(
    shape: list[list[list[int]]], with_header: bool
) -> None:
    chunks = chunks_of(shape)
    pieces = pieces_of(chunks, with_header=with_header, expect_until=counts_of(chunks))
    messages = [json.loads(piece) for piece in pieces]
    assert ["header" in each for each in messages] == [
        with_header and index == 0 for index in range(len(messages))
    ]
    assert [each.get("expectContentUntil") for each in messages] == [
        counts_of(chunks) if index == 0 and len(messages) > 1 else None
        for index in range(len(messages))
    ]
    assert all(each["new"] for each in messages[1:])
    assert all(b"\n" not in piece for piece in pieces)


def test_the_pieces_of_a_real_stream() -> None:
    [vector] = golden("streaming")
    header = Header(vector["id"], TUNE.raw, 3, BAND.id, None, None, None)
    builder = PieceBuilder(header, with_header=True, expect_until={vector["session"]: 9})
    texts = [
        canonical(trusting(pattern.replace("<p*30000>", "p" * 30000), made_at=at))
        for pattern, at in zip(vector["changesPattern"], vector["madeAts"], strict=True)
    ]
    said = []
    for piece in vector["pieces"]:
        after, count, signature = piece["after"], piece["count"], piece["lastSignature"]
        data = b",".join(texts[after : after + count])
        said.append(builder.add(Chunk(vector["session"], after, count, signature, data)))
    said.append(builder.end())
    messages = [json.loads(each) for each in said if each is not None]
    for message, piece in zip(messages, vector["pieces"], strict=True):
        assert message["id"] == vector["id"]
        assert ("header" in message) is piece["header"]
        assert message.get("expectContentUntil") == piece.get("expectContentUntil")
        [(session, part)] = message["new"].items()
        assert session == vector["session"]
        assert (part["after"], len(part["newTransactions"])) == (piece["after"], piece["count"])
        assert part["lastSignature"] == piece["lastSignature"]
        written = [canonical(each) for each in part["newTransactions"]]
        assert written == texts[piece["after"] : piece["after"] + piece["count"]]


def test_a_message_may_be_exactly_full() -> None:
    chunks = [one_chunk(PIECE_BYTES // 2), one_chunk(PIECE_BYTES // 2, first=1)]
    assert len(pieces_of(chunks)) == 1
    assert len(pieces_of([*chunks, one_chunk(100, first=2)])) == 2
    assert len(pieces_of([one_chunk(PIECE_BYTES // 2 + 1), chunks[1]])) == 2


def test_after_a_full_message_the_next_ones_share_again() -> None:
    chunks = [one_chunk(PIECE_BYTES), *(one_chunk(1_000, first=n) for n in (1, 2, 3))]
    assert [parts_of(piece)[0]["after"] for piece in pieces_of(chunks)] == [0, 1]


def test_chunks_of_one_session_become_one_run_with_the_last_signature() -> None:
    [piece] = pieces_of([one_chunk(100), one_chunk(100, first=1), one_chunk(100, session="2")])
    one, two = parts_of(piece)
    assert (one["after"], len(one["newTransactions"])) == (0, 2)
    assert one["lastSignature"] == "signature_z1"
    assert (two["after"], two["lastSignature"]) == (0, "signature_z0")


def test_a_large_chunk_travels_alone_with_the_header_if_it_is_first() -> None:
    large = one_chunk(PIECE_BYTES * 2)
    first, second = pieces_of([large, one_chunk(100, first=1)])
    assert "header" in json.loads(first)
    assert [part["after"] for part in parts_of(first) + parts_of(second)] == [0, 1]


def test_a_header_may_go_alone() -> None:
    [piece] = pieces_of([], expect_until={"s": 1})
    assert json.loads(piece) == {
        "action": "content",
        "id": TUNE.id,
        "priority": 3,
        "header": TUNE.header,
        "new": {},
    }


def test_nothing_to_say_is_nothing() -> None:
    assert pieces_of([], with_header=False, expect_until={}) == []


def test_several_pieces_need_not_say_what_to_expect() -> None:
    pieces = pieces_of([one_chunk(PIECE_BYTES), one_chunk(100, first=1)], expect_until=None)
    assert ["expectContentUntil" in json.loads(piece) for piece in pieces] == [False, False]


@pytest.mark.parametrize("value", [TUNE, BAND, ALICE], ids=["map", "group", "account"])
def test_a_message_has_the_priority_of_its_header(value: Any) -> None:
    header = parse_header(value.id, value.raw)
    message = json.loads(encode_content(header, [], with_header=True))
    assert message["priority"] == value.priority
    assert message["header"] == value.header


@given(st.lists(transactions, min_size=1, max_size=6), st.data())
def test_the_front_of_a_chunk_can_be_left_out(made: list[Json], data: Any) -> None:
    chunk = chunk_of("s", Run(7, made, "signature_z1"))
    count = data.draw(st.integers(0, len(made)))
    rest = without_first(chunk, count)
    texts = [canonical(each) for each in made][count:]
    assert rest == Chunk("s", 7 + count, len(texts), "signature_z1", b",".join(texts))
    assert without_first(chunk, 0) == chunk


@given(st.lists(transactions, max_size=6))
def test_the_data_of_a_chunk_splits_into_its_texts(made: list[Json]) -> None:
    texts = [canonical(each) for each in made]
    assert split_transactions(b",".join(texts)) == texts


@given(st.lists(st.lists(transactions, min_size=1, max_size=3), min_size=1, max_size=4))
def test_adjacent_chunks_join_into_one(runs: list[list[Json]]) -> None:
    session = ALICE.session()
    chunks = [chunk_of(session.id, session.append(*made)) for made in runs]
    whole = ALICE.session().append(*(each for made in runs for each in made))
    assert joined(chunks) == chunk_of(session.id, whole)
