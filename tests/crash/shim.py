"""A layer between SQLite and the file system: it records what is written and synced, and fails.

It is a VFS (https://sqlite.org/vfs.html) in the very library that `sqlite3` uses: a copy of the
default one, in which some functions are replaced by ours, which note the call, maybe refuse it, and
then call what they replace. So everything else (locks, shared memory) is SQLite's own.

What is recorded is in the order in which it happened, over all threads: a call notes itself while
it holds the interpreter's lock. The `-shm` file is not seen here; it is void after a crash anyway.
"""

from __future__ import annotations

import _sqlite3
import ctypes
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_int64, c_void_p
from functools import partial
from typing import Any, ClassVar, Final, Literal, NamedTuple, Self

READONLY: Final = 8
IOERR_READ: Final = 10 | 1 << 8
IOERR_WRITE: Final = 10 | 3 << 8
IOERR_FSYNC: Final = 10 | 4 << 8
FULL: Final = 13
"""SQLite's result codes, https://sqlite.org/rescode.html."""

_OPEN_CREATE: Final = 0x4
_OPEN_MAIN_DB: Final = 0x100
_OPEN_JOURNALS: Final = 0x800 | 0x4000 | 0x80000
"""Rollback journal, super-journal, write-ahead log."""

Kind = Literal["open", "read", "write", "truncate", "sync", "delete"]


class Operation(NamedTuple):
    """One call that changes what is on the disk, or what is durable."""

    kind: Kind
    name: str
    """The file's path."""
    handle: int = 0
    """Tells the openings of a file apart."""
    offset: int = 0
    """Of a write; of a truncation, the new size."""
    data: bytes = b""
    directory: bool = False
    """Of a sync or deletion: whether it syncs the directory, too."""
    failed: bool = False
    """Of a sync: it was refused."""


Fault = Callable[[Kind, str, range], int]
"""Given an operation, a file's path and the bytes concerned: 0, or a code to refuse it with.

It may block.
"""


class _IoMethods(ctypes.Structure):
    """`sqlite3_io_methods`, https://sqlite.org/c3ref/io_methods.html; ours come first."""

    _fields_: ClassVar = [
        ("iVersion", c_int),
        ("xClose", c_void_p),
        ("xRead", c_void_p),
        ("xWrite", c_void_p),
        ("xTruncate", c_void_p),
        ("xSync", c_void_p),
        ("others", c_void_p * 13),
    ]


class _Vfs(ctypes.Structure):
    """`sqlite3_vfs`, https://sqlite.org/c3ref/vfs.html, as of its version 3."""

    _fields_: ClassVar = [
        ("iVersion", c_int),
        ("szOsFile", c_int),
        ("mxPathname", c_int),
        ("pNext", c_void_p),
        ("zName", c_char_p),
        ("pAppData", c_void_p),
        ("xOpen", c_void_p),
        ("xDelete", c_void_p),
        ("others", c_void_p * 14),
    ]


_TYPES: Final = {
    "xClose": ctypes.CFUNCTYPE(c_int, c_void_p),
    "xOpen": ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p),
    "xDelete": ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_int),
    "xRead": ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64),
    "xWrite": ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64),
    "xTruncate": ctypes.CFUNCTYPE(c_int, c_void_p, c_int64),
    "xSync": ctypes.CFUNCTYPE(c_int, c_void_p, c_int),
}


class ShimUnavailable(Exception):
    """The library that `sqlite3` uses cannot be reached from here."""


class Shim:
    """The layer. `record` is what happened; `fault`, if set, is asked before each operation."""

    def __init__(self) -> None:
        self.record: list[Operation] = []
        self.fault: Fault | None = None
        self.opened = 0
        self._library = ctypes.CDLL(_sqlite3.__file__)
        try:
            find, self._register = (
                self._library.sqlite3_vfs_find,
                self._library.sqlite3_vfs_register,
            )
            self._unregister = self._library.sqlite3_vfs_unregister
        except AttributeError as error:
            raise ShimUnavailable(str(error)) from None
        find.restype = c_void_p
        address = find(None)
        self._vfs = _Vfs.from_address(address)
        self._ours = _Vfs()
        ctypes.memmove(ctypes.byref(self._ours), address, ctypes.sizeof(_Vfs))
        self._ours.zName = b"bandstand-shim"
        self._address = address
        self._names: dict[int, tuple[str, int]] = {}
        self._unsynced_directories: set[int] = set()
        self._methods: dict[int, _IoMethods] = {}
        self._kept: list[Any] = []
        self._open = self._replace(self._ours, "xOpen", self._on_open)
        self._delete = self._replace(self._ours, "xDelete", self._on_delete)

    def __enter__(self) -> Self:
        assert self._register(ctypes.byref(self._ours), 1) == 0
        return self

    def __exit__(self, *_: object) -> None:
        assert not self._names, f"still open: {self._names}"
        self._register(c_void_p(self._address), 1)
        self._unregister(ctypes.byref(self._ours))

    def _replace(self, table: ctypes.Structure, name: str, ours: Callable[..., int]) -> Any:
        """Put ours into a table. Returns what was there, to be called."""
        theirs = _TYPES[name](getattr(table, name))
        function = _TYPES[name](ours)
        self._kept.append(function)
        setattr(table, name, ctypes.cast(function, c_void_p).value)
        return theirs

    def _refused(self, kind: Kind, name: str, offset: int = 0, size: int = 0) -> int:
        fault = self.fault
        return 0 if fault is None else fault(kind, name, range(offset, offset + size))

    def _on_open(self, vfs: int, name: int | None, file: int, flags: int, out: int | None) -> int:
        kept = name is not None and flags & (_OPEN_MAIN_DB | _OPEN_JOURNALS)
        path = ctypes.string_at(name).decode() if name is not None else ""
        if kept and (code := self._refused("open", path)):
            c_void_p.from_address(file).value = None
            return code
        result: int = self._open(self._address, name, file, flags, out)
        if result == 0 and kept:
            self.opened += 1
            self._names[file] = path, self.opened
            if flags & _OPEN_CREATE and flags & _OPEN_JOURNALS:
                # os_unix.c: the first sync of a new journal syncs its directory, too.
                self._unsynced_directories.add(file)
            methods = c_void_p.from_address(file)
            assert methods.value is not None
            methods.value = self._table(methods.value)
            self.record.append(Operation("open", path, self.opened))
        return result

    def _table(self, theirs: int) -> int:
        """Our version of a table of functions."""
        if theirs not in self._methods:
            table = _IoMethods()
            ctypes.memmove(ctypes.byref(table), theirs, ctypes.sizeof(_IoMethods))
            calls: dict[str, Any] = {}
            for name, ours in (
                ("xClose", self._on_close),
                ("xRead", self._on_read),
                ("xWrite", self._on_write),
                ("xTruncate", self._on_truncate),
                ("xSync", self._on_sync),
            ):
                calls[name] = self._replace(table, name, partial(ours, calls))
            self._methods[theirs] = table
        return ctypes.addressof(self._methods[theirs])

    def _on_close(self, calls: dict[str, Any], file: int) -> int:
        self._names.pop(file, None)
        self._unsynced_directories.discard(file)
        result: int = calls["xClose"](file)
        return result

    def _on_read(self, calls: dict[str, Any], file: int, data: int, size: int, offset: int) -> int:
        if code := self._refused("read", self._names[file][0], offset, size):
            return code
        result: int = calls["xRead"](file, data, size, offset)
        return result

    def _on_write(self, calls: dict[str, Any], file: int, data: int, size: int, offset: int) -> int:
        name, handle = self._names[file]
        code = self._refused("write", name, offset, size)
        if code:
            # A full disk takes what still fits.
            size //= 2
        self.record.append(Operation("write", name, handle, offset, ctypes.string_at(data, size)))
        result: int = calls["xWrite"](file, data, size, offset) if size else 0
        return code or result

    def _on_truncate(self, calls: dict[str, Any], file: int, size: int) -> int:
        name, handle = self._names[file]
        if code := self._refused("truncate", name):
            return code
        self.record.append(Operation("truncate", name, handle, size))
        result: int = calls["xTruncate"](file, size)
        return result

    def _on_sync(self, calls: dict[str, Any], file: int, flags: int) -> int:
        name, handle = self._names[file]
        # Not really synced: what a crash leaves is made from the record.
        code = self._refused("sync", name)
        directory = not code and file in self._unsynced_directories
        if not code:
            self._unsynced_directories.discard(file)
        self.record.append(Operation("sync", name, handle, directory=directory, failed=bool(code)))
        return code

    def _on_delete(self, vfs: int, name: int, directory: int) -> int:
        path = ctypes.string_at(name).decode()
        if code := self._refused("delete", path):
            return code
        result: int = self._delete(self._address, name, directory)
        if result == 0:
            self.record.append(Operation("delete", path, directory=bool(directory)))
        return result
