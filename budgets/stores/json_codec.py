"""
How the JSON store writes things down: one record a line, money as decimal text, moments in ISO 8601.

A field that has its usual value is left out, and a missing one is read as that value. A field that is not
known is a mistake: whoever rewrites the file would lose it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast, get_args

from budgets import records
from budgets.clock import aware_utc, iso
from budgets.lessons import Learned, Lesson
from budgets.money import Nanos, format_usd, written_usd
from budgets.periods import PeriodRule
from budgets.records import (
    ROOT,
    Budget,
    Entry,
    EntryKind,
    Hold,
    Key,
    Lease,
    Limit,
    Path,
    Process,
    Role,
    Totals,
)
from budgets.stores.memory import Sums, Tables, sorted_keys

SCHEMA = 3
FORMAT = "budget store"
# How every JSON store begins; `budgets.wiring` tells it from other files by that.
BEGINNING = f'{{\n  "format": "{FORMAT}"'.encode()

T = TypeVar("T")

# What is not written down.
_USUAL: tuple[Any, ...] = (None, False, (), {})


class Mark(NamedTuple):
    """How far the store was committed: which commit, and how much of the entries' file belongs to it."""

    commit: int = 0
    entries: int = 0
    size_bytes: int = 0
    # Of these bytes.
    crc32: int = 0


class TooNewError(Exception):
    """Raised for a document of a schema that this version does not know."""

    def __init__(self, schema: int) -> None:
        super().__init__(schema)
        self.schema = schema


# Writing


class Writer:
    """Writes the document of a whole store. What has not changed since the last time is not made again."""

    def __init__(self) -> None:
        # What was written, and its text, by place; the records are frozen, so the same one has the same text.
        self._texts: dict[tuple[str, str, str], tuple[object, str]] = {}

    def document(self, mark: Mark, projects: Mapping[str, Tables]) -> bytes:
        """The bytes of the file. What tells this commit from others stands at their beginning."""
        known, self._texts = self._texts, {}

        def text(project: str, table: str, key: str, record: Any) -> str:
            place = (project, table, key)
            found = known.get(place)
            if found is None or found[0] is not record:
                found = (record, _TEXTS[table](record))
            self._texts[place] = found
            return found[1]

        head = f'{BEGINNING.decode()},\n  "schema": {SCHEMA},\n  "commit": {mark.commit},\n'
        tables = [
            f'    {line(name)}: {{\n      "budgets": '
            + _block([text(name, "budgets", user, kept.budgets[user]) for user in sorted(kept.budgets)])
            + ',\n      "periods": '
            + _block([text(name, "periods", *item) for item in sorted(kept.periods.items())], "{}")
            + ',\n      "holds": '
            + _block([text(name, "holds", *item) for item in sorted(kept.holds.items())])
            + ',\n      "leases": '
            + _block([text(name, "leases", *item) for item in sorted(kept.leases.items())])
            + _learned_text(kept.learned)
            + _rest(text, name, kept)
            + "\n    }"
            for name, kept in sorted(projects.items())
        ]
        entries = {"count": mark.entries, "bytes": mark.size_bytes, "crc32": f"{mark.crc32:08x}"}
        body = f'  "entries": {line(entries)},\n  "projects": {{\n' + ",\n".join(tables) + "\n  }\n}\n"
        return (head + body).encode()


def _rest(text: Callable[[str, str, str, Any], str], name: str, kept: Tables) -> str:
    """What most projects have none of, so it is left out where it is empty."""
    parts = {
        "keys": [text(name, "keys", each.id, each) for each in sorted_keys(kept)],
        "marks": [text(name, "marks", line(place), kept.marks[place]) for place in sorted(kept.marks)],
    }
    return "".join(f',\n      "{part}": {_block(texts)}' for part, texts in parts.items() if texts)


def entry_line(project: str, commit: int, entry: Entry) -> bytes:
    """One line of the entries' file."""
    fields = {
        "project": project,
        "commit": commit,
        "id": entry.id,
        "kind": entry.kind,
        "path": entry.path,
        "at": iso(entry.at),
        "recorded_at": iso(entry.recorded_at),
        "usd": format_usd(entry.nanos),
        "model": entry.model,
        "detail": entry.detail,
    }
    return line(fields, "model", "detail").encode() + b"\n"


def line(value: Any, *optional: str) -> str:
    """
    *value* as JSON in one line, safe to be shown: characters that are not seen are escaped.

    Args:
        optional: The fields of it that are left out where they have their usual value.
    """
    if optional:
        value = {name: each for name, each in value.items() if name not in optional or each not in _USUAL}
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    # Text that came in as broken bytes is kept in no other way.
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def _block(texts: list[str], brackets: str = "[]") -> str:
    if not texts:
        return brackets
    return f"{brackets[0]}\n" + ",\n".join(texts) + f"\n      {brackets[1]}"


def _budget_text(budget: Budget) -> str:
    fields = {
        "user": budget.user,
        "parent": budget.parent,
        "created_at": iso(budget.created_at),
        "frozen": budget.frozen,
        "archived": budget.archived,
    }
    own = line(fields, "parent", "frozen", "archived")
    if not budget.limits:
        return f"        {own}"
    limits = ",\n".join(f"          {_limit_text(limit)}" for limit in budget.limits)
    return f'        {own[:-1]}, "limits": [\n{limits}\n        ]}}'


def _limit_text(limit: Limit) -> str:
    fields = {
        "id": limit.id,
        "total_usd": None if limit.total_nanos is None else format_usd(limit.total_nanos),
        "every": limit.rule.every,
        "unit": limit.rule.unit,
        "timezone": limit.rule.timezone,
        "anchor": limit.rule.anchor.isoformat() if limit.rule.anchor else None,
        "reset_at": _iso_or_none(limit.reset_at),
        "warn_at": limit.warn_at,
    }
    return line(fields, "total_usd", "anchor", "reset_at", "warn_at")


def _periods_text(periods: Mapping[datetime, Sums]) -> str:
    limit_id = next(iter(periods.values())).totals.limit_id
    texts = ",\n".join(f"          {_period_text(periods[start])}" for start in sorted(periods))
    return f"        {line(limit_id)}: [\n{texts}\n        ]"


def _period_text(sums: Sums) -> str:
    totals = sums.totals
    fields = {
        "start": iso(totals.start),
        "end": _iso_or_none(totals.end),
        "spent_usd": format_usd(totals.spent_nanos),
        "held_usd": format_usd(totals.held_nanos),
        "unconfirmed_usd": format_usd(totals.unconfirmed_nanos),
        "boost_usd": format_usd(totals.boost_nanos) if totals.boost_nanos else None,
        "touched_at": _iso_or_none(totals.touched_at),
        "models": {model: format_usd(nanos) for model, nanos in sorted(sums.models.items()) if nanos},
    }
    return line(fields, "end", "boost_usd", "touched_at", "models")


def _hold_text(hold: Hold) -> str:
    fields = {
        "id": hold.id,
        "path": hold.path,
        "model": hold.model,
        "held_usd": format_usd(hold.nanos),
        "at": iso(hold.at),
        "lease": hold.lease_id,
        "unconfirmed": hold.unconfirmed,
        "terms": hold.terms,
    }
    return f"        {line(fields, 'unconfirmed', 'terms')}"


def _lease_text(lease: Lease) -> str:
    process = lease.process
    fields = {
        "id": lease.id,
        "host": process.host,
        "pid": process.pid,
        "started": process.started,
        "expires_at": iso(lease.expires_at),
    }
    return f"        {line(fields)}"


def _learned_text(learned: Learned) -> str:
    """The last part of a project; nothing where nothing was learned."""
    if learned.through is None:
        return ""
    lessons = _block([f"        {line(_lesson_fields(each))}" for each in learned.lessons])
    return f',\n      "learned_through": {line(learned.through)},\n      "lessons": {lessons}'


def _lesson_fields(lesson: Lesson) -> dict[str, Any]:
    model, kind, size, counted = lesson.topic
    return {
        "model": model,
        "kind": kind,
        "size": size,
        "counted": counted,
        "percents": lesson.percents,
        "covered": lesson.covered,
    }


def _key_text(key: Key) -> str:
    fields = {
        "id": key.id,
        "role": key.role,
        "secret_sha256": key.secret_hash,
        "created_at": iso(key.created_at),
        "user": key.user,
        "under": key.under or None,
        "expires_at": _iso_or_none(key.expires_at),
        "revoked_at": _iso_or_none(key.revoked_at),
        "note": key.note,
    }
    return f"        {line(fields, 'user', 'under', 'expires_at', 'revoked_at', 'note')}"


def _mark_text(mark: records.Mark) -> str:
    fields = {
        "client": mark.client,
        "user": mark.user,
        "touched_at": iso(mark.touched_at),
        "said": mark.said,
    }
    return f"        {line(fields)}"


_TEXTS: Mapping[str, Any] = {
    "budgets": _budget_text,
    "periods": _periods_text,
    "holds": _hold_text,
    "leases": _lease_text,
    "keys": _key_text,
    "marks": _mark_text,
}


def _iso_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else iso(moment)


# Reading. Whatever is wrong is a `ValueError` that says where.


def read_document(data: bytes) -> tuple[Mark, dict[str, Tables]]:
    """
    What a store's file says.

    Raises:
        TooNewError: it has a schema that is not known yet.
        ValueError: it is damaged, or no store's file.
    """
    document = _Fields(_parsed(data))
    if document.take("format", str, None) != FORMAT:
        raise ValueError("it is a file of another program")
    schema = document.take("schema", int)
    if schema > SCHEMA:
        raise TooNewError(schema)
    commit = document.take("commit", int)
    mark = _record("entries", document.take("entries", dict), partial(_mark, commit))
    projects = {
        name: _record(f"project {line(name)}", kept, _tables)
        for name, kept in document.take("projects", dict).items()
    }
    document.end()
    return mark, projects


def read_entry(data: bytes) -> tuple[str, Entry]:
    """
    A line of the entries' file: its project and its entry.

    Raises:
        ValueError: it is damaged.
    """
    fields = _Fields(_parsed(data))
    project = fields.take("project", str)
    fields.take("commit", int)
    entry = Entry(
        fields.take("id", str),
        cast("EntryKind", fields.choice("kind", get_args(EntryKind))),
        fields.path(),
        fields.moment("at"),
        fields.moment("recorded_at"),
        fields.money("usd"),
        fields.take("model", str, None),
        fields.take("detail", dict, {}),
    )
    fields.end()
    return project, entry


def commit_of(data: bytes) -> int | None:
    """Which commit a line of the entries' file belongs to; `None`: it is none that was written whole."""
    try:
        found = _parsed(data)
    except ValueError:
        return None
    commit = found.get("commit") if isinstance(found, dict) else None
    return commit if type(commit) is int else None


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}: {error.msg}") from error
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {number}: it is not UTF-8") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


_NEEDED: Any = object()


class _Fields:
    """The fields of one record, each taken once; none may be left."""

    def __init__(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise ValueError(f"{_cut(value)} is no object")  # noqa: TRY004 - the file is wrong, not a caller
        self._left = value

    def take(self, name: str, kind: type[Any], usual: Any = _NEEDED) -> Any:
        """The field of that name and type; *usual* where it is missing and may be."""
        value = self._left.pop(name, usual)
        if value is _NEEDED:
            raise ValueError(f"there is no {name}")
        # A truth value is no number, though Python has it for one.
        if value is not usual and type(value) is not kind:
            raise ValueError(f"{name} is {_cut(value)}")
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """One of those texts."""
        text: str = self.take(name, str)
        if text not in choices:
            raise ValueError(f"{name} is {_cut(text)}")
        return text

    def money(self, name: str, usual: Any = _NEEDED) -> Any:
        """An exact amount in nanos, as `format_usd` writes it; *usual* where it is missing and may be."""
        text = self.take(name, str, usual)
        return text if text is usual else _nanos(text)

    def moment(self, name: str, usual: Any = _NEEDED) -> Any:
        """A moment in UTC; *usual* where it is missing and may be."""
        text = self.take(name, str, usual)
        return text if text is usual else aware_utc(datetime.fromisoformat(text))

    def path(self) -> Path:
        """The path of names."""
        names = self.take("path", list)
        if not names or not all(type(name) is str for name in names):
            raise ValueError(f"path is {_cut(names)}")
        return tuple(names)

    def end(self) -> None:
        """All of them were taken."""
        if self._left:
            raise ValueError(f"{_cut(next(iter(self._left)))} is not a field that is known here")


def _record(where: str, value: Any, make: Callable[[_Fields], T]) -> T:
    """What *make* takes from all the fields of *value*; what is wrong says where."""
    try:
        fields = _Fields(value)
        made = make(fields)
        fields.end()
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return made


def _records(what: str, values: list[Any], make: Callable[[_Fields], T]) -> list[T]:
    return [_record(f"{what} {number}", value, make) for number, value in enumerate(values, 1)]


def _mark(commit: int, fields: _Fields) -> Mark:
    return Mark(
        commit, fields.take("count", int), fields.take("bytes", int), int(fields.take("crc32", str), 16)
    )


def _tables(fields: _Fields) -> Tables:
    periods = fields.take("periods", dict)
    return Tables(
        {each.user: each for each in _records("budget", fields.take("budgets", list), _budget)},
        {limit_id: _periods(limit_id, kept) for limit_id, kept in periods.items()},
        {each.id: each for each in _records("hold", fields.take("holds", list), _hold)},
        {each.id: each for each in _records("lease", fields.take("leases", list), _lease)},
        Learned(
            fields.take("learned_through", str, None),
            tuple(_records("lesson", fields.take("lessons", list, []), _lesson)),
        ),
        {each.id: each for each in _records("key", fields.take("keys", list, []), _key)},
        {
            (each.client, each.user): each
            for each in _records("mark", fields.take("marks", list, []), _client_mark)
        },
    )


def _budget(fields: _Fields) -> Budget:
    return Budget(
        fields.take("user", str),
        fields.take("parent", str, None),
        tuple(_records("limit", fields.take("limits", list, []), _limit)),
        fields.moment("created_at"),
        fields.take("frozen", bool, False),
        fields.take("archived", bool, False),
    )


def _limit(fields: _Fields) -> Limit:
    anchor = fields.take("anchor", str, None)
    rule = PeriodRule(
        fields.take("every", int),
        fields.take("unit", str),
        fields.take("timezone", str),
        None if anchor is None else datetime.fromisoformat(anchor),
    )
    warn_at = fields.take("warn_at", list, [])
    if not all(type(percent) is int for percent in warn_at):
        raise ValueError(f"warn_at is {_cut(warn_at)}")
    return Limit(
        fields.take("id", str),
        fields.money("total_usd", None),
        rule,
        fields.moment("reset_at", None),
        tuple(warn_at),
    )


def _periods(limit_id: str, kept: Any) -> dict[datetime, Sums]:
    where = f"periods of {line(limit_id)}"
    if not isinstance(kept, list):
        raise ValueError(f"{where}: {_cut(kept)} is no list")  # noqa: TRY004 - the file is wrong, not a caller
    found = _records(f"{where}, period", kept, partial(_sums, limit_id))
    return {sums.totals.start: sums for sums in found}


def _sums(limit_id: str, fields: _Fields) -> Sums:
    totals = Totals(
        limit_id,
        fields.moment("start"),
        fields.moment("end", None),
        fields.money("spent_usd"),
        fields.money("held_usd"),
        fields.money("unconfirmed_usd"),
        fields.moment("touched_at", None),
        fields.money("boost_usd", 0),
    )
    models = fields.take("models", dict, {})
    return Sums(totals, {model: _nanos(text) for model, text in models.items()})


def _hold(fields: _Fields) -> Hold:
    return Hold(
        fields.take("id", str),
        fields.path(),
        fields.take("model", str),
        fields.money("held_usd"),
        fields.moment("at"),
        fields.take("lease", str),
        fields.take("unconfirmed", bool, False),
        fields.take("terms", dict, {}),
    )


def _lease(fields: _Fields) -> Lease:
    process = Process(fields.take("host", str), fields.take("pid", int), fields.take("started", str))
    return Lease(fields.take("id", str), process, fields.moment("expires_at"))


def _lesson(fields: _Fields) -> Lesson:
    topic = (
        fields.take("model", str),
        fields.take("kind", str),
        fields.take("size", int),
        fields.take("counted", str),
    )
    percents = fields.take("percents", list)
    if not percents:
        raise ValueError("percents is empty")
    for each in percents:
        if not (isinstance(each, list) and [type(number) for number in each] == [int, int] and min(each) > 0):
            raise ValueError(f"percents has {_cut(each)}")
    return Lesson(topic, tuple(map(tuple, percents)), fields.take("covered", int))


def _key(fields: _Fields) -> Key:
    return Key(
        fields.take("id", str),
        cast("Role", fields.choice("role", get_args(Role))),
        fields.take("secret_sha256", str),
        fields.moment("created_at"),
        fields.take("user", str, None),
        fields.take("under", str, ROOT),
        fields.moment("expires_at", None),
        fields.moment("revoked_at", None),
        fields.take("note", str, None),
    )


def _client_mark(fields: _Fields) -> records.Mark:
    return records.Mark(
        fields.take("client", str),
        fields.take("user", str),
        fields.moment("touched_at"),
        fields.take("said", dict),
    )


def _nanos(text: Any) -> Nanos:
    if not isinstance(text, str):
        raise ValueError(f"{_cut(text)} is no amount")  # noqa: TRY004 - the file is wrong, not a caller
    return written_usd(text)


def _cut(value: Any) -> str:
    text = line(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
