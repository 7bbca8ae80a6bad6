"""One device's copy of a CoValue, and how it puts that into messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.simulation.proof import Log

Json = dict[str, Any]
Sessions = dict[str, int]


class Replica:
    """Header and session logs, as one device holds them."""

    def __init__(self, identifier: str, header: Json) -> None:
        self.id = identifier
        self.header = header
        self.logs: dict[str, Log] = {}
        self.deleted = False

    @property
    def is_group(self) -> bool:
        """Whether this is a group or an account."""
        return bool(self.header["ruleset"]["type"] == "group")

    @property
    def is_account(self) -> bool:
        """Whether this is an account."""
        return (self.header["meta"] or {}).get("type") == "account"

    def log(self, session: str) -> Log:
        """The session, begun if it is not there."""
        return self.logs.setdefault(session, Log())

    def counts(self) -> Sessions:
        """What is held; of a tombstone only what deletes it."""
        return {
            session: len(log)
            for session, log in self.logs.items()
            if log and (not self.deleted or session.endswith("$"))
        }

    def erase(self) -> None:
        """Become a tombstone."""
        self.deleted = True

    def contents(self, lacks_header: bool, known: Mapping[str, int], *, cut: bool) -> list[bytes]:
        """The `content` messages that somebody lacks who holds `known`; `cut` at each signature."""
        runs: list[tuple[str, int, int]] = []
        for session, count in self.counts().items():
            start = known.get(session, 0)
            marks = sorted(self.logs[session].marks) if cut else [count]
            for end in marks:
                if end > start:
                    runs.append((session, start, end))
                    start = end
        if not cut:
            return [self._content(lacks_header, runs)] if runs or lacks_header else []
        first = [self._content(True, runs[:1])] if lacks_header else []
        return first + [self._content(False, [run]) for run in (runs[1:] if first else runs)]

    def _content(self, with_header: bool, runs: list[tuple[str, int, int]]) -> bytes:
        header = f',"header":{json.dumps(self.header)}' if with_header else ""
        new = ",".join(self._run(*run) for run in runs)
        text = f'{{"action":"content","id":"{self.id}","priority":3{header},"new":{{{new}}}}}'
        return text.encode()

    def _run(self, session: str, start: int, end: int) -> str:
        log = self.logs[session]
        texts = b",".join(log.texts[start:end]).decode()
        return (
            f'"{session}":{{"after":{start},"newTransactions":[{texts}],'
            f'"lastSignature":"{log.marks[end]}"}}'
        )
