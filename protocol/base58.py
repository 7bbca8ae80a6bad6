"""Base58 with the Bitcoin alphabet, as Jazz writes ids, hashes, keys and signatures.

Ours and not a package's because it stands on the hot path (each signature check decodes 64 bytes
and encodes 32): two digits at a time it costs a fifth of the pure-Python package, which the tests
hold it against.
"""

from __future__ import annotations

from typing import Final

from protocol.errors import InvalidId, shown

ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

_PAIRS: Final = [high + low for high in ALPHABET for low in ALPHABET]
_DIGIT: Final = {character: value for value, character in enumerate(ALPHABET)}
_PAIR_VALUE: Final = {pair: value for value, pair in enumerate(_PAIRS)}
_LIMB: Final = 58**10


def b58encode(data: bytes) -> str:
    """Encode `data`; each leading zero byte becomes a leading `1`."""
    number = int.from_bytes(data, "big")
    parts: list[str] = []
    while number:
        number, limb = divmod(number, _LIMB)
        for _ in range(5):
            limb, pair = divmod(limb, 3364)
            parts.append(_PAIRS[pair])
    parts.reverse()
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + "".join(parts).lstrip("1")


def b58decode(text: str, length: int) -> bytes:
    """Decode `text` to exactly `length` bytes.

    Raises `InvalidId` for a character outside the alphabet and for any other length, so that each
    value has one spelling only.
    """
    number = 0
    try:
        start = len(text) % 2
        if start:
            number = _DIGIT[text[0]]
        for index in range(start, len(text), 2):
            number = number * 3364 + _PAIR_VALUE[text[index : index + 2]]
        tail = number.to_bytes(length, "big")
    except (KeyError, OverflowError):
        raise InvalidId(f"not {length} bytes in base58: {shown(text)}") from None
    if len(text) - len(text.lstrip("1")) != length - len(tail.lstrip(b"\0")):
        raise InvalidId(f"not {length} bytes in base58: {shown(text)}")
    return tail
