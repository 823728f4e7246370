"""A store that lives as long as the process: for tests, for runs without files, and as the plain model."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from budgets import rules
from budgets.errors import ConflictError
from budgets.money import Nanos
from budgets.records import SPENDING_KINDS, Budget, Entry, Hold, Lease, Totals


@dataclass
class Tables:
    """All that one project keeps. The records are frozen, so a copy of the tables is a copy of it all."""

    budgets: dict[str, Budget] = field(default_factory=dict)
    # Limit id -> start -> period.
    periods: dict[str, dict[datetime, Totals]] = field(default_factory=dict)
    models: dict[tuple[str, datetime], dict[str, Nanos]] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    # In the order of writing.
    entries: dict[str, Entry] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)

    def copy(self) -> Tables:
        """The same records in containers of their own."""
        return Tables(
            dict(self.budgets),
            {limit_id: dict(found) for limit_id, found in self.periods.items()},
            {place: dict(found) for place, found in self.models.items()},
            dict(self.holds),
            dict(self.entries),
            dict(self.leases),
        )


class MemoryStore:
    """See `budgets.ports.Store`. A transaction works on a copy, which takes the place of the original."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._projects: dict[str, Tables] = {}

    @contextmanager
    def transaction(self, project: str, *, durable: bool = True) -> Iterator[TableTransaction]:
        """See `budgets.ports.Store.transaction`."""
        del durable  # Nothing here outlives the process.
        with self._lock:
            txn = TableTransaction(self._projects.get(project, Tables()).copy())
            yield txn
            self._projects[project] = txn.tables

    @contextmanager
    def reading(self, project: str) -> Iterator[TableTransaction]:
        """See `budgets.ports.Store.reading`."""
        with self._lock:
            yield TableTransaction(self._projects.get(project, Tables()))

    def projects(self) -> list[str]:
        """See `budgets.ports.Store.projects`."""
        with self._lock:
            return sorted(name for name, tables in self._projects.items() if tables.budgets)

    def close(self) -> None:
        """Nothing to let go of."""


class TableTransaction:
    """See `budgets.ports.Transaction`."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        before = self.tables.copy()
        try:
            yield
        except BaseException:
            self.tables = before
            raise

    def budget(self, user: str) -> Budget | None:
        return self.tables.budgets.get(user)

    def budgets(self) -> Iterator[Budget]:
        return iter([self.tables.budgets[user] for user in sorted(self.tables.budgets)])

    def put_budget(self, budget: Budget) -> None:
        self.tables.budgets[budget.user] = budget

    def current(self, limit_id: str) -> Totals | None:
        found = self.tables.periods.get(limit_id)
        return found[max(found)] if found else None

    def totals_at(self, limit_id: str, moment: datetime) -> Totals | None:
        for totals in self.tables.periods.get(limit_id, {}).values():
            if rules.contains(totals, moment):
                return totals
        return None

    def periods(self, limit_id: str) -> list[Totals]:
        found = self.tables.periods.get(limit_id, {})
        return [found[start] for start in sorted(found)]

    def open_period(self, totals: Totals) -> None:
        found = self.tables.periods.setdefault(totals.limit_id, {})
        assert totals.start not in found, "a period is opened once"
        found[totals.start] = totals

    def put_totals(self, totals: Totals) -> None:
        self.tables.periods[totals.limit_id][totals.start] = totals

    def remove_periods(self, limit_id: str, since: datetime) -> None:
        for start in [start for start in self.tables.periods.get(limit_id, {}) if start >= since]:
            del self.tables.periods[limit_id][start]
            self.tables.models.pop((limit_id, start), None)

    def models(self, limit_id: str, start: datetime) -> dict[str, Nanos]:
        found = self.tables.models.get((limit_id, start), {})
        return {model: nanos for model, nanos in found.items() if nanos}

    def put_models(self, limit_id: str, start: datetime, spent: Mapping[str, Nanos]) -> None:
        self.tables.models[limit_id, start] = dict(spent)

    def add_model(self, limit_id: str, start: datetime, model: str, nanos: Nanos) -> None:
        found = self.tables.models.setdefault((limit_id, start), {})
        found[model] = found.get(model, 0) + nanos

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
        return self.tables.entries.get(entry_id)

    def entries(self, *, user: str | None = None) -> Iterator[Entry]:
        found = list(self.tables.entries.values())
        return (entry for entry in found if user is None or user in entry.path)

    def append(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.id in self.tables.entries:
                raise ConflictError(
                    f"there is an entry {entry.id} already",
                    hint="give every entry an id of its own",
                    id=entry.id,
                )
            self.tables.entries[entry.id] = copy.deepcopy(entry)

    def spent(self, user: str, start: datetime, end: datetime | None) -> dict[str, Nanos]:
        found: dict[str, Nanos] = {}
        for entry in self.entries(user=user):
            if entry.kind in SPENDING_KINDS and start <= entry.at and (end is None or entry.at < end):
                found[entry.model or ""] = found.get(entry.model or "", 0) + entry.nanos
        return {model: nanos for model, nanos in found.items() if nanos}

    def leases(self) -> list[Lease]:
        return [self.tables.leases[lease_id] for lease_id in sorted(self.tables.leases)]

    def put_lease(self, lease: Lease) -> None:
        self.tables.leases[lease.id] = lease

    def remove_lease(self, lease_id: str) -> None:
        self.tables.leases.pop(lease_id, None)
