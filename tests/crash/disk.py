"""What a disk may hold after a power loss, given what was written to it and synced.

The rules, which are those of POSIX and of https://sqlite.org/atomiccommit.html:

- What was written to a file before a sync of that file that succeeded is there.
- Of what was written since, each sector may be there or not, whatever was written before or after
  it; of several versions of a sector, any. A file may have grown by less, or by more than was
  written, with anything in what was not.
- What a sync that failed was to write may never get there, whatever later syncs say (the kernel
  has dropped it), unless it is written again.
- A file's creation or deletion is there once its directory was synced; before, the operations on
  one name happen in their order, up to any point.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from tests.crash.shim import Operation

_SECTOR: Final = 512


@dataclass(eq=False)
class _Write:
    """A write (`data`) or truncation (`data` is `None`) that may be lost."""

    offset: int
    data: bytes | None
    dropped: bool = False
    """A sync that failed was to write it."""
    durable: bool = False


@dataclass(eq=False)
class _File:
    """The content of a file, whatever its name."""

    durable: bytearray = field(default_factory=bytearray)
    writes: list[_Write] = field(default_factory=list)
    """What happened since, in order. All of it is doubtful, but for what is marked."""

    def sync(self, failed: bool) -> None:
        """Everything so far becomes durable, or will never be."""
        for write in self.writes:
            if failed and not write.durable:
                write.dropped = True
            elif not write.dropped:
                write.durable = True
        while self.writes and self.writes[0].durable:
            _apply(self.durable, self.writes.pop(0))


class Disk:
    """The files after some operations, as they may be found after a power loss."""

    def __init__(self, operations: Sequence[Operation], files: dict[str, bytes]) -> None:
        """`files` are what was there before the first of the operations, by their paths."""
        self._operations = operations
        self.position = 0
        """How many of the operations have happened."""
        self._files = {name: _File(bytearray(content)) for name, content in files.items()}
        """What the names stand for, now."""
        self._durable_names: dict[str, _File | None] = dict(self._files)
        self._renamed: list[tuple[str, _File | None]] = []
        """What names came to stand for since their directory was synced, in order."""
        self._open: dict[int, _File] = {}

    def advance(self, position: int) -> None:
        """Let operations happen, up to a later position."""
        while self.position < position:
            self._step(self._operations[self.position])
            self.position += 1

    def _step(self, done: Operation) -> None:
        if done.kind == "delete":
            del self._files[done.name]
            self._renamed.append((done.name, None))
        elif done.kind == "open":
            if done.name not in self._files:
                self._files[done.name] = _File()
                self._renamed.append((done.name, self._files[done.name]))
            self._open[done.handle] = self._files[done.name]
        elif done.kind == "sync":
            self._open[done.handle].sync(done.failed)
        else:
            data = done.data if done.kind == "write" else None
            self._open[done.handle].writes.append(_Write(done.offset, data))
        if done.directory:
            self._durable_names.update(self._renamed)
            self._renamed.clear()

    def crash(self, chance: random.Random) -> dict[str, bytes]:
        """One of the states that the files may be found in: their contents, by name."""
        manner = chance.choice(_MANNERS)
        names = dict(self._durable_names)
        kept: dict[str, bool] = {}
        for name, file in self._renamed:
            # Up to any point, for each name.
            if kept.setdefault(name, True):
                kept[name] = chance.random() < max(manner.keeps, 0.5)
                if kept[name]:
                    names[name] = file
        return {
            name: _content(file, manner, chance) for name, file in names.items() if file is not None
        }


@dataclass(frozen=True)
class _Manner:
    """How much of what was not synced is kept."""

    keeps: float
    """The chance of each piece."""
    torn: bool = False
    """Whether the pieces are sectors, or whole writes."""
    ordered: bool = False
    """Whether the first piece that is lost takes those after it with it."""


_MANNERS: Final = [
    _Manner(0.0),
    _Manner(1.0),
    *(_Manner(keeps, ordered=True) for keeps in (0.5, 0.9, 0.98)),
    *(_Manner(keeps, torn=torn) for keeps in (0.1, 0.5, 0.9, 0.98) for torn in (False, True)),
    *(_Manner(keeps, torn=True, ordered=True) for keeps in (0.9, 0.98)),
]


def _content(file: _File, manner: _Manner, chance: random.Random) -> bytes:
    content = bytearray(file.durable)
    end = len(content)
    going_on = True
    for write in file.writes:
        if write.durable:
            _apply(content, write)
            end = max(end, len(content)) if write.data is not None else write.offset
            continue
        for piece in _sectors(write) if manner.torn else [write]:
            keeps = going_on and chance.random() < manner.keeps
            if manner.ordered:
                going_on = keeps
            if keeps:
                _apply(content, piece)
        end = max(end, write.offset + len(write.data or b""))
    lacking = end - len(content)
    if lacking > 0 and chance.random() < 0.5:
        # The file has its new size, but not what was written there.
        content += chance.choice([bytes(lacking), chance.randbytes(lacking)])
    return bytes(content)


def _apply(content: bytearray, write: _Write) -> None:
    if write.data is None:
        del content[write.offset :]
        return
    if len(content) < write.offset:
        content += bytes(write.offset - len(content))
    content[write.offset : write.offset + len(write.data)] = write.data


def _sectors(write: _Write) -> list[_Write]:
    if write.data is None:
        return [write]
    first = _SECTOR - write.offset % _SECTOR
    cuts = [0, *range(first, len(write.data), _SECTOR), len(write.data)]
    return [_Write(write.offset + start, write.data[start:stop]) for start, stop in pairwise(cuts)]


def put(folder: Path, files: dict[str, bytes]) -> None:
    """Have these files in a folder, by the last parts of their paths, and no others."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, content in files.items():
        (folder / Path(name).name).write_bytes(content)
