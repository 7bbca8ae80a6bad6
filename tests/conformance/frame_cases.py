"""What peers may put into frames, and what must come of it (RFC 6455 §5 to §8).

Each case says what a server that sends texts back has to answer; the categories are those of the
Autobahn test suite, the cases go further where a parser of our own could go wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from tests.conformance.stacks import MAX_BYTES
from tests.conformance.wire import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Outcome,
    close,
    fragments,
    frame,
)

PROTOCOL_ERROR, NOT_UTF8, TOO_BIG = "close 1002", "close 1007", "close 1009"
HELLO, WORLD = frame(TEXT, b"hello"), frame(TEXT, b"world")
EURO: Final = "κόσμε €\U0001f680 ÿ".encode()


@dataclass(frozen=True)
class Case:
    """Bytes after the handshake, and what must come back."""

    name: str
    sent: bytes = field(repr=False)
    expected: Outcome = field(repr=False)

    @property
    def is_small(self) -> bool:
        """Whether it can be sent byte by byte in reasonable time."""
        return len(self.sent) <= 1500


def taken(name: str, sent: bytes, *texts: bytes, pongs: tuple[bytes, ...] = ()) -> Case:
    """All is well: these texts come back, and the connection goes on."""
    return Case(name, sent, Outcome(list(texts), [], list(pongs), "close 1000"))


def fails(name: str, sent: bytes, end: str = PROTOCOL_ERROR, *texts: bytes) -> Case:
    """The connection is failed, and what comes after is not heard."""
    return Case(name, sent + WORLD, Outcome(list(texts), [], [], end))


def lengths() -> Iterator[Case]:
    """Every way to write a length (§5.2)."""
    for size in (0, 1, 2, 3, 4, 5, 124, 125, 126, 127, 128, 65_534, 65_535, 65_536, 65_537, 2**20):
        text = (b"0123456789abcdef" * (size // 16 + 1))[:size]
        yield taken(f"text of {size} bytes", frame(TEXT, text), text)
    long = EURO * 50_000
    yield taken("text of 1 MB, not ASCII", frame(TEXT, long), long)
    for size, length_bytes in ((5, 2), (125, 2), (0, 2), (5, 8), (125, 8), (126, 8), (65_535, 8)):
        text = b"x" * size
        name = f"length {size} written in {length_bytes * 8} bits"
        yield taken(name, frame(TEXT, text, length_bytes=length_bytes), text)
    for length in (2**63, 2**64 - 1):
        sent = frame(TEXT, b"", length_bytes=8, length=length)
        yield fails(f"length {length:#x}", sent, TOO_BIG)
    over = frame(TEXT, b"", length_bytes=8, length=MAX_BYTES + 1)
    yield fails("one byte more than allowed, announced", over, TOO_BIG)
    half = b"x" * (MAX_BYTES // 2)
    yield taken("as large as allowed", frame(TEXT, half + half), half + half)
    yield taken("as large as allowed, in fragments", fragments(half, half), half + half)
    sent = fragments(half, half, b"x")
    yield fails("one byte more than allowed, in fragments", sent, TOO_BIG)
    yield taken("many texts at once", HELLO * 500, *[b"hello"] * 500)


def controls() -> Iterator[Case]:
    """Pings and pongs (§5.5)."""
    for payload in (b"", b"x", EURO, b"\xff\xfe\x00\x80", b"y" * 125):
        name = f"ping with {len(payload)} bytes"
        yield taken(name, frame(PING, payload), pongs=(payload,))
        yield taken(f"pong with {len(payload)} bytes", frame(PONG, payload))
    yield taken(
        "pings in a row", b"".join(frame(PING, b"%d" % n) for n in range(20)),
        pongs=tuple(b"%d" % n for n in range(20)),
    )  # fmt: skip
    yield taken("text between pings", frame(PING, b"1") + HELLO + frame(PING, b"2"),
                b"hello", pongs=(b"1", b"2"))  # fmt: skip
    for name, opcode in (("ping", PING), ("pong", PONG), ("close", CLOSE)):
        yield fails(f"{name} with 126 bytes", frame(opcode, b"\x03\xe8" + b"x" * 124))
        yield fails(f"{name} with 65536 bytes", frame(opcode, b"\x03\xe8" + b"x" * 65_534))
        yield fails(f"{name} without fin", frame(opcode, fin=False))
        yield fails(f"{name} with 5 bytes, length in 16 bits, without fin",
                    frame(opcode, b"\x03\xe8xxx", length_bytes=2, fin=False))  # fmt: skip
        yield fails(f"{name} that is not masked", frame(opcode, mask=None))


def bits() -> Iterator[Case]:
    """Reserved bits, reserved opcodes, masks (§5.2, §5.3)."""
    for rsv in range(1, 8):
        yield fails(f"text with reserved bits {rsv:03b}", frame(TEXT, b"hello", rsv=rsv))
    for rsv in (1, 2, 4):
        for name, opcode in (("ping", PING), ("pong", PONG), ("close", CLOSE), ("binary", BINARY)):
            yield fails(f"{name} with reserved bits {rsv:03b}", frame(opcode, rsv=rsv))
        sent = frame(TEXT, b"he", fin=False) + frame(CONT, b"llo", rsv=rsv)
        yield fails(f"continuation with reserved bits {rsv:03b}", sent)
    for opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF):
        yield fails(f"opcode {opcode:X}", frame(opcode))
        yield fails(f"opcode {opcode:X} with a payload", frame(opcode, b"hello"))
        yield fails(f"opcode {opcode:X} without fin", frame(opcode, b"hello", fin=False))
        sent = frame(TEXT, b"hel", fin=False) + frame(opcode, b"lo")
        yield fails(f"opcode {opcode:X} between fragments", sent)
    for name, mask in (("zeros", bytes(4)), ("ones", b"\xff" * 4), ("one byte", b"\0\0\0\1")):
        yield taken(f"mask of {name}", frame(TEXT, EURO, mask=mask), EURO)
    for tail in range(1, 9):
        text = b"abcdefgh"[:tail] * 3
        yield taken(f"masked text of {len(text)} bytes", frame(TEXT, text), text)
    for size in (0, 5, 126, 65_536):
        sent = frame(TEXT, b"x" * size, mask=None)
        yield fails(f"text of {size} bytes that is not masked", sent)
    yield fails("continuation that is not masked",
                frame(TEXT, b"hel", fin=False) + frame(CONT, b"lo", mask=None))  # fmt: skip


def fragmentation() -> Iterator[Case]:
    """Messages in several frames (§5.4)."""
    yield taken("two fragments", fragments(b"hel", b"lo"), b"hello")
    yield taken("three fragments", fragments(b"h", b"el", b"lo"), b"hello")
    yield taken("first fragment empty", fragments(b"", b"hello"), b"hello")
    yield taken("last fragment empty", fragments(b"hello", b""), b"hello")
    yield taken("fragment between empty", fragments(b"hel", b"", b"lo"), b"hello")
    yield taken("all fragments empty", fragments(b"", b"", b""), b"")
    yield taken("2,000 empty fragments", fragments(b"hel", *[b""] * 2000, b"lo"), b"hello")
    letters = b"abcdefghij" * 100
    singles = [letters[i : i + 1] for i in range(len(letters))]
    yield taken("1,000 fragments of a byte", fragments(*singles), letters)
    yield taken("large fragments", fragments(*[letters * 70] * 5), letters * 350)
    yield taken("fragments, then a text", fragments(b"hel", b"lo") + WORLD, b"hello", b"world")
    yield taken("fragments twice", fragments(b"hel", b"lo") * 2, b"hello", b"hello")
    first, last = frame(TEXT, b"hel", fin=False), frame(CONT, b"lo")
    yield taken("ping between fragments", first + frame(PING, b"!") + last,
                b"hello", pongs=(b"!",))  # fmt: skip
    yield taken("pong between fragments", first + frame(PONG, b"!") + last, b"hello")
    several = b"".join(frame(CONT, b"l", fin=False) + frame(PING, b"%d" % n) for n in range(5))
    yield taken("pings between fragments", first + several + last, b"helllllllo",
                pongs=tuple(b"%d" % n for n in range(5)))  # fmt: skip
    goodbye = Outcome([], [], [], "close 1000")
    yield Case("close between fragments", first + close(1000) + last, goodbye)
    yield taken("a message that does not end", first)
    yield fails("continuation of nothing", frame(CONT, b"lo"))
    yield fails("continuation of nothing, without fin", frame(CONT, b"lo", fin=False))
    yield fails("continuation of nothing, empty", frame(CONT))
    yield fails("text between fragments", first + WORLD + last)
    yield fails("text that starts between fragments", first + first + last)
    yield fails("binary between fragments", first + frame(BINARY, b"!") + last)


def utf8() -> Iterator[Case]:
    """Texts are UTF-8 (§8.1), and stay in one piece wherever they are cut."""
    for name, text in (
        ("greek", "κόσμε".encode()),
        ("the last of each length", b"\x7f\xdf\xbf\xef\xbf\xbf\xf4\x8f\xbf\xbf"),
        ("the first of each length", b"\x00\xc2\x80\xe0\xa0\x80\xf0\x90\x80\x80"),
        ("around the surrogates", b"\xed\x9f\xbf\xee\x80\x80"),
        ("no characters", b"\xef\xbf\xbe\xf0\x9f\xbf\xbe"),
        ("a byte order mark", b"\xef\xbb\xbfhello"),
        ("controls", bytes(range(0x20))),
    ):
        yield taken(f"UTF-8: {name}", frame(TEXT, text), text)
        for cut in range(len(text) + 1):
            yield taken(f"UTF-8: {name}, cut at {cut}", fragments(text[:cut], text[cut:]), text)
    for name, text in (
        ("a lone continuation", b"\x80"),
        ("many lone continuations", b"\xbf\x80\xbf\x80"),
        ("a lone start of two", b"\xc2 "),
        ("a lone start of three", b"\xe0\xa0 "),
        ("a lone start of four", b"\xf0\x90\x80 "),
        ("the end missing", b"\xce\xba\xe1\xbd"),
        ("overlong slash", b"\xc0\xaf"),
        ("overlong in three", b"\xe0\x80\xaf"),
        ("overlong in four", b"\xf0\x80\x80\xaf"),
        ("overlong zero", b"\xc0\x80"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("a pair of surrogates", b"\xed\xa0\x80\xed\xb0\x80"),
        ("beyond the last", b"\xf4\x90\x80\x80"),
        ("five bytes", b"\xf8\x88\x80\x80\x80"),
        ("six bytes", b"\xfc\x84\x80\x80\x80\x80"),
        ("FE", b"\xfe"),
        ("FF", b"\xff"),
    ):
        yield fails(f"not UTF-8: {name}", frame(TEXT, text), NOT_UTF8)
        inside = b"hello " + text + b" world"
        yield fails(f"not UTF-8: {name}, inside", frame(TEXT, inside), NOT_UTF8)
        for cut in range(1, len(text)):
            sent = fragments(b"hello " + text[:cut], text[cut:] + b" world")
            yield fails(f"not UTF-8: {name}, inside, cut at {cut}", sent, NOT_UTF8)
    far = b"x" * 70_000
    yield fails("not UTF-8: far behind", frame(TEXT, far + b"\xff"), NOT_UTF8)
    yield fails("not UTF-8: only together", fragments(b"\xce", b"", b"\xce"), NOT_UTF8)


def closing() -> Iterator[Case]:
    """The goodbye (§5.5.1, §7)."""

    def answered(name: str, sent: bytes, end: str) -> Case:
        return Case(name, sent, Outcome([], [], [], end))

    yield answered("close without a code", close(), "close")
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000,
                 3999, 4000, 4401, 4999):  # fmt: skip
        yield answered(f"close {code}", close(code), f"close {code}")
    for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535):
        yield answered(f"close {code}, which is none", close(code), PROTOCOL_ERROR)
    yield answered("close with a reason", close(1000, EURO), "close 1000")
    yield answered("close with 123 bytes of reason", close(1000, b"x" * 123), "close 1000")
    yield answered("close with one byte", frame(CLOSE, b"\x03"), PROTOCOL_ERROR)
    yield answered("close, reason not UTF-8", close(1000, b"\xce\xba\xff"), NOT_UTF8)
    yield answered("close, and then a text", close(1000) + HELLO, "close 1000")
    yield answered("close, and then a ping", close(1000) + frame(PING, b"!"), "close 1000")
    yield answered("close twice", close(1000) + close(1001), "close 1000")
    yield answered("close, and then nonsense", close(1000) + b"\xff" * 100, "close 1000")


def binaries() -> Iterator[Case]:
    """Binary messages mean nothing here, and cost nothing (they come back from other servers)."""
    yield taken("binary", frame(BINARY, b"\xff\x00hello") + HELLO, b"hello")
    yield taken("binary of 0 bytes", frame(BINARY) + HELLO, b"hello")
    sent = fragments(b"\xff", b"\x80", b"", opcode=BINARY)
    yield taken("binary in fragments", sent + HELLO, b"hello")
    sent = frame(BINARY, b"\xff", fin=False) + frame(PING, b"!") + frame(CONT, b"\xfe")
    yield taken("ping between binary fragments", sent + HELLO, b"hello", pongs=(b"!",))
    sent = fragments(b"hel", b"lo") + sent + fragments(b"wor", b"ld")
    yield taken("binary between texts", sent, b"hello", b"world", pongs=(b"!",))
    yield fails("text between binary fragments", frame(BINARY, b"\xff", fin=False) + HELLO)


CASES: Final = [
    case
    for category in (lengths, controls, bits, fragmentation, utf8, closing, binaries)
    for case in category()
]

DEPARTURES: Final = {
    "close between fragments": "close 1002",
    "a message that does not end": "close 1002",
}
"""Where bandstand ends otherwise than the RFC has it, and how; the README says why."""

assert all(a < b for a, b in pairwise(sorted(case.name for case in CASES))), "names are unique"
