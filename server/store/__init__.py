"""Stores: durable append and ranged read of CoValues.

`interface` says what a store must do; `memory` and `sqlite` do it, and pass one conformance suite.
"""

from server.store.interface import Change, Loaded, Range, Store, StoredCoValue

__all__ = ["Change", "Loaded", "Range", "Store", "StoredCoValue"]
