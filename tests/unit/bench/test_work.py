"""What the generator sends is what a Jazz client could send: the protocol accepts all of it."""

from __future__ import annotations

import msgspec
import pytest
from websockets.utils import apply_mask

from bench.authors import Agent, Log, account
from bench.filling import Stock
from bench.signing import in_parallel
from bench.work import Run, deep_runs, frames_of, open_run, owned_run
from protocol.frames import split_frame
from protocol.header import Header, parse_header
from protocol.ids import parse_session_id, signer_key
from protocol.messages import Content, decode_message, decode_session_content
from protocol.session_log import Chain, extended
from protocol.transaction import canonical_transaction


def messages_in(stream: bytes) -> list[Content]:
    """The messages in masked frames."""
    found: list[Content] = []
    while stream:
        size, start = stream[1] & 0x7F, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, start = int.from_bytes(stream[2 : 2 + width], "big"), 2 + width
        mask, payload = stream[start : start + 4], stream[start + 4 : start + 4 + size]
        assert len(payload) == size
        for line in split_frame(apply_mask(payload, mask)):
            message = decode_message(line)
            assert isinstance(message, Content)
            found.append(message)
        stream = stream[start + 4 + size :]
    return found


def verified(stream: bytes) -> dict[str, int]:
    """Check everything as a server does; return the sessions and their lengths."""
    headers: dict[str, Header] = {}
    chains: dict[str, Chain] = {}
    counts: dict[str, int] = {}
    for message in messages_in(stream):
        if message.header is not msgspec.UNSET:
            headers[message.id] = parse_header(message.id, bytes(message.header))
        for session, raw in message.new.items():
            part = decode_session_content(raw)
            assert part.after == counts.get(session, 0)
            author = parse_session_id(session).author
            signer = headers[author].signer if author in headers else signer_key(author)
            assert signer is not None
            texts = map(canonical_transaction, part.newTransactions)
            longer = extended(chains.get(session, Chain()), signer, texts, part.lastSignature)
            assert longer is not None
            chains[session] = longer
            counts[session] = part.after + len(part.newTransactions)
    return counts


@pytest.mark.parametrize("run", [open_run("a", 5), open_run("b", 2, batch=50)])
def test_a_run_is_verified(run: Run) -> None:
    assert verified(b"".join(run.frames)) == {run.session: run.total}


def test_a_run_that_is_owned_brings_its_account_and_group_along() -> None:
    run = owned_run("a", 3)
    counts = verified(b"".join(run.frames))
    assert counts[run.session] == 3
    assert len(counts) == 3
    ids = [message.id for message in messages_in(run.frames[0])]
    assert ids == [account(Agent("a")).id, run.header.group, run.header.id]


def test_a_run_that_an_account_owns_brings_only_that_along() -> None:
    run = owned_run("a", 3, by_account=True)
    counts = verified(b"".join(run.frames))
    assert counts[run.session] == 3
    assert run.header.group == account(Agent("a")).id
    assert [message.id for message in messages_in(run.frames[0])] == [
        run.header.group,
        run.header.id,
    ]


def test_a_deep_run_continues_its_history() -> None:
    history, run = deep_runs("a", 120, 3)
    assert verified(b"".join(history.frames + run.frames)) == {run.session: 123}
    assert (len(history.frames), history.total) == (3, 120)
    assert (len(run.frames), run.before, run.total) == (3, 120, 123)


def test_many_sign_what_one_would() -> None:
    alone = [open_run(name, 2) for name in ("a", "b", "c")]
    assert in_parallel(open_run, [("a", 2), ("b", 2), ("c", 2)]) == alone


def test_a_stock_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.filling._SHARD", 2)
    stock = Stock("a", 3, 2)
    stream = b"".join(stock._frames)
    assert len(stock.ids) == 3
    assert verified(stream) == dict.fromkeys(stock.sessions.values(), 2)
    assert [message.id for message in messages_in(stream)] == stock.ids


def test_messages_share_frames_up_to_a_size() -> None:
    frames = list(frames_of([b"x" * 400] * 10, size=1_000))
    assert len(frames) == 5
    assert list(frames_of([])) == []


def test_names_make_keys_and_sessions() -> None:
    one, other = Agent("one"), Agent("other")
    assert one.id == Agent("one").id != other.id
    assert Log(one.id, one, "1").session != Log(one.id, one, "2").session
