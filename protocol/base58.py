"""Base58 with the Bitcoin alphabet, as Jazz writes ids, hashes, keys and signatures.

Each signature check decodes 64 bytes and encodes 32. GMP, whose digits of base 58 are others but as
many, does that in a tenth of the time that Python's own integers take.
"""

from __future__ import annotations

from typing import Final

from gmpy2 import mpz

from protocol.errors import InvalidId, shown

ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

_GMP_DIGITS: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
_FROM_GMP: Final = bytes.maketrans(_GMP_DIGITS, ALPHABET.encode())
# GMP takes more than digits (signs, spaces): all that is none becomes what it refuses.
_TO_GMP: Final = bytes(
    _GMP_DIGITS[ALPHABET.index(chr(byte))] if chr(byte) in ALPHABET else ord("!")
    for byte in range(256)
)


def b58encode(data: bytes) -> str:
    """Encode `data`; each leading zero byte becomes a leading `1`."""
    zeros = len(data) - len(data.lstrip(b"\0"))
    if zeros == len(data):
        return "1" * zeros
    gmp_digits: str = mpz(int.from_bytes(data, "big")).digits(58)
    digits = gmp_digits.encode().translate(_FROM_GMP).decode()
    return "1" * zeros + digits if zeros else digits


def b58decode(text: str, length: int) -> bytes:
    """Decode `text` to exactly `length` bytes.

    Raises `InvalidId` for a character outside the alphabet and for any other length, so that each
    value has one spelling only.
    """
    try:
        digits = (text or "1").encode().translate(_TO_GMP).decode()
        data = int(mpz(digits, 58)).to_bytes(length, "big")
    except (ValueError, OverflowError):
        raise InvalidId(f"not {length} bytes in base58: {shown(text)}") from None
    # Leading zeros are written one by one.
    if data[:1] == b"\0" or text[:1] == "1":
        zeros = len(text) - len(text.lstrip("1"))
        if zeros != length - len(data.lstrip(b"\0")):
            raise InvalidId(f"not {length} bytes in base58: {shown(text)}")
    return data
