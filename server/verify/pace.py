"""How far the processes of one run are, and whether they are to stop: shared memory of theirs."""

from __future__ import annotations

from ctypes import c_bool, c_uint64
from multiprocessing.context import SpawnContext


class Stopped(Exception):
    """The run is to end."""


class Pace:
    """Bytes read so far by all processes. Handed to each when it is started."""

    def __init__(self, context: SpawnContext) -> None:
        self._read = context.Value(c_uint64, 0)
        self._stopped = context.RawValue(c_bool, False)

    @property
    def read(self) -> int:
        """Bytes of transactions that were read."""
        read: int = self._read.value
        return read

    def advance(self, size: int) -> None:
        """So many bytes more were read. Raises `Stopped`."""
        with self._read:
            self._read.value += size
        if self._stopped.value:
            raise Stopped

    def stop(self) -> None:
        """Have all processes stop where they are."""
        self._stopped.value = True
