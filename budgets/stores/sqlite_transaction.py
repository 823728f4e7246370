"""One transaction on a SQLite store: every verb of the port as statements."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import NoReturn

from budgets.clock import to_micros
from budgets.errors import ConflictError, StoreError
from budgets.lessons import Learned
from budgets.money import Nanos
from budgets.records import (
    Budget,
    Entry,
    Hold,
    Key,
    Lease,
    Mark,
    Path,
    Totals,
)
from budgets.stores.sqlite_reading import SqliteReading
from budgets.stores.sqlite_rows import json_text, period_row


class SqliteTransaction(SqliteReading):
    """See `budgets.ports.Transaction`."""

    def put_budget(self, budget: Budget) -> None:
        key = (self._project, budget.user)
        self._execute(
            "INSERT INTO budgets VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " parent = excluded.parent, frozen = excluded.frozen, created_at = excluded.created_at,"
            " archived = excluded.archived",
            (*key, budget.parent, budget.frozen, to_micros(budget.created_at), budget.archived),
        )
        self._execute(
            "DELETE FROM due WHERE limit_id IN (SELECT id FROM limits WHERE project = ? AND user = ?)", key
        )
        self._execute("DELETE FROM limits WHERE project = ? AND user = ?", key)
        self._many(
            "INSERT INTO limits VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    limit.id,
                    *key,
                    position,
                    limit.total_nanos,
                    limit.rule.every,
                    limit.rule.unit,
                    limit.rule.timezone,
                    limit.rule.anchor.isoformat() if limit.rule.anchor else None,
                    None if limit.reset_at is None else to_micros(limit.reset_at),
                    ",".join(map(str, limit.warn_at)),
                )
                for position, limit in enumerate(budget.limits)
            ],
        )
        for limit in budget.limits:
            current = self.current(limit.id)
            if current is not None:
                self._put_due(budget.user, current)
        self._execute("UPDATE changes SET version = version + 1")
        self._cache.version += 1
        self._cache.budgets.pop(key, None)

    def open_period(self, totals: Totals) -> None:
        self.flush()
        self._execute("INSERT INTO periods VALUES (?, ?, ?, ?, ?, ?, ?, ?)", period_row(totals))
        self._currents.pop(totals.limit_id, None)
        current = self.current(totals.limit_id)
        owner = self._owner(totals.limit_id)
        if current is not None and owner is not None:
            self._put_due(owner, current)

    def put_totals(self, totals: Totals) -> None:
        key = (totals.limit_id, to_micros(totals.start))
        before = self._totals.get(key)
        self._totals[key] = totals
        self._dirty.add(key)
        if before is None or before.end != totals.end:
            owner = self._owner(totals.limit_id)
            current = self.current(totals.limit_id)
            if owner is not None and current is not None and current.start == totals.start:
                self._put_due(owner, totals)

    def remove_periods(self, limit_id: str, since: datetime) -> None:
        self.flush()
        key = (limit_id, to_micros(since))
        self._execute("DELETE FROM periods WHERE limit_id = ? AND start >= ?", key)
        self._execute("DELETE FROM models WHERE limit_id = ? AND start >= ?", key)
        self._totals.clear()
        self._currents.clear()

    def put_models(self, limit_id: str, start: datetime, spent: Mapping[str, Nanos]) -> None:
        self.flush()
        key = (limit_id, to_micros(start))
        self._execute("DELETE FROM models WHERE limit_id = ? AND start = ?", key)
        self._many(
            "INSERT INTO models VALUES (?, ?, ?, ?)", [(*key, model, nanos) for model, nanos in spent.items()]
        )

    def add_model(self, limit_id: str, start: datetime, model: str, nanos: Nanos) -> None:
        key = (limit_id, to_micros(start), model)
        self._more_spent[key] = self._more_spent.get(key, 0) + nanos

    def flush(self) -> None:
        """Write the sums that changed."""
        if self._dirty:
            written = self._many(
                'UPDATE periods SET "end" = ?, spent = ?, held = ?, unconfirmed = ?, touched = ?, boost = ?'
                " WHERE limit_id = ? AND start = ?",
                [(*period_row(self._totals[key])[2:], *key) for key in self._dirty],
            ).rowcount
            assert written == len(self._dirty), "sums are kept in opened periods only"
            self._dirty.clear()
        if self._more_spent:
            self._many(
                "INSERT INTO models VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET spent = spent + excluded.spent",
                [(*key, nanos) for key, nanos in self._more_spent.items()],
            )
            self._more_spent.clear()

    def _put_due(self, user: str, current: Totals) -> None:
        if current.end is None:
            self._execute("DELETE FROM due WHERE limit_id = ?", (current.limit_id,))
        else:
            self._execute(
                "INSERT OR REPLACE INTO due VALUES (?, ?, ?, ?)",
                (current.limit_id, self._project, user, to_micros(current.end)),
            )

    def put_hold(self, hold: Hold) -> None:
        self._execute(
            "INSERT OR REPLACE INTO holds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._project,
                hold.id,
                self._path_id(hold.path),
                hold.model,
                hold.nanos,
                to_micros(hold.at),
                hold.lease_id,
                hold.unconfirmed,
                json_text(hold.terms),
            ),
        )

    def remove_hold(self, hold_id: str) -> None:
        self._execute("DELETE FROM holds WHERE project = ? AND id = ?", (self._project, hold_id))

    def append(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            try:
                self._execute(
                    "INSERT INTO entries (project, id, kind, path_id, at, recorded_at, nanos, model, detail)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        self._project,
                        entry.id,
                        entry.kind,
                        self._path_id(entry.path),
                        to_micros(entry.at),
                        to_micros(entry.recorded_at),
                        entry.nanos,
                        entry.model,
                        json_text(entry.detail),
                    ),
                )
            except sqlite3.IntegrityError as error:
                raise ConflictError(
                    f"there is an entry {entry.id} already",
                    hint="give every entry an id of its own",
                    id=entry.id,
                ) from error

    def _path_id(self, names: Path) -> int:
        known = self._cache.path_ids.get((self._project, names))
        if known is not None:
            return known
        text = json.dumps(names, ensure_ascii=False)
        row = self._execute(
            "SELECT id FROM paths WHERE project = ? AND names = ?", (self._project, text)
        ).fetchone()
        if row is None:
            row = self._execute(
                "INSERT INTO paths (project, names) VALUES (?, ?) RETURNING id", (self._project, text)
            ).fetchone()
            self._many(
                "INSERT INTO path_members VALUES (?, ?, ?)", [(self._project, name, row[0]) for name in names]
            )
        if len(self._cache.path_ids) > 10_000:
            self._cache.path_ids.clear()
        self._cache.path_ids[self._project, names] = row[0]
        return int(row[0])

    def put_lease(self, lease: Lease) -> None:
        process = lease.process
        self._execute(
            "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?)",
            (
                self._project,
                lease.id,
                process.host,
                process.pid,
                process.started,
                to_micros(lease.expires_at),
            ),
        )

    def remove_lease(self, lease_id: str) -> None:
        self._execute("DELETE FROM leases WHERE project = ? AND id = ?", (self._project, lease_id))

    def put_learned(self, learned: Learned) -> None:
        self._execute("DELETE FROM lessons WHERE project = ?", (self._project,))
        self._execute("DELETE FROM learned WHERE project = ?", (self._project,))
        if learned.through is not None:
            self._execute("INSERT INTO learned VALUES (?, ?)", (self._project, learned.through))
        self._many(
            "INSERT INTO lessons VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (self._project, *lesson.topic, json.dumps(lesson.percents), lesson.covered)
                for lesson in learned.lessons
            ],
        )

    def put_key(self, key: Key) -> None:
        self._execute(
            "INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._project,
                key.id,
                key.role,
                key.secret_hash,
                to_micros(key.created_at),
                key.user,
                key.under,
                None if key.expires_at is None else to_micros(key.expires_at),
                None if key.revoked_at is None else to_micros(key.revoked_at),
                key.note,
            ),
        )

    def put_mark(self, mark: Mark) -> None:
        self._execute(
            "INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?, ?)",
            (self._project, mark.client, mark.user, to_micros(mark.touched_at), json_text(mark.said)),
        )

    def remove_marks(self, before: datetime) -> int:
        return self._execute(
            "DELETE FROM marks WHERE project = ? AND touched_at < ?", (self._project, to_micros(before))
        ).rowcount

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        self.flush()
        self._execute("SAVEPOINT one")
        try:
            yield
            self.flush()
        except BaseException:
            self._totals.clear()
            self._currents.clear()
            self._dirty.clear()
            self._more_spent.clear()
            self._cache.forget()
            if not self._connection.in_transaction:
                # No space, for instance: SQLite has undone everything. What came after would be written
                # outside of any transaction, so nothing may come after.
                self._execute = self._many = _refuse
                raise
            self._execute("ROLLBACK TO one")
            self._execute("RELEASE one")
            raise
        self._execute("RELEASE one")


def _refuse(*_: object) -> NoReturn:
    raise StoreError(
        "the transaction was undone by an error before", hint="nothing of it was written; try it again"
    )
