"""What can go wrong on the server's side, and with which exit code a command then ends.

    BandstandError
    ├── Refused                a handshake that is not let in; it ends no command
    └── ServerError
        ├── BadSettings        64  a setting that is unknown, malformed, unsafe or contradictory
        ├── PortUnavailable    69  the address cannot be listened on
        └── StoreError         74  the database cannot be used
            ├── ForeignDatabase    65  the file is not a bandstand database
            ├── NewerDatabase      65  the file was written by a newer bandstand
            ├── StoreDamaged       65  what is stored is damaged, as a whole or in one place
            └── StoreUnavailable   74  a write or read failed now and may succeed later

Exit codes are those of BSD's sysexits.h.
"""

from __future__ import annotations

from typing import ClassVar

from protocol.errors import BandstandError


class Refused(BandstandError):
    """A handshake that is not let in: why, in one word, and the HTTP status that says so."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class ServerError(BandstandError):
    """An error that ends a command with one line and an exit code."""

    exit_code: ClassVar[int] = 70


class BadSettings(ServerError):
    """A setting that is unknown, malformed, unsafe or contradictory."""

    exit_code = 64


class PortUnavailable(ServerError):
    """The address cannot be listened on."""

    exit_code = 69


class StoreError(ServerError):
    """The database cannot be used."""

    exit_code = 74


class ForeignDatabase(StoreError):
    """The file is not a bandstand database."""

    exit_code = 65


class NewerDatabase(StoreError):
    """The file was written by a newer bandstand."""

    exit_code = 65


class StoreDamaged(StoreError):
    """What is stored is not what was stored: the whole file, or one place in it."""

    exit_code = 65

    def __init__(self, why: str, covalue: str = "", session: str = "", index: int = 0) -> None:
        """`session` is damaged from its transaction `index` on; empty: the whole CoValue is."""
        super().__init__(why)
        self.covalue = covalue
        self.session = session
        self.index = index


class StoreUnavailable(StoreError):
    """A read or write failed now (disk full, I/O error) and may succeed later."""
