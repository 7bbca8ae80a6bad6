"""Canonical JSON: the text that Jazz hashes (cojson `jsonStringify.ts`, `stableStringify`).

Members sorted by UTF-16 code units, no spaces, strings and numbers exactly as JavaScript writes
them after reading them (so an integer past 2^53 is the nearest double). One quirk is Jazz's own: a
string that begins `encrypted_U` or `binary_U` is put between quotes unescaped. Genuine ones hold
nothing to escape; others are refused, because releases disagree about their text.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

import msgspec

from protocol.errors import MalformedMessage, shown

_encode_string: Final = msgspec.json.Encoder().encode
RAW_PREFIXES: Final = ("encrypted_U", "binary_U")
_ESCAPED: Final = re.compile(r'[\x00-\x1f"\\]')
_EXACT: Final = 2**53


def canonical_json(value: Any) -> bytes:
    """The canonical text of a decoded JSON `value`, as UTF-8.

    Raises `MalformedMessage` where releases of Jazz would not agree on the text, and for values
    nested too deeply to be written.
    """
    try:
        return _text(value).encode()
    except RecursionError:
        raise MalformedMessage("JSON is nested too deeply to be hashed") from None


def needs_escape(text: str) -> bool:
    """Whether `text` is one of Jazz's unescaped strings and yet holds a character to escape."""
    return text.startswith(RAW_PREFIXES) and _ESCAPED.search(text) is not None


def js_number(number: float) -> str:
    """`number` as JavaScript's `String(number)` writes it (ECMA-262, Number::toString)."""
    if isinstance(number, int):
        if -_EXACT <= number <= _EXACT:
            return str(number)
        try:
            number = float(number)
        except OverflowError:
            return "null"  # JavaScript reads it as Infinity.
    if not math.isfinite(number):
        return "null"
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    mantissa, _, exponent = f"{abs(number)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    if fraction == "0":
        fraction = ""
    # The number is 0.DIGITS × 10^point, with the shortest digits that read back as the number.
    point = int(exponent or 0) + len(whole)
    digits = whole + fraction
    point -= len(digits) - len(digits.lstrip("0"))
    digits = digits.strip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = f"e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return f"{sign}{digits[0]}{'.' + digits[1:] if count > 1 else ''}{power}"


def _text(value: Any) -> str:
    if isinstance(value, str):
        if needs_escape(value):
            raise MalformedMessage(f"a string that Jazz would not escape: {shown(value)}")
        return _encode_string(value).decode()
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return js_number(value)
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    members = sorted(value, key=_utf16)
    return f"{{{','.join(_encode_string(k).decode() + ':' + _text(value[k]) for k in members)}}}"


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be")
