"""Work that is made and signed before the clock starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from bench.authors import Agent, Log, account, group, open_map, owned_map, private, trusting
from bench.wire import masked
from protocol.base58 import b58encode
from protocol.content import encode_content
from protocol.header import Header

_NOISE = "q8Zr3LmVx0bTnYw5KdHs7PfJc2GuRe9A4iCoXl6MaEtBQvNzWj1SyUkDhFgOpI" * 8


@dataclass(slots=True)
class Run:
    """What one client is going to send about one CoValue, in order."""

    header: Header
    session: str
    needle: bytes = b""
    """What stands before the session's count in a `known`."""
    frames: list[bytes] = field(default_factory=list)
    before: int = 0
    """The session's length before the first frame."""
    counts: list[int] = field(default_factory=list)
    """The session's length once the frame of the same index is acknowledged."""

    @property
    def total(self) -> int:
        """The session's length in the end."""
        return self.counts[-1] if self.counts else 0


@cache
def edit(key: int, at: int) -> bytes:
    """A trusting transaction of about 300 bytes: one field of a map set to a short text."""
    start = at * 7 % 61
    value = _NOISE[start : start + 160]
    return trusting(f'[{{"key":"field{key % 12}","op":"set","value":"{value}{at}"}}]', at)


@cache
def secret_edit(at: int) -> bytes:
    """The same, private: as long as the encrypted text of such an edit."""
    start = at * 7 % 61
    return private(_NOISE[start : start + 280] + b58encode(at.to_bytes(8, "big")), at)


def run_of(
    header: Header,
    log: Log,
    texts: Sequence[bytes],
    *,
    batch: int = 1,
    with_header: bool = True,
) -> Run:
    """Sign `texts`, `batch` a message; the first message has the header if asked."""
    run = Run(header, log.session, f'"{log.session}":'.encode(), before=log.count)
    for start in range(0, len(texts), batch):
        chunk = log.append(texts[start : start + batch])
        first = with_header and start == 0
        run.frames.append(masked(encode_content(header, [chunk], with_header=first)))
        run.counts.append(chunk.first + chunk.count)
    return run


def open_run(name: str, messages: int, batch: int = 1) -> Run:
    """A map of its own, written by an agent: `messages` of `batch` edits each."""
    agent = Agent(name)
    texts = [edit(index, index) for index in range(messages * batch)]
    return run_of(open_map(name), Log(agent.id, agent, name), texts, batch=batch)


def deep_runs(name: str, before: int, messages: int) -> tuple[Run, Run]:
    """A map of `before` edits, in messages of 50, and `messages` of one edit that continue it."""
    agent = Agent(name)
    header, log = open_map(name), Log(agent.id, agent, name)
    texts = [edit(index, index) for index in range(before + messages)]
    return (
        run_of(header, log, texts[:before], batch=50),
        run_of(header, log, texts[before:], with_header=False),
    )


def owned_run(name: str, messages: int, by_account: bool = False) -> Run:
    """A map that a group owns, which an account owns: private edits by that account.

    Its first frame also uploads the account and the group, as a new user's client does.
    `by_account`: the account itself owns the map, without a group between them.
    """
    agent = Agent(name)
    mine = account(agent)
    owner = group(mine.id, name)
    promoted = f'[{{"key":"{agent.id}","op":"set","value":"admin"}}]'
    of_account = Log(agent.id, agent, name).append([trusting(promoted, 0)])
    admin = f'[{{"key":"{mine.id}","op":"set","value":"admin"}}]'
    of_group = Log(mine.id, agent, f"{name} group").append([trusting(admin, 1)])
    texts = [secret_edit(2 + index) for index in range(messages)]
    log = Log(mine.id, agent, name)
    run = run_of(owned_map(mine.id if by_account else owner.id, name), log, texts)
    opening = [encode_content(mine, [of_account], with_header=True)]
    if not by_account:
        opening.append(encode_content(owner, [of_group], with_header=True))
    run.frames[0] = b"".join(map(masked, opening)) + run.frames[0]
    return run


def frames_of(messages: Sequence[bytes], size: int = 24_000) -> Iterator[bytes]:
    """Masked frames of several messages each, as clients batch them."""
    batch: list[bytes] = []
    length = 0
    for message in messages:
        if batch and length + len(message) > size:
            yield masked(b"\n".join(batch))
            batch, length = [], 0
        batch.append(message)
        length += len(message) + 1
    if batch:
        yield masked(b"\n".join(batch))
