"""Every store that keeps the contract. A new one joins with one line in `STORES`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from budgets.ports import Store
from budgets.stores.json_file import JsonStore
from budgets.stores.memory import MemoryStore
from budgets.stores.sqlite import SqliteStore


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of store, and how a test opens it."""

    name: str
    # A store in a folder of its own; opened again there, it is the same store.
    open: Callable[[Path], Store]
    # Two handles, or two processes, may have the same store open.
    shared: bool = True


STORES: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("memory", lambda _: MemoryStore(), shared=False),
        Kind("json", lambda folder: JsonStore(folder / "budgets.json")),
        Kind("sqlite", lambda folder: SqliteStore(folder / "budgets.sqlite")),
    )
}
