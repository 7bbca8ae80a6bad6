"""What can be wrong with bytes that a peer sent.

    BandstandError
    └── ProtocolError          the peer sent something that the protocol does not allow
        ├── MalformedMessage   not a message: not JSON, a wrong type, a missing member
        ├── InvalidId          an id, session id, agent id or signature that cannot be one
        ├── InvalidHeader      a header that Jazz would refuse, or that does not hash to its id
        └── InvalidTransaction a transaction that some Jazz release would refuse

A message names what was wrong and the value, shortened; it never holds a whole payload.
"""

from __future__ import annotations

_SHOWN = 80


class BandstandError(Exception):
    """The root of every error that bandstand raises on purpose."""


class ProtocolError(BandstandError):
    """A peer broke the protocol. Never fatal: answer it, drop the message, go on."""


class MalformedMessage(ProtocolError):
    """The bytes are not a message of the protocol."""


class InvalidId(ProtocolError):
    """A text that stands where an id, a session id, a key or a signature must."""


class InvalidHeader(ProtocolError):
    """A header that cannot be the header of the CoValue it came with."""


class InvalidTransaction(ProtocolError):
    """A transaction that cannot be stored, because some Jazz release would refuse it."""


def shown(value: object) -> str:
    """`value` as it may appear in an error message: its `repr`, cut to 80 characters."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
