"""Inputs for the targets: seeds from the golden vectors, and what fuzzing has found worth keeping.

The latter stay in `corpus/TARGET.jsonl`: one JSON string a line, a character for each byte.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgpack

from tests.conformance.frame_cases import CASES
from tests.conformance.handshake_cases import HANDSHAKES
from tests.fuzz.chunks import chunks, roles
from tests.fuzz.doors import addresses, carriers, control, token
from tests.fuzz.messages import VALUE, changes, deletion, frames, header, messages, session
from tests.fuzz.node import PREPARED, node
from tests.fuzz.sockets import connection
from tests.fuzz.texts import base58_, canonical, ids
from tests.integration.sync.stage import Band
from tests.signing import deletion as deletion_of

Target = Callable[[bytes], object]

TARGETS: Final[dict[str, Target]] = {
    "frames": frames,
    "messages": messages,
    "header": header,
    "session": session,
    "deletion": deletion,
    "changes": changes,
    "ids": ids,
    "base58": base58_,
    "canonical": canonical,
    "roles": roles,
    "chunks": chunks,
    "carriers": carriers,
    "token": token,
    "addresses": addresses,
    "control": control,
    "connection": connection,
    "node": node,
}

KEPT: Final = Path(__file__).with_name("corpus")
TRANSCRIPTS: Final = "transcripts"
"""Beside the targets' files: what a real client and server said to each other, shortened."""
VECTORS: Final = Path(__file__).parents[1] / "vectors"


def kept(target: str) -> list[bytes]:
    """What fuzzing left in the tree."""
    file = KEPT / f"{target}.jsonl"
    if not file.exists():
        return []
    return [json.loads(line).encode("latin-1") for line in file.read_text().splitlines()]


def keep(target: str, inputs: Iterable[bytes]) -> None:
    """Write the target's file anew: the short ones first, each once."""
    KEPT.mkdir(exist_ok=True)
    lines = [json.dumps(each.decode("latin-1")) for each in sorted(set(inputs), key=_by_size)]
    (KEPT / f"{target}.jsonl").write_text("".join(f"{line}\n" for line in lines))


def _by_size(data: bytes) -> tuple[int, bytes]:
    return len(data), data


@cache
def seeds(target: str) -> list[bytes]:
    """Proper inputs, small enough to be changed in every place."""
    made = _SEEDS[target]()
    return [each for each in dict.fromkeys(made) if len(each) <= 4_096]


def _vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _messages() -> list[bytes]:
    return [*PREPARED, *_sessions_in_messages(), *kept(TRANSCRIPTS)]


def _sessions_in_messages() -> list[bytes]:
    return [
        _json({"action": "content", "id": each["id"], "header": each["header"], "priority": 3,
               "new": {each["session"]: json.loads(session)}})
        for each in _vectors("cojson")["sessions"]
        for session in [_session(each)]
    ]  # fmt: skip


def _sessions() -> list[bytes]:
    made = [_session(each) for each in _vectors("cojson")["sessions"]]
    for each in _vectors("cojson")["acceptance"]:
        content = b'{"after":0,"newTransactions":[%b],"lastSignature":"%b"}'
        made.append(content % (each["wire"].encode(), each["signature"].encode()))
    return made


def _session(vector: dict[str, Any]) -> bytes:
    transactions, signature = vector["transactions"], "signature_z1"
    return _json({"after": 0, "newTransactions": transactions, "lastSignature": signature})


def _deletions() -> list[bytes]:
    marker = deletion_of(VALUE.id, made_at=1)
    return [
        _json({"after": 0, "newTransactions": transactions, "lastSignature": "signature_z1"})
        for transactions in ([marker], [marker, marker], [], [marker | {"meta": "{}"}])
    ]


def _headers() -> list[bytes]:
    return [_json(each["header"]) for each in _vectors("cojson")["headers"]]


def _changes() -> list[bytes]:
    return [
        transaction["changes"].encode()
        for each in _vectors("cojson")["sessions"]
        for transaction in each["transactions"]
        if "changes" in transaction
    ] + [
        b'[{"op":"x","key":"k"},{"op":"set","key":1},{"key":"k"},1,{"op":"set","key":"k"}]',
        b'{"op":"set","key":"k"}',
        b'[{"op":"set","key":"\\ud800","value":1e999}]',
    ]


def _ids() -> list[bytes]:
    vectors = _vectors("cojson")
    found = [each[key] for each in vectors["sessions"] for key in ("id", "session", "author")]
    found += [each["signature"] for each in vectors["acceptance"]]
    found += [Band().account.agent.id, Band().account.delete_session().id]
    return [each.encode() for each in found]


def _canonical() -> list[bytes]:
    numbers = b"[1e20,1e21,1e-6,1e-7,-0.0,1.5e300,5e-324,9007199254740993,123456789012345678901]"
    return [numbers, *(text.encode() for pair in _vectors("canonical")["values"] for text in pair)]


def _bytes() -> list[bytes]:
    return [bytes(range(n, n + 32)) for n in range(0, 224, 32)] + [bytes(19), b"\xff" * 64, b""]


def _deeds() -> list[bytes]:
    # Roles, parents, revocations, by and for everybody.
    handed_on = bytes([0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 2, 2, 2, 0, 2, 0, 10, 3, 0, 1, 0, 10, 4])
    family = bytes([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 8, 11, 1, 1, 0, 7, 11, 1, 1, 0, 1, 2, 2])
    return [handed_on, family, family + handed_on] + [
        bytes([group, who, key, value, key + value]) * 2 + bytes([group, 0, who, 0, 1])
            for group in range(3) for who in range(3) for key in (0, 1, 6, 7, 8)
            for value in (0, 3, 10, 11)]  # fmt: skip


def _tokens() -> list[bytes]:
    made = [".".join(each["parts"]).encode() for each in _vectors("clerk")["cases"]][::3]
    long = base64.urlsafe_b64encode(_json({"alg": "RS256", "kid": "k" * 300})).rstrip(b"=")
    return [*made, b".".join([long, *made[0].split(b".")[1:]])]


def _carriers() -> list[bytes]:
    one = ".".join(_vectors("clerk")["cases"][0]["parts"])
    return [
        each.encode()
        for each in (
            "/?key=me@example.com",
            f"/?token={one}&key=bsk_1",
            f"/\nAuthorization: Bearer {one}\nOrigin: https://app.example.com",
            f"/\nSec-WebSocket-Protocol: bandstand.clerk, {one}",
            f"/\nCookie: __session_abc={one}; __client_uat_abc=1780000000; __session={one}",
            "/?t=a%2Bb\nAuthorization: Basic eA==\nAuthorization: Bearer bsk_1",
        )
    ]


def _addresses() -> list[bytes]:
    return [
        b"127.0.0.1\n192.0.2.1, 10.0.0.1",
        b"::1\n[2001:db8::1]",
        b"::ffff:10.0.0.1\n1.2.3.4",
        b"fe80::1%eth0",
        b"https://app.example.com",
        b"10.0.0.1\nunknown, , 10.0.0.2",
    ]


def _control() -> list[bytes]:
    asked: list[dict[str, Any]] = [
        {"type": "keys.create", "name": "a", "role": "app", "origins": ["https://a.example"]},
        {"type": "keys.list"},
        {"type": "keys.rotate", "name": "a", "grace_s": 1.5},
        {"type": "sessions.end", "by": "sid", "name": "a"},
        {"rows": [{"a": 1, "b": [None, b"x"]}], "error": None, "secret": "s"},
    ]
    return [bytes(msgpack.packb(each)) for each in asked]


def _connections() -> list[bytes]:
    made = [bytes([2 * n + 1]) + case.sent for n, case in enumerate(CASES[:120])]
    made += [bytes([(2 * n + 1) % 256]) + case.sent for n, case in enumerate(CASES[120:])]
    made += [bytes([2 * n]) + case.request + case.follows for n, case in enumerate(HANDSHAKES)]
    return made


def _nodes() -> list[bytes]:
    def told(who: int, *which: int) -> bytes:
        return bytes([who + 4]) + len(which).to_bytes(2, "big") + bytes(which)

    def raw(who: int, text: bytes) -> bytes:
        return bytes([who]) + len(text).to_bytes(2, "big") + text

    everything = range(len(PREPARED))
    rest = bytes([4 * 4])
    return [
        told(0, 0, 1, 2, 3, 4, 5, 6) + rest + told(1, *everything[25:]) + rest,
        told(0, *everything[:20]) + rest + told(1, *everything[20:40]) + rest,
        b"".join(told(n % 4, n) + rest for n in everything),
        b"".join(told(n % 4, n) for n in reversed(everything)) + bytes([4 * 6]) + told(1, 2, 1, 0),
        *(told(0, 0, 1, 2, forged, 3, 4) + rest for forged in (7, 8, 9, 10)),
        *(told(0, 0, 1, 2, 3) + rest + told(1, n, 24) + rest for n in range(11, len(PREPARED))),
        told(2, 2) + rest + told(2, 1) + bytes([4 * 3 + 2]) + told(1, 0, 1, 2) + rest,
        told(0, 0, 1, 2) + bytes([4 * 5 + 1]) + told(1, *everything[24:40]) + told(0, 3, 4, 5, 6),
        raw(0, PREPARED[0]) + raw(0, b"{}") + raw(1, PREPARED[30] + b"\n\n[]\n" + PREPARED[31]),
        bytes([4 * 2]) + (8).to_bytes(2, "big") + b"\x02\x00\x40\x04null" + told(0, 0, 1, 2) + rest,
    ]


_SEEDS: Final[dict[str, Callable[[], list[bytes]]]] = {
    "frames": lambda: [b"\n".join(PREPARED[:3]), b"\n\n{}\n \n", b"", b"\n"],
    "messages": _messages,
    "header": _headers,
    "session": _sessions,
    "deletion": _deletions,
    "changes": _changes,
    "ids": _ids,
    "base58": _bytes,
    "canonical": _canonical,
    "roles": _deeds,
    "chunks": _bytes,
    "carriers": _carriers,
    "token": _tokens,
    "addresses": _addresses,
    "control": _control,
    "connection": _connections,
    "node": _nodes,
}
