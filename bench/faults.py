"""What may go wrong with a server under load; it becomes part of the report."""

from __future__ import annotations


class Fault(Exception):
    """A measurement that cannot be completed. The message says why."""


class ServerFailed(Fault):
    """The server did not start, or died."""


class ConnectionFailed(Fault):
    """The server refused or dropped a connection."""


class Stalled(Fault):
    """Nothing moved for too long: a lost acknowledgement or delivery, or a standstill."""


class WrongAnswer(Fault):
    """The server answered what it should not, such as a correction of faultless content."""


class NotMeasured(Fault):
    """This machine, or a server that runs elsewhere, does not let this be measured."""
