"""
Whole dictionaries of spend, as LiteLLM's `BudgetManager` sends and gets them, merged: nobody's spend is lost.

A client knows one figure for each user and model: what it was told, and what it has spent since. It sends all
of them, again and again, also late and out of order. So the server keeps, for each client, user, and model, a
mark: how much of that figure is booked. Only what a figure has above its mark is charged, and charge and mark
are written in one transaction: whatever is killed when, a figure that comes again is booked once.

A client that begins anew for a user, because it has reset or made the user again, says so by another
`last_updated_at`. Its figures then count from zero, in marks of their own, and what is still on its way from
before meets the marks of before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from budgets.clock import to_micros
from budgets.engine import holding, shaping
from budgets.engine.paths import budgets_on_path, stand
from budgets.errors import AccessDeniedError, BudgetError
from budgets.money import MOST_NANOS, Nanos, format_usd, parse_usd
from budgets.periods import NEVER, PeriodRule, Unit
from budgets.ports import Reading, Transaction
from budgets.records import ROOT, Charge, Mark, Path, Receipt

# LiteLLM's four durations in days: https://docs.litellm.ai/docs/budget_manager
_CALENDAR: dict[int, Unit] = {7: "week", 28: "month", 365: "year"}
_DAYS = {"day": 1, "week": 7, "month": 28, "year": 365}

_DAY_MICROS = 24 * 60 * 60 * 1_000_000

# What is charged for a figure without a model, beside those with one.
_REST = ""

NOTE = "from a LiteLLM client"


@dataclass(frozen=True, slots=True)
class Said:
    """What a client says of one user. What it does not say changes nothing."""

    total_nanos: Nanos | None = None
    # The period in days, and when its first one began; `None`: it never starts anew.
    days: int | None = None
    created_at: datetime | None = None
    # When its period began, by the client's own account, in microseconds; 0: it keeps no account.
    since: int = 0
    spent_nanos: Nanos | None = None
    models: Mapping[str, Nanos] | None = None

    @property
    def is_zero(self) -> bool:
        """The form in which a client says that it has reset a user."""
        return self.spent_nanos == 0 and self.models is not None and not self.models


@dataclass(frozen=True, slots=True)
class Told:
    """What a client is told of one user."""

    user: str
    total_nanos: Nanos
    days: int | None
    created_at: datetime
    # When the current period began.
    since: datetime
    spent_nanos: Nanos
    models: Mapping[str, Nanos]


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of a client's dictionary."""

    receipts: tuple[Receipt, ...]
    # User -> why what was said of that user was not, or not all of it, carried out.
    refused: Mapping[str, BudgetError]


@dataclass(frozen=True, slots=True)
class _Known:
    """A mark, read: what one client has last said, or was told, of one user."""

    total_nanos: Nanos | None
    days: int | None
    # It said zero, so zero again is no reset.
    is_zero: bool
    # How much is booked by model, for the latest two of the client's own periods, the latest last.
    periods: tuple[tuple[int, Mapping[str, Nanos]], ...]

    def booked(self, since: int) -> Mapping[str, Nanos]:
        return next((booked for began, booked in reversed(self.periods) if began == since), {})

    def with_booked(self, since: int, booked: Mapping[str, Nanos]) -> _Known:
        """The same with that period as the latest."""
        others = [each for each in self.periods if each[0] != since]
        return replace(self, periods=(*others[-1:], (since, booked)))


@dataclass(frozen=True, slots=True)
class _News:
    """What a record says that is not known yet, and what is known then."""

    known: _Known
    # Model and what is to be charged for it.
    charges: tuple[tuple[str, Nanos], ...] = ()
    reset: bool = False
    total_nanos: Nanos | None = None
    days: int | None = None

    @property
    def shapes(self) -> bool:
        return self.reset or self.total_nanos is not None or self.days is not None


def tell(
    txn: Transaction, now: datetime, *, client: str, may_see: Callable[[Path], bool]
) -> list[Told] | None:
    """
    Every user's budget for one client, which counts on from there; `None`: there is no such project.

    Args:
        may_see: Whether the budget at the beginning of a path is shown.
    """
    if txn.budget(ROOT) is None:
        return None
    before = {mark.user: mark for mark in txn.marks(client)}
    found = []
    for budget in list(txn.budgets()):
        if budget.user == ROOT or not may_see(_path(txn, budget.user)):
            continue
        told = _told(txn, now, budget.user)
        found.append(told)
        mark = before.get(budget.user)
        known = _read(mark) if mark is not None else None
        since = to_micros(told.since) if told.days is not None else 0
        fresh = _Known(told.total_nanos, told.days, False, known.periods if known else ())
        fresh = fresh.with_booked(since, _booked(told))
        if fresh != known:
            _put(txn, now, client, budget.user, fresh)
    return found


def merge(
    txn: Transaction,
    now: datetime,
    *,
    client: str,
    users: Mapping[str, Said],
    may_shape: Callable[[Path], bool],
    may_charge: Callable[[Path], bool],
    new_id: shaping.NewId,
) -> Merged:
    """
    Take in a client's whole dictionary: make who is new, change what it changed, book what it has spent.

    What one user's record asks and may not have, or cannot mean, does not keep the others from being booked.

    Args:
        may_shape: Whether the client may make, change, and reset the budget at the beginning of a path.
        may_charge: Whether it may charge for it.
    """
    before = {mark.user: mark for mark in txn.marks(client)}
    receipts: list[Receipt] = []
    refused: dict[str, BudgetError] = {}
    for user, said in users.items():
        mark = before.get(user)
        news = _news(said, _read(mark)) if mark is not None else None
        if mark is not None and news == _News(_read(mark)) and txn.budget(user) is not None:
            continue
        try:
            with txn.savepoint():
                if txn.budget(user) is None:
                    _allow(may_shape((user, ROOT)), user, "make")
                    _make(txn, now, user, said, new_id)
                    news = _news(said, _Known(said.total_nanos, said.days, said.is_zero, ()))
                if news is None:
                    news = _news(said, _standing(_told(txn, now, user), said))
                path = _path(txn, user)
                if news.charges:
                    _allow(may_charge(path), user, "charge")
                receipts += [
                    holding.charge(
                        txn,
                        now,
                        user=user,
                        entry_id=new_id("call"),
                        cost=Charge(nanos, model or None, how="amount", note=NOTE),
                    )
                    for model, nanos in news.charges
                ]
                _put(txn, now, client, user, news.known)
            with txn.savepoint():
                if news.shapes:
                    _allow(may_shape(path), user, "change")
                    _shape(txn, now, user, news, said, new_id)
        except BudgetError as error:
            refused[user] = error
    return Merged(tuple(receipts), refused)


def rule_of(days: int | None, anchor: datetime) -> PeriodRule:
    """
    The rule that LiteLLM's number of days stands for: 7 a week, 28 a calendar month, 365 a year.

    Args:
        anchor: When one period began.
    """
    if days is None:
        return NEVER
    wall = anchor.replace(tzinfo=None)
    unit = _CALENDAR.get(days)
    return PeriodRule(1, unit, anchor=wall) if unit is not None else PeriodRule(days, "day", anchor=wall)


def days_of(rule: PeriodRule) -> int | None:
    """The number of days that stands for a rule; `None` for one that never starts anew."""
    return None if rule == NEVER or rule.unit == "never" else rule.every * _DAYS[rule.unit]


def _news(said: Said, known: _Known) -> _News:
    """What to do about a record. Nothing that is not said, or is late, changes anything."""
    latest = known.periods[-1][0] if known.periods else said.since
    seen = any(began == said.since for began, _ in known.periods)
    late = seen and said.since != latest
    reset = said.is_zero and not late and not (known.is_zero and seen)
    # A client whose own period is over resets the user. Whether it is over is for our calendar to say.
    by_itself = known.days is not None and said.since - latest >= known.days * _DAY_MICROS
    booked = {} if reset else dict(known.booked(said.since))
    charges = []
    for model, nanos in (said.models or {}).items():
        above = nanos - booked.get(model, 0)
        if above > 0:
            charges.append((model, above))
            booked[model] = nanos
    if said.spent_nanos is not None:
        rest = said.spent_nanos - sum(booked.values())
        # The client adds up floats, and each figure was rounded to a nano.
        if rest > len(booked) + 1:
            charges.append((_REST, rest))
            booked[_REST] = booked.get(_REST, 0) + rest
    if late:
        periods = tuple((began, booked if began == said.since else each) for began, each in known.periods)
        return _News(replace(known, periods=periods), tuple(charges))
    now_known = replace(
        known,
        total_nanos=said.total_nanos if said.total_nanos is not None else known.total_nanos,
        days=said.days if said.days is not None else known.days,
        is_zero=said.is_zero or (known.is_zero and not charges and seen),
    ).with_booked(said.since, booked)
    return _News(
        now_known,
        tuple(charges),
        reset=reset and not by_itself and bool(known.periods),
        total_nanos=now_known.total_nanos if now_known.total_nanos != known.total_nanos else None,
        days=now_known.days if now_known.days != known.days else None,
    )


def _make(txn: Transaction, now: datetime, user: str, said: Said, new_id: shaping.NewId) -> None:
    terms = []
    if said.total_nanos is not None:
        terms.append(shaping.LimitTerms(said.total_nanos, rule_of(said.days, said.created_at or now)))
    shaping.create(txn, now, user=user, limits=terms, parent=ROOT, new_id=new_id)


def _shape(
    txn: Transaction, now: datetime, user: str, news: _News, said: Said, new_id: shaping.NewId
) -> None:
    if news.total_nanos is not None or news.days is not None:
        rule = rule_of(news.days, said.created_at or now) if news.days is not None else None
        shaping.change(
            txn, now, user=user, wanted=shaping.Change(total_nanos=news.total_nanos, rule=rule), new_id=new_id
        )
    if news.reset:
        shaping.reset(txn, now, user=user, new_id=new_id)


def _told(view: Reading, now: datetime, user: str) -> Told:
    standing = stand(view, user, now)
    budget, counter = standing.budgets[0], standing.counters[0]
    models = view.models(counter.limit.id, counter.totals.start)
    room = counter.limit.room_nanos(counter.totals)
    return Told(
        user,
        # A client cannot do without an amount.
        MOST_NANOS if room is None else room,
        days_of(counter.limit.rule),
        budget.created_at,
        counter.totals.start,
        max(0, counter.totals.spent_nanos),
        {model: nanos for model, nanos in models.items() if model and nanos > 0},
    )


def _booked(told: Told) -> dict[str, Nanos]:
    rest = told.spent_nanos - sum(told.models.values())
    return {**told.models, **({_REST: rest} if rest > 0 else {})}


def _standing(told: Told, said: Said) -> _Known:
    """
    What stands in for a mark that is missing: the client's own figures, as far as anybody has spent as much.

    So only what is above all that is booked is surely new, and what it spends from here on is seen.
    """
    booked = _booked(told)
    figures = dict(said.models or {})
    figures[_REST] = max(0, (said.spent_nanos or 0) - sum(figures.values()))
    common = {model: min(nanos, booked.get(model, 0)) for model, nanos in figures.items()}
    periods = ((said.since, {model: nanos for model, nanos in common.items() if nanos}),)
    return _Known(said.total_nanos, said.days, said.is_zero, periods)


def _path(view: Reading, user: str) -> Path:
    return tuple(budget.user for budget in budgets_on_path(view, user))


def _allow(allowed: bool, user: str, what: str) -> None:
    if not allowed:
        raise AccessDeniedError(
            f"this key may not {what} the budget of {user}",
            hint="use a key of role admin, or one that is bound to that user",
            user=user,
        )


# A mark as it is kept: money as decimal text, so that a store in text can be read.


def _put(txn: Transaction, now: datetime, client: str, user: str, known: _Known) -> None:
    said: dict[str, Any] = {
        "total_usd": None if known.total_nanos is None else format_usd(known.total_nanos),
        "days": known.days,
        "zero": known.is_zero,
        "periods": [
            [since, {model: format_usd(nanos) for model, nanos in booked.items()}]
            for since, booked in known.periods
        ],
    }
    txn.put_mark(Mark(client, user, now, said))


def _read(mark: Mark) -> _Known:
    said = mark.said
    return _Known(
        None if said["total_usd"] is None else parse_usd(said["total_usd"]),
        said["days"],
        said["zero"],
        tuple(
            (since, {model: parse_usd(text) for model, text in booked.items()})
            for since, booked in said["periods"]
        ),
    )
