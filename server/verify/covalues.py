"""One CoValue of a database: everything about it that can be proved."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import msgspec

from protocol.content import Chunk, split_transactions
from protocol.deletion import check_deletion
from protocol.dependencies import group_dependencies
from protocol.errors import ProtocolError
from protocol.header import Header, parse_header
from protocol.ids import parse_session_id, signer_key
from protocol.session_log import Chain
from protocol.transaction import Transaction, canonical_transaction
from server.store.damage import is_damage, why_not_whole
from server.verify.facts import Digest, Facts
from server.verify.findings import KEPT_BACK, LOST, Finding, Found
from server.verify.pace import Pace, Stopped

_decode: Final = msgspec.json.Decoder(list[Transaction]).decode


class Unsound(Exception):
    """A chunk is not what it must be."""


class Checker:
    """Checks CoValues of one database, one after the other."""

    def __init__(self, connection: sqlite3.Connection, facts: Facts, pace: Pace) -> None:
        """`facts` are those of earlier runs; `pace` is told of what is read."""
        self._connection = connection
        self._facts = facts
        self._pace = pace
        self._reached = 0
        """Bytes of the session in hand that the pace knows of."""
        columns = connection.execute("SELECT name FROM pragma_table_info('chunks')").fetchall()
        self._checksum = "checksum" if ("checksum",) in columns else "NULL"
        self._signer = lru_cache(maxsize=65_536)(self._signer_of)

    def check(self, key: int) -> Found:
        """Check the CoValue of this row, in one state of the database.

        Once the pace is stopped nothing is found out but how far a session was sound.
        """
        found = Found()
        self._connection.execute("BEGIN")
        try:
            self._check(key, found)
        except Stopped:
            return Found(facts=found.facts)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            found.findings.append(Finding(str(error), f"row {key} of covalues", LOST))
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        return found

    def _check(self, key: int, found: Found) -> None:
        row = self._connection.execute(
            "SELECT id, header, deleted FROM covalues WHERE key = ?", (key,)
        ).fetchone()
        if row is None:
            return  # In the index and not in the table: SQLite's own check names it.
        covalue, raw, deleted = row
        found.counts.covalues += 1
        header = self._header(covalue, raw, found)
        if header is None:
            return
        found.counts.bytes += len(raw)
        sessions = self._connection.execute(
            "SELECT key, id FROM sessions WHERE covalue = ? ORDER BY key", (key,)
        ).fetchall()
        self._check_tombstone(covalue, bool(deleted), [s for _, s in sessions], found)
        stored = {
            dependency
            for (dependency,) in self._connection.execute(
                "SELECT id FROM dependencies WHERE covalue = ?", (key,)
            )
        }
        for dependency in sorted({*stored, *header.dependencies} - {covalue}):
            if not self._exists(dependency):
                what = f"it depends on {dependency}, which is not there"
                found.findings.append(Finding(what, covalue))
        named: set[str] = set()
        for session_key, session in sessions:
            try:
                named |= self._check_session(header, session_key, session, found)
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                found.findings.append(Finding(str(error), f"{covalue} {session}", KEPT_BACK))
        for dependency in sorted(named - stored - {covalue}):
            what = f"its transactions name {dependency}, its dependencies do not"
            found.findings.append(Finding(what, covalue))

    @staticmethod
    def _header(covalue: object, raw: object, found: Found) -> Header | None:
        try:
            if not isinstance(covalue, str) or not isinstance(raw, bytes):
                raise Unsound("its id or header is of another kind")
            header = parse_header(covalue, raw)
            if header.canonical != raw:
                raise Unsound("its header is not the canonical text")
        except (ProtocolError, Unsound) as error:
            found.findings.append(Finding(str(error), str(covalue), LOST))
            return None
        return header

    @staticmethod
    def _check_tombstone(covalue: str, deleted: bool, sessions: list[str], found: Found) -> None:
        deletes = [str(session).endswith("$") for session in sessions]
        if deleted and not all(deletes):
            what = "it is deleted and yet has live sessions"
        elif deleted and not deletes:
            what = "it is deleted, and the delete session is missing"
        elif not deleted and any(deletes):
            what = "it has a delete session and is not deleted"
        else:
            return
        found.findings.append(Finding(what, covalue, LOST))

    def _check_session(self, header: Header, key: int, session: str, found: Found) -> set[str]:
        """Check one session. Returns what its transactions name, as far as they were decoded."""
        where = f"{header.id} {session}"
        found.counts.sessions += 1
        self._reached = 0
        try:
            author = parse_session_id(session)
            signer = self._signer(author.author)
        except (ProtocolError, TypeError) as error:
            found.findings.append(Finding(str(error), where, LOST))
            return set()
        if signer is None:
            what = f"its author {author.author} is not there as a sound account"
            found.findings.append(Finding(what, where))
            return set()
        digest = Digest(header.id, session, signer)
        chunks, value = self._facts.get(digest.key, (0, b""))
        if chunks:
            more = self._is_known(digest, key, session, chunks, value)
            if more is not None:
                found.counts.known += chunks
            # Of a group it is to be seen what its transactions name.
            if more == 0 and not header.is_group:
                found.counts.chunks += chunks
                self._count_known(key, found)
                found.facts[digest.key] = (chunks, value)
                return set()
            proved = chunks if more is not None else 0
        else:
            proved = 0
        return self._prove(header, key, session, signer, proved, found)

    def _count_known(self, key: int, found: Found) -> None:
        transactions, size = self._connection.execute(
            "SELECT sum(count), sum(length(data)) FROM chunks WHERE session = ?", (key,)
        ).fetchone()
        found.counts.transactions += transactions
        found.counts.bytes += size

    def _is_known(
        self, digest: Digest, key: int, session: str, chunks: int, value: bytes
    ) -> int | None:
        """How many chunks there are after the first `chunks`, if those are the ones known."""
        count = 0
        for chunk, _ in self._chunks(key, session):
            if not isinstance(chunk.data, bytes):
                return None
            if count < chunks:
                digest.add(chunk)
            count += 1
        return count - chunks if count >= chunks and digest.value() == value else None

    def _prove(
        self, header: Header, key: int, session: str, signer: bytes, proved: int, found: Found
    ) -> set[str]:
        """Check every chunk of a session; of the first `proved` ones it is known already."""
        digest, chain = Digest(header.id, session, signer), Chain()
        named: set[str] = set()
        held = chunks = 0
        unsigned: list[int] = []
        broken: str | None = None
        try:
            for chunk, stored in self._chunks(key, session):
                chunks += 1
                try:
                    if why := why_not_whole(header.id, chunk, stored):
                        raise Unsound(why)
                    if chunk.first != held:
                        raise Unsound(f"transactions {held} to {chunk.first} are missing")
                    texts = _texts(chunk)
                    if chunks > proved or header.is_group:
                        named |= _named(header, session, chunk, texts)
                except (Unsound, ProtocolError) as error:
                    broken = f"from transaction {held} on: {error}"
                    break
                chain.extend(texts)
                digest.add(chunk)
                held += chunk.count
                found.counts.bytes += len(chunk.data)
                if chunks > proved:
                    found.counts.signatures += 1
                    if not chain.is_signed(signer, chunk.signature):
                        unsigned.append(chunk.first)
        except Stopped:
            if chunks > proved and not unsigned:
                found.facts[digest.key] = (chunks, digest.value())
            raise
        found.counts.chunks += chunks
        found.counts.transactions += held
        if broken is None and not chunks:
            broken = "it has no transactions"
        if unsigned and broken is None:
            broken = f"from transaction {unsigned[0]} on: {len(unsigned)} signatures do not hold"
        if broken is not None:
            found.findings.append(Finding(broken, f"{header.id} {session}", KEPT_BACK))
        else:
            found.facts[digest.key] = (chunks, digest.value())
        return named

    def _chunks(self, key: int, session: str) -> Iterator[tuple[Chunk, object]]:
        read = 0
        for first, count, signature, data, stored in self._connection.execute(
            f"SELECT first, count, signature, data, {self._checksum} FROM chunks"
            " WHERE session = ? ORDER BY first",
            (key,),
        ):
            yield Chunk(session, first, count, signature, data), stored
            read += len(data) if isinstance(data, bytes) else 0
            # What is known in part is read twice.
            if read > self._reached:
                size, self._reached = read - self._reached, read
                self._pace.advance(size)

    def _exists(self, covalue: str) -> bool:
        row = self._connection.execute("SELECT 1 FROM covalues WHERE id = ?", (covalue,))
        return row.fetchone() is not None

    def _signer_of(self, author: str) -> bytes | None:
        if not author.startswith("co_z"):
            return signer_key(author)
        row = self._connection.execute(
            "SELECT header FROM covalues WHERE id = ?", (author,)
        ).fetchone()
        try:
            return None if row is None else parse_header(author, row[0]).signer
        except (ProtocolError, TypeError):
            return None


def _texts(chunk: Chunk) -> list[bytes]:
    """The canonical texts of a chunk, which are all that it holds."""
    try:
        texts = split_transactions(chunk.data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise Unsound(f"it is no JSON: {error}") from None
    if len(texts) != chunk.count or b",".join(texts) != chunk.data:
        raise Unsound(f"it holds {len(texts)} transactions, and says {chunk.count}")
    return texts


def _named(header: Header, session: str, chunk: Chunk, texts: list[bytes]) -> set[str]:
    """What transactions name, if each is one that Jazz takes, and canonical."""
    try:
        transactions = _decode(b"[" + chunk.data + b"]")
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise Unsound(f"a transaction is none: {error}") from None
    for number, (transaction, text) in enumerate(zip(transactions, texts, strict=True)):
        if canonical_transaction(transaction) != text:
            raise Unsound(f"the text of transaction {chunk.first + number} is not canonical")
    if session.endswith("$"):
        check_deletion(header, chunk.first, transactions)
    return group_dependencies(transactions) if header.is_group else set()
