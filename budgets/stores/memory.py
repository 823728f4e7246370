"""
A store that lives as long as the process: for tests, for runs without files, and as the plain model.

Its tables and its transaction serve the JSON store as well.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import NamedTuple, Protocol

from budgets import rules
from budgets.errors import ConflictError
from budgets.lessons import Learned
from budgets.money import Nanos
from budgets.records import ROOT, SPENDING_KINDS, Budget, Entry, Hold, Key, Lease, Mark, StoreInfo, Totals


class Sums(NamedTuple):
    """One period, and what was spent in it by model."""

    totals: Totals
    models: Mapping[str, Nanos] = {}


@dataclass
class Tables:
    """
    All that one project keeps but its entries.

    Whatever the containers hold is never changed, only replaced, so a copy of them is a copy of it all.
    """

    budgets: dict[str, Budget] = field(default_factory=dict)
    # Limit id -> start -> period.
    periods: dict[str, Mapping[datetime, Sums]] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    learned: Learned = field(default_factory=Learned)
    keys: dict[str, Key] = field(default_factory=dict)
    # By client and user.
    marks: dict[tuple[str, str], Mark] = field(default_factory=dict)

    def copy(self) -> Tables:
        """The same records in containers of their own."""
        return Tables(
            dict(self.budgets),
            dict(self.periods),
            dict(self.holds),
            dict(self.leases),
            self.learned,
            dict(self.keys),
            dict(self.marks),
        )


class Written(Protocol):
    """The entries of one project that were committed, in the order of writing; a dictionary is one."""

    def get(self, entry_id: str, /) -> Entry | None:
        """The entry of that id."""
        ...

    def values(self) -> Iterable[Entry]:
        """Every entry."""
        ...


class MemoryStore:
    """See `budgets.ports.Store`. A transaction works on a copy, which takes the place of the original."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._projects: dict[str, Tables] = {}
        self._entries: dict[str, dict[str, Entry]] = {}

    @contextmanager
    def transaction(self, project: str, *, durable: bool = True) -> Iterator[TableTransaction]:
        """See `budgets.ports.Store.transaction`."""
        del durable  # Nothing here outlives the process.
        with self._lock:
            tables = self._projects.get(project, Tables())
            txn = TableTransaction(tables.copy(), self._entries.get(project, {}))
            yield txn
            self._projects[project] = txn.tables
            self._entries.setdefault(project, {}).update(txn.appended)

    @contextmanager
    def reading(self, project: str) -> Iterator[TableTransaction]:
        """See `budgets.ports.Store.reading`."""
        with self._lock:
            tables = self._projects.get(project, Tables())
            yield TableTransaction(tables, self._entries.get(project, {}))

    def projects(self) -> list[str]:
        """See `budgets.ports.Store.projects`."""
        with self._lock:
            return sorted(name for name, tables in self._projects.items() if tables.budgets)

    def keys(self) -> list[tuple[str, Key]]:
        """See `budgets.ports.Store.keys`."""
        with self._lock:
            return keys_of(self._projects)

    def info(self) -> StoreInfo:
        """See `budgets.ports.Store.info`."""
        with self._lock:
            entries = sum(map(len, self._entries.values()))
            return StoreInfo("memory", None, 0, 0, *counted(self._projects.values()), entries=entries)

    def close(self) -> None:
        """Nothing to let go of."""


def counted(projects: Iterable[Tables]) -> tuple[int, int, int]:
    """How many projects, users, and holds there are."""
    found = [tables for tables in projects if tables.budgets]
    return (
        len(found),
        sum(user != ROOT for tables in found for user in tables.budgets),
        sum(len(tables.holds) for tables in found),
    )


def keys_of(projects: Mapping[str, Tables]) -> list[tuple[str, Key]]:
    """The keys of every project, each with its project."""
    return [(name, key) for name, tables in sorted(projects.items()) for key in sorted_keys(tables)]


def sorted_keys(tables: Tables) -> list[Key]:
    """A project's keys, oldest first."""
    return sorted(tables.keys.values(), key=lambda key: (key.created_at, key.id))


class TableTransaction:
    """See `budgets.ports.Transaction`."""

    def __init__(self, tables: Tables, written: Written) -> None:
        self.tables = tables
        self._written = written
        # What it adds to the written ones, in the order of writing.
        self.appended: dict[str, Entry] = {}

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        before = self.tables.copy(), dict(self.appended)
        try:
            yield
        except BaseException:
            self.tables, self.appended = before
            raise

    def budget(self, user: str) -> Budget | None:
        return self.tables.budgets.get(user)

    def budgets(self) -> Iterator[Budget]:
        return iter([self.tables.budgets[user] for user in sorted(self.tables.budgets)])

    def put_budget(self, budget: Budget) -> None:
        self.tables.budgets[budget.user] = budget

    def current(self, limit_id: str) -> Totals | None:
        found = self.tables.periods.get(limit_id)
        return found[max(found)].totals if found else None

    def totals_at(self, limit_id: str, moment: datetime) -> Totals | None:
        for sums in self.tables.periods.get(limit_id, {}).values():
            if rules.contains(sums.totals, moment):
                return sums.totals
        return None

    def periods(self, limit_id: str) -> list[Totals]:
        found = self.tables.periods.get(limit_id, {})
        return [found[start].totals for start in sorted(found)]

    def open_period(self, totals: Totals) -> None:
        assert totals.start not in self.tables.periods.get(totals.limit_id, {}), "a period is opened once"
        self._put_sums(totals.limit_id, Sums(totals))

    def put_totals(self, totals: Totals) -> None:
        self._put_sums(totals.limit_id, self._sums(totals.limit_id, totals.start)._replace(totals=totals))

    def remove_periods(self, limit_id: str, since: datetime) -> None:
        found = self.tables.periods.pop(limit_id, {})
        kept = {start: sums for start, sums in found.items() if start < since}
        if kept:
            self.tables.periods[limit_id] = kept

    def models(self, limit_id: str, start: datetime) -> dict[str, Nanos]:
        sums = self.tables.periods.get(limit_id, {}).get(start)
        return {model: nanos for model, nanos in sums.models.items() if nanos} if sums else {}

    def put_models(self, limit_id: str, start: datetime, spent: Mapping[str, Nanos]) -> None:
        self._put_sums(limit_id, self._sums(limit_id, start)._replace(models=dict(spent)))

    def add_model(self, limit_id: str, start: datetime, model: str, nanos: Nanos) -> None:
        sums = self._sums(limit_id, start)
        models = {**sums.models, model: sums.models.get(model, 0) + nanos}
        self._put_sums(limit_id, sums._replace(models=models))

    def _sums(self, limit_id: str, start: datetime) -> Sums:
        sums = self.tables.periods.get(limit_id, {}).get(start)
        assert sums is not None, "sums are kept in opened periods only"
        return sums

    def _put_sums(self, limit_id: str, sums: Sums) -> None:
        self.tables.periods[limit_id] = {**self.tables.periods.get(limit_id, {}), sums.totals.start: sums}

    def due(self, now: datetime) -> list[str]:
        return [
            budget.user
            for budget in self.budgets()
            if any(
                current is not None and rules.has_ended(current, now)
                for current in (self.current(limit.id) for limit in budget.limits)
            )
        ]

    def hold(self, hold_id: str) -> Hold | None:
        return self.tables.holds.get(hold_id)

    def holds(self, *, lease_id: str | None = None) -> list[Hold]:
        found = [hold for hold in self.tables.holds.values() if lease_id is None or hold.lease_id == lease_id]
        return sorted(found, key=lambda hold: (hold.at, hold.id))

    def put_hold(self, hold: Hold) -> None:
        # What is kept must not change when the caller's own dictionary does.
        self.tables.holds[hold.id] = copy.deepcopy(hold)

    def remove_hold(self, hold_id: str) -> None:
        self.tables.holds.pop(hold_id, None)

    def entry(self, entry_id: str) -> Entry | None:
        return self.appended.get(entry_id) or self._written.get(entry_id)

    def entries(self, *, user: str | None = None) -> Iterator[Entry]:
        found = [*self._written.values(), *self.appended.values()]
        return (entry for entry in found if user is None or user in entry.path)

    def append(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if self.entry(entry.id) is not None:
                raise ConflictError(
                    f"there is an entry {entry.id} already",
                    hint="give every entry an id of its own",
                    id=entry.id,
                )
            self.appended[entry.id] = copy.deepcopy(entry)

    def spent(self, user: str, start: datetime, end: datetime | None) -> dict[str, Nanos]:
        found: dict[str, Nanos] = {}
        for entry in self._spending(user, start, end):
            found[entry.model or ""] = found.get(entry.model or "", 0) + entry.nanos
        return {model: nanos for model, nanos in found.items() if nanos}

    def spenders(self, user: str, start: datetime, end: datetime | None) -> dict[str, Nanos]:
        found: dict[str, Nanos] = {}
        for entry in self._spending(user, start, end):
            found[entry.user] = found.get(entry.user, 0) + entry.nanos
        return {spender: nanos for spender, nanos in found.items() if nanos}

    def spending(
        self,
        user: str,
        start: datetime,
        end: datetime | None,
        *,
        after: Entry | None = None,
        count: int,
    ) -> list[Entry]:
        # Sorting keeps the order of writing among those of one moment.
        found = sorted(self._spending(user, start, end), key=lambda entry: entry.at)
        first = 0
        if after is not None:
            first = 1 + next(place for place, entry in enumerate(found) if entry.id == after.id)
        return found[first : first + count]

    def written(
        self,
        *,
        user: str | None = None,
        after: Entry | None = None,
        newest_first: bool = False,
        count: int,
    ) -> list[Entry]:
        found = list(self.entries())
        ordered = reversed(found) if newest_first else iter(found)
        if after is not None:
            # What leads up to it, and itself.
            next(entry for entry in ordered if entry.id == after.id)
        return list(islice((entry for entry in ordered if user is None or user in entry.path), count))

    def _spending(self, user: str, start: datetime, end: datetime | None) -> Iterator[Entry]:
        for entry in self.entries(user=user):
            if entry.kind in SPENDING_KINDS and start <= entry.at and (end is None or entry.at < end):
                yield entry

    def leases(self) -> list[Lease]:
        return [self.tables.leases[lease_id] for lease_id in sorted(self.tables.leases)]

    def put_lease(self, lease: Lease) -> None:
        self.tables.leases[lease.id] = lease

    def remove_lease(self, lease_id: str) -> None:
        self.tables.leases.pop(lease_id, None)

    def learned(self) -> Learned:
        return self.tables.learned

    def put_learned(self, learned: Learned) -> None:
        self.tables.learned = learned

    def key(self, key_id: str) -> Key | None:
        return self.tables.keys.get(key_id)

    def keys(self) -> list[Key]:
        return sorted_keys(self.tables)

    def put_key(self, key: Key) -> None:
        self.tables.keys[key.id] = key

    def marks(self, client: str | None = None) -> list[Mark]:
        found = sorted(self.tables.marks.items(), key=lambda item: item[0])
        return [mark for (whose, _), mark in found if client is None or whose == client]

    def put_mark(self, mark: Mark) -> None:
        # What is kept must not change when the caller's own dictionary does.
        self.tables.marks[mark.client, mark.user] = copy.deepcopy(mark)

    def remove_marks(self, before: datetime) -> int:
        old = [place for place, mark in self.tables.marks.items() if mark.touched_at < before]
        for place in old:
            del self.tables.marks[place]
        return len(old)
