"""Stores: durable append and ranged read of CoValues.

`interface` says what a store must do; `memory` and `sqlite` do it, and pass one conformance suite.
"""

from server.store.interface import Change, Range, Store, StoredCoValue

__all__ = ["Change", "Range", "Store", "StoredCoValue"]
