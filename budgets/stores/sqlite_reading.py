"""A view of one project in a SQLite store: every question of the port as a statement."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime
from heapq import merge
from itertools import islice

from budgets.clock import from_micros, to_micros
from budgets.lessons import Learned
from budgets.money import Nanos
from budgets.records import (
    ROOT,
    SPENDING_KINDS,
    Budget,
    Entry,
    Hold,
    Key,
    Lease,
    Limit,
    Mark,
    Path,
    Process,
    Totals,
)
from budgets.stores.sqlite_rows import KEY, Row, read_budget, read_key, read_lesson, read_limit, read_totals

_ENTRY = "id, kind, path_id, at, recorded_at, nanos, model, detail"
_PERIOD = 'limit_id, start, "end", spent, held, unconfirmed, touched, boost'

# How many times as many entries as are wanted are looked through one by one.
_NEAR = 10
# How many paths are read side by side; one costs about as much as reading ten entries.
_SIDE_BY_SIDE = 200
_LATEST = 2**63 - 1
_SPENDING = "({})".format(", ".join(f"'{kind}'" for kind in SPENDING_KINDS))


class Cache:
    """What a connection may keep between transactions: budgets while their version stands, and paths."""

    def __init__(self) -> None:
        self.version = -1
        self.budgets: dict[tuple[str, str], Budget | None] = {}
        # Paths are never changed or deleted, but an undone transaction takes its new ones with it.
        self.path_ids: dict[tuple[str, Path], int] = {}
        self.paths: dict[int, Path] = {}

    def forget(self) -> None:
        """Nothing that was learnt in an undone transaction is kept."""
        self.version = -1
        self.budgets.clear()
        self.path_ids.clear()
        self.paths.clear()


class SqliteReading:
    """See `budgets.ports.Reading`."""

    def __init__(self, connection: sqlite3.Connection, project: str, cache: Cache) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._many = connection.executemany
        self._project = project
        self._cache = cache
        # Sums by place, as last read or written; written out once for many operations.
        self._totals: dict[tuple[str, int], Totals] = {}
        self._currents: dict[str, int] = {}
        self._dirty: set[tuple[str, int]] = set()
        # The same for what was spent by model: what is still to be added.
        self._more_spent: dict[tuple[str, int, str], Nanos] = {}
        (version,) = self._execute("SELECT version FROM changes").fetchone()
        if version != cache.version:
            cache.budgets.clear()
            cache.version = version

    def budget(self, user: str) -> Budget | None:
        key = (self._project, user)
        try:
            return self._cache.budgets[key]
        except KeyError:
            pass
        row = self._execute(
            "SELECT user, parent, frozen, created_at, archived FROM budgets WHERE project = ? AND user = ?",
            key,
        ).fetchone()
        found = None
        if row is not None:
            limits = self._execute(
                "SELECT id, total, every, unit, timezone, anchor, reset_at, warn_at FROM limits"
                " WHERE project = ? AND user = ? ORDER BY position",
                key,
            )
            found = read_budget(row, tuple(map(read_limit, limits)))
        if len(self._cache.budgets) > 10_000:
            self._cache.budgets.clear()
        self._cache.budgets[key] = found
        return found

    def budgets(self) -> Iterator[Budget]:
        limits: dict[str, list[Limit]] = {}
        for user, *terms in self._execute(
            "SELECT user, id, total, every, unit, timezone, anchor, reset_at, warn_at FROM limits"
            " WHERE project = ? ORDER BY user, position",
            (self._project,),
        ):
            limits.setdefault(user, []).append(read_limit(terms))
        rows = self._execute(
            "SELECT user, parent, frozen, created_at, archived FROM budgets WHERE project = ? ORDER BY user",
            (self._project,),
        ).fetchall()
        for row in rows:
            yield read_budget(row, tuple(limits.get(row[0], ())))

    def current(self, limit_id: str) -> Totals | None:
        start = self._currents.get(limit_id)
        if start is not None:
            return self._totals[limit_id, start]
        return self._keep(
            self._execute(
                f"SELECT {_PERIOD} FROM periods WHERE limit_id = ? ORDER BY start DESC LIMIT 1",  # noqa: S608
                (limit_id,),
            ).fetchone(),
            current=True,
        )

    def totals_at(self, limit_id: str, moment: datetime) -> Totals | None:
        start = self._currents.get(limit_id)
        if start is not None:
            current = self._totals[limit_id, start]
            if current.start <= moment:
                return current if current.end is None or moment < current.end else None
        found = self._keep(
            self._execute(
                f"SELECT {_PERIOD} FROM periods"  # noqa: S608
                " WHERE limit_id = ? AND start <= ? ORDER BY start DESC LIMIT 1",
                (limit_id, to_micros(moment)),
            ).fetchone()
        )
        if found is None or (found.end is not None and found.end <= moment):
            return None
        return found

    def periods(self, limit_id: str) -> list[Totals]:
        self.flush()
        rows = self._execute(
            f"SELECT {_PERIOD} FROM periods WHERE limit_id = ? ORDER BY start",  # noqa: S608
            (limit_id,),
        )
        return [read_totals(row) for row in rows]

    def models(self, limit_id: str, start: datetime) -> dict[str, Nanos]:
        self.flush()
        rows = self._execute(
            "SELECT model, spent FROM models WHERE limit_id = ? AND start = ? AND spent <> 0",
            (limit_id, to_micros(start)),
        )
        return dict(rows.fetchall())

    def due(self, now: datetime) -> list[str]:
        rows = self._execute(
            'SELECT DISTINCT user FROM due WHERE project = ? AND "end" <= ? ORDER BY user',
            (self._project, to_micros(now)),
        )
        return [user for (user,) in rows]

    def _keep(self, row: Row | None, *, current: bool = False) -> Totals | None:
        """A row as read, unless a newer one of the same period waits to be written."""
        if row is None:
            return None
        key: tuple[str, int] = (row[0], row[1])
        found = self._totals.get(key)
        if found is None:
            found = self._totals[key] = read_totals(row)
        if current:
            self._currents[key[0]] = key[1]
        return found

    def _owner(self, limit_id: str) -> str | None:
        row = self._execute("SELECT user FROM limits WHERE id = ?", (limit_id,)).fetchone()
        return None if row is None else row[0]

    def hold(self, hold_id: str) -> Hold | None:
        row = self._execute(
            "SELECT id, path_id, model, nanos, at, lease_id, unconfirmed, terms FROM holds"
            " WHERE project = ? AND id = ?",
            (self._project, hold_id),
        ).fetchone()
        return None if row is None else self._hold(row)

    def holds(self, *, lease_id: str | None = None) -> list[Hold]:
        rows = self._execute(
            "SELECT id, path_id, model, nanos, at, lease_id, unconfirmed, terms FROM holds"
            " WHERE project = ? ORDER BY at, id",
            (self._project,),
        ).fetchall()
        return [self._hold(row) for row in rows if lease_id is None or row[5] == lease_id]

    def _hold(self, row: Row) -> Hold:
        hold_id, path_id, model, nanos, at, lease_id, unconfirmed, terms = row
        return Hold(
            hold_id,
            self._path(path_id),
            model,
            nanos,
            from_micros(at),
            lease_id,
            bool(unconfirmed),
            json.loads(terms),
        )

    def entry(self, entry_id: str) -> Entry | None:
        row = self._execute(
            f"SELECT {_ENTRY} FROM entries WHERE project = ? AND id = ?",  # noqa: S608
            (self._project, entry_id),
        ).fetchone()
        return None if row is None else self._entry(row)

    def entries(self, *, user: str | None = None) -> Iterator[Entry]:
        if user is None:
            cursor = self._execute(
                f"SELECT {_ENTRY} FROM entries WHERE project = ? ORDER BY seq",  # noqa: S608
                (self._project,),
            )
        else:
            cursor = self._execute(
                f"SELECT {_ENTRY} FROM entries WHERE path_id IN"  # noqa: S608
                " (SELECT path_id FROM path_members WHERE project = ? AND user = ?) ORDER BY seq",
                (self._project, user),
            )
        while rows := cursor.fetchmany(1_000):
            for row in rows:
                yield self._entry(row)

    def spent(self, user: str, start: datetime, end: datetime | None) -> dict[str, Nanos]:
        below, names = self._below(user)
        rows = self._execute(
            f"SELECT coalesce(model, ''), sum(nanos) FROM entries WHERE {below}"  # noqa: S608
            f" AND at >= ? AND at < ? AND kind IN {_SPENDING} GROUP BY 1",
            (*names, to_micros(start), _until(end)),
        )
        return {model: nanos for model, nanos in rows.fetchall() if nanos}

    def spenders(self, user: str, start: datetime, end: datetime | None) -> dict[str, Nanos]:
        below, names = self._below(user)
        rows = self._execute(
            f"SELECT path_id, sum(nanos) FROM entries WHERE {below}"  # noqa: S608
            f" AND at >= ? AND at < ? AND kind IN {_SPENDING} GROUP BY 1",
            (*names, to_micros(start), _until(end)),
        )
        found: dict[str, Nanos] = {}
        for path_id, nanos in rows.fetchall():
            spender = self._path(path_id)[0]
            found[spender] = found.get(spender, 0) + nanos
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
        at, seq = to_micros(start), 0
        if after is not None:
            at, seq = to_micros(after.at), self._seq(after)
        what = (
            f"SELECT at, seq, {_ENTRY} FROM entries WHERE {{}} AND at >= ? AND at < ?"  # noqa: S608
            f" AND (at > ? OR seq > ?) AND kind IN {_SPENDING} ORDER BY at, seq"
        )
        window = (at, _until(end), at, seq)
        path_ids = None if user == ROOT else self._path_ids(user)
        rows: Iterable[Row]
        if path_ids is not None:
            # Each path has its entries in this order; cursors read no further than they are asked.
            rows = merge(
                *(
                    self._connection.cursor().execute(what.format("path_id = ?"), (path_id, *window))
                    for path_id in path_ids
                )
            )
        else:
            # By time, then: the sign keeps SQLite from going through the paths, and sorting.
            below, names = self._below(user)
            if user != ROOT:
                below, names = f"project = ? AND +{below}", (self._project, *names)
            rows = self._connection.cursor().execute(what.format(below), (*names, *window))
        return [self._entry(row[2:]) for row in islice(rows, count)]

    def written(
        self,
        *,
        user: str | None = None,
        after: Entry | None = None,
        newest_first: bool = False,
        count: int,
    ) -> list[Entry]:
        below, names = self._below(user or ROOT)
        beyond, within, order, step = ("<", ">=", "DESC", -1) if newest_first else (">", "<=", "ASC", 1)
        (last,) = self._execute("SELECT coalesce(max(seq), 0) FROM entries").fetchone()
        first = last + 1 if newest_first else 0
        place = first if after is None else self._seq(after)
        # Most often they lie close by: a look at what was written next needs no sorting.
        near = place + step * _NEAR * count
        found = self._execute(
            f"SELECT {_ENTRY} FROM entries NOT INDEXED"  # noqa: S608
            f" WHERE seq {beyond} ? AND seq {within} ? AND {below} ORDER BY seq {order} LIMIT ?",
            (place, near, *names, count),
        ).fetchall()
        if len(found) < count and 0 < near < last:
            # Few and far between: their places come from an index alone.
            found = self._execute(
                f"SELECT {_ENTRY} FROM entries WHERE seq IN"  # noqa: S608
                f" (SELECT seq FROM entries WHERE {below} AND seq {beyond} ? ORDER BY seq {order} LIMIT ?)"
                f" ORDER BY seq {order}",
                (*names, place, count),
            ).fetchall()
        return [self._entry(row) for row in found]

    def _below(self, user: str) -> tuple[str, tuple[str, ...]]:
        """What an entry must be to have *user* on its path, as SQL and its values."""
        # Every path ends with the project.
        if user == ROOT:
            return "project = ?", (self._project,)
        return (
            "path_id IN (SELECT path_id FROM path_members WHERE project = ? AND user = ?)",
            (self._project, user),
        )

    def _path_ids(self, user: str) -> list[int] | None:
        """The paths that *user* is on; `None`: more than can be read side by side."""
        rows = self._execute(
            "SELECT path_id FROM path_members WHERE project = ? AND user = ? LIMIT ?",
            (self._project, user, _SIDE_BY_SIDE + 1),
        ).fetchall()
        return [path_id for (path_id,) in rows] if len(rows) <= _SIDE_BY_SIDE else None

    def _seq(self, entry: Entry) -> int:
        """The place of an entry in the order of writing."""
        row = self._execute(
            "SELECT seq FROM entries WHERE project = ? AND id = ?", (self._project, entry.id)
        ).fetchone()
        assert row is not None, "entries are never deleted"
        return int(row[0])

    def _entry(self, row: Row) -> Entry:
        entry_id, kind, path_id, at, recorded_at, nanos, model, detail = row
        return Entry(
            entry_id,
            kind,
            self._path(path_id),
            from_micros(at),
            from_micros(recorded_at),
            nanos,
            model,
            json.loads(detail),
        )

    def _path(self, path_id: int) -> Path:
        names = self._cache.paths.get(path_id)
        if names is None:
            (text,) = self._execute("SELECT names FROM paths WHERE id = ?", (path_id,)).fetchone()
            if len(self._cache.paths) > 10_000:
                self._cache.paths.clear()
            names = self._cache.paths[path_id] = tuple(json.loads(text))
        return names

    def leases(self) -> list[Lease]:
        rows = self._execute(
            "SELECT id, host, pid, started, expires_at FROM leases WHERE project = ? ORDER BY id",
            (self._project,),
        ).fetchall()
        return [
            Lease(lease_id, Process(host, pid, started), from_micros(expires_at))
            for lease_id, host, pid, started, expires_at in rows
        ]

    def learned(self) -> Learned:
        row = self._execute("SELECT through FROM learned WHERE project = ?", (self._project,)).fetchone()
        if row is None:
            return Learned()
        lessons = self._execute(
            "SELECT model, kind, size, counted, percents, covered FROM lessons"
            " WHERE project = ? ORDER BY model, kind, size, counted",
            (self._project,),
        )
        return Learned(row[0], tuple(map(read_lesson, lessons)))

    def key(self, key_id: str) -> Key | None:
        row = self._execute(
            f"SELECT {KEY} FROM keys WHERE project = ? AND id = ?",  # noqa: S608
            (self._project, key_id),
        ).fetchone()
        return None if row is None else read_key(row)

    def keys(self) -> list[Key]:
        rows = self._execute(
            f"SELECT {KEY} FROM keys WHERE project = ? ORDER BY created_at, id",  # noqa: S608
            (self._project,),
        )
        return [read_key(row) for row in rows.fetchall()]

    def marks(self, client: str | None = None) -> list[Mark]:
        rows = self._execute(
            "SELECT client, user, touched_at, said FROM marks"
            " WHERE project = ?1 AND (?2 IS NULL OR client = ?2) ORDER BY client, user",
            (self._project, client),
        )
        return [
            Mark(whose, user, from_micros(touched_at), json.loads(said))
            for whose, user, touched_at, said in rows.fetchall()
        ]

    def flush(self) -> None:
        """Write the sums that changed, so that statements see them; a reading has changed none."""


def _until(end: datetime | None) -> int:
    """The end of a window; a condition that may be missing would keep SQLite from using an index."""
    return _LATEST if end is None else to_micros(end)
