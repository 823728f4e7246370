"""What a SQLite store's rows are as records, and records as rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from budgets.clock import from_micros, to_micros
from budgets.lessons import Lesson
from budgets.money import Nanos
from budgets.periods import PeriodRule
from budgets.records import (
    Budget,
    Key,
    Limit,
    Totals,
)

# As the schema has it: its types are the schema's, checked by STRICT tables.
Row: TypeAlias = tuple[Any, ...]

KEY = "id, role, secret_hash, created_at, user, under, expires_at, revoked_at, note"


def read_budget(row: Row, limits: tuple[Limit, ...]) -> Budget:
    user, parent, frozen, created_at, archived = row
    return Budget(user, parent, limits, from_micros(created_at), bool(frozen), bool(archived))


def read_limit(row: Iterable[Any]) -> Limit:
    limit_id, total, every, unit, timezone, anchor, reset_at, warn_at = row
    wall = None if anchor is None else datetime.fromisoformat(anchor)
    return Limit(
        limit_id,
        total,
        PeriodRule(every, unit, timezone, wall),
        None if reset_at is None else from_micros(reset_at),
        tuple(map(int, warn_at.split(","))) if warn_at else (),
    )


def read_totals(row: Row) -> Totals:
    limit_id, start, end, spent, held, unconfirmed, touched, boost = row
    return Totals(
        limit_id,
        from_micros(start),
        None if end is None else from_micros(end),
        spent,
        held,
        unconfirmed,
        None if touched is None else from_micros(touched),
        boost,
    )


def period_row(totals: Totals) -> tuple[str, int, int | None, Nanos, Nanos, Nanos, int | None, Nanos]:
    return (
        totals.limit_id,
        to_micros(totals.start),
        None if totals.end is None else to_micros(totals.end),
        totals.spent_nanos,
        totals.held_nanos,
        totals.unconfirmed_nanos,
        None if totals.touched_at is None else to_micros(totals.touched_at),
        totals.boost_nanos,
    )


def read_lesson(row: Row) -> Lesson:
    *topic, percents, covered = row
    model, kind, size, counted = topic
    return Lesson((model, kind, size, counted), tuple(map(tuple, json.loads(percents))), covered)


def read_key(row: Iterable[Any]) -> Key:
    """A row of `KEY` as a record."""
    key_id, role, secret_hash, created_at, user, under, expires_at, revoked_at, note = row
    return Key(
        key_id,
        role,
        secret_hash,
        from_micros(created_at),
        user,
        under,
        None if expires_at is None else from_micros(expires_at),
        None if revoked_at is None else from_micros(revoked_at),
        note,
    )


def json_text(value: Mapping[str, object]) -> str:
    # Plain ASCII, for text that came in as broken bytes can be kept in no other way.
    return json.dumps(value, separators=(",", ":")) if value else "{}"
