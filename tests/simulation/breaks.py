"""Ways to break the node on purpose: what the simulation must find, or it promises nothing.

A break rewrites a few words of functions of the program, in this process only. Words that are no
longer there raise `Unfitting`: the program was changed, and the break must follow it.
"""

from __future__ import annotations
import __future__ as future

import inspect
import textwrap
from importlib import import_module
from types import CodeType, FunctionType
from typing import Final, NamedTuple


class Unfitting(Exception):
    """The words that a break rewrites are not in the function."""


class Edit(NamedTuple):
    """One rewriting of one function."""

    where: str
    """`module:name` or `module:Class.name`."""
    old: str
    """Stands in the function exactly once."""
    new: str


BREAKS: Final[dict[str, tuple[Edit, ...]]] = {
    "acknowledge before the commit": (
        Edit("server.acks:Acknowledger.ask", "if covalue.pending:", "if False:"),
        Edit("server.acks:Acknowledger._tell", "exists, covalue.durable", "exists, covalue.counts"),
    ),
    "take any signature": (
        Edit(
            "protocol.session_log:extended", "if longer.is_signed(signer, signature) else None", ""
        ),
    ),
    "a failed check spoils the hash": (
        Edit("protocol.session_log:extended", "longer = chain.copy()", "longer = chain"),
    ),
    "echo to the sender": (
        Edit("server.relay:relay", "sent = outcome.sent.get(peer)", "sent = None"),
    ),
    "forget the tail of a delivery": (
        Edit("server.streaming:Streaming._finish", "in subscription.tail:", "in ():"),
    ),
    "deliver without dependencies": (
        Edit("server.needs:Needs.edges", "in covalue.dependencies if", "in () if"),
    ),
    "relay without dependencies": (
        Edit("server.relay:relay", "lacks = bool(fresh_dependencies) and", "lacks = False and"),
    ),
    "never release held bytes": (
        Edit("server.backpressure:Backpressure.release", "if peer not in self._peers:", "if True:"),
    ),
    "let go of values that are being written": (
        Edit("server.covalue:CoValue.is_idle", "self.pins or self.pending or", "self.pins or"),
    ),
    "come back without the running hash": (
        Edit("server.rehash:rehash", "while held < count:", "while False:"),
    ),
    "never correct who is ahead": (
        Edit("server.statements:Statements.load", "ahead = not", "ahead = False and not"),
    ),
    "parked content is not woken": (
        Edit("server.parking:Parking.arrived", "self._wake(covalue)", "pass"),
    ),
    "deliver what is not stored yet": (
        Edit(
            "server.delivery:Delivery._serve_loaded",
            "if c.ticket > self._journal.committed",
            "if False",
        ),
    ),
    "anybody may delete": (Edit("server.judgement:_verdicts", '== "admin"', '!= "admin" or True'),),
    "a failed commit counts as done": (
        Edit(
            "server.journal:Journal._commit",
            "self.failure = error",
            "return [True] * len(changes)",
        ),
    ),
    "a full outbox loses what is relayed": (
        Edit(
            "server.relay:relay",
            "news.before, shared=True)\n            peer.lagging.add(covalue.id)",
            "news.before, shared=True)",
        ),
    ),
    "no answer to who is in step": (
        Edit(
            "server.statements:Statements.load",
            "self._acks.ask(covalue, peer, correction=ahead)\n",
            "pass\n",
        ),
    ),
    "dependencies are not stored": (
        Edit("server.acceptance:Acceptance._accept", "list(named)", "[]"),
    ),
    "do not park": (Edit("server.acceptance:Acceptance._park", "if missing or ", "if False and "),),
    "no bound on parked bytes": (
        Edit("server.parking:Parking._has_room", "<= self._limits.parked_bytes", ">= 0"),
    ),
    "a gap is not corrected": (
        Edit(
            "server.acceptance:Acceptance._accept",
            "correction=gap",
            "correction=False",
        ),
    ),
    "a load merges with what was known": (
        Edit(
            "server.statements:Statements.load",
            "subscription.replace(message.header, message.sessions)",
            "subscription.merge(message.header, message.sessions)",
        ),
    ),
    "a tombstone takes content in memory": (
        Edit(
            "server.acceptance:Acceptance._accept",
            "[self._note_claims(covalue, content) for content in contents]",
            "contents",
        ),
        Edit(
            "server.acceptance:Acceptance._accept",
            "chunks = outcome.chunks",
            'chunks = [c for c in outcome.chunks if not covalue.deleted or c.session[-1] == "$"]',
        ),
    ),
    "lanes ignore those of dependencies": (
        Edit("server.covalue:CoValue.choose_lane", "in dependencies:", "in ():"),
    ),
    "who was dropped is not asked again": (
        Edit("server.parking:Parking.arrived", "self._correct(covalue, peer)", "pass"),
    ),
    "what expires is forgotten": (
        Edit("server.parking:Parking._drop", "covalue.starved |= peers", "pass"),
    ),
    "a superseded delivery goes on": (
        Edit(
            "server.streaming:Streaming.send",
            "self.again([part.job for part in parts[index + 1 :]])\n                return",
            "continue",
        ),
    ),
    "a tail that overflows is lost": (
        Edit("server.subscription:Subscription.extend_tail", "self.drop_tail()", "self.tail = []"),
    ),
    "who fell behind is not caught up with": (
        Edit("server.node:Node.catch_up", "list(peer.lagging)", "[]"),
    ),
    "a correction is lost behind a commit": (
        Edit(
            "server.acks:Acknowledger.ask",
            "covalue.acks.get(peer, False) or correction",
            "False",
        ),
    ),
    "values go from memory while they are needed": (
        Edit("server.residents:Residents.held", "covalue.pins += 1", "pass"),
        Edit("server.residents:Residents.held", "covalue.pins -= 1", "pass"),
    ),
    "a deletion leaves the content": (
        Edit("server.acceptance:Acceptance._accept", "chunks, erased\n", "chunks, False\n"),
    ),
    "a reconciliation is not acknowledged": (
        Edit("server.reconcile:Reconciler.answered", "if not peer.batches[batch]:", "if False:"),
    ),
    "who does not read is told ever more": (
        Edit("server.peer:Peer.tell", "if self.outbox.is_full and", "if False and"),
    ),
    "circles wait for ever": (
        Edit("server.acceptance:Acceptance._park", "self._break_circle(covalue, content)", "pass"),
    ),
    "circles go out like all else": (
        Edit("server.delivery:Delivery._plan", "if not has_circle or not jobs:", "if True:"),
    ),
    "an allowance is not given back": (
        Edit("server.delivery:Delivery._give_back", "self._allowance.give_back(size)", "pass"),
    ),
    "what is put aside is forgotten": (
        Edit(
            "server.delivery:Delivery._wait_for",
            "self._enqueue(lane, covalue_id, answer)",
            "pass",
        ),
    ),
    "a retry forgets what else was to be written": (
        Edit(
            "server.journal:Journal._commit",
            "results = await self._store.commit(changes)",
            "results = await self._store.commit(changes[:1] if attempt else changes)\n"
            "            results = [*results, *[True] * len(changes)][: len(changes)]",
        ),
    ),
}
"""Each break by what it does."""


def apply(name: str) -> None:
    """Break this process in the way named. Raises `KeyError` for none, `Unfitting`."""
    for function, code in rewritten(name):
        function.__code__ = code


def rewritten(name: str) -> list[tuple[FunctionType, CodeType]]:
    """The functions that a break rewrites, and what they become. Raises like `apply`."""
    edits: dict[str, list[Edit]] = {}
    for edit in BREAKS[name]:
        edits.setdefault(edit.where, []).append(edit)
    functions = [(_function(where), each) for where, each in edits.items()]
    return [(function, _rewritten(function, each)) for function, each in functions]


def _function(where: str) -> FunctionType:
    module, _, path = where.partition(":")
    found: object = import_module(module)
    for part in path.split("."):
        found = inspect.getattr_static(found, part)
    if isinstance(found, property):
        found = found.fget
    elif isinstance(found, staticmethod):
        found = found.__func__
    found = inspect.unwrap(found) if callable(found) else found
    if not isinstance(found, FunctionType):
        raise Unfitting(f"{where} is no function")
    return found


def _rewritten(function: FunctionType, edits: list[Edit]) -> CodeType:
    text = textwrap.dedent(inspect.getsource(function))
    for edit in edits:
        if text.count(edit.old) != 1:
            raise Unfitting(f"{edit.where} has {edit.old!r} {text.count(edit.old)} times")
        text = text.replace(edit.old, edit.new)
    flags = future.annotations.compiler_flag
    made = compile(text, function.__code__.co_filename, "exec", flags=flags, dont_inherit=True)
    return next(
        code
        for code in made.co_consts
        if isinstance(code, CodeType) and code.co_name == function.__name__
    )
