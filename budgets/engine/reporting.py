"""What was spent, by whom, when and on what; who stands below whom. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Literal, TypeAlias

from budgets import rules
from budgets.engine import reading
from budgets.engine.paths import Standing, stand, unknown_user
from budgets.errors import InvalidValueError, UnknownEntryError
from budgets.money import Nanos
from budgets.periods import BEGINNING, Period, PeriodRule, find_zone
from budgets.ports import Reading
from budgets.records import ROOT, Budget, BudgetStatus, Entry, Limit, Totals

By: TypeAlias = Literal["model", "day", "user"]
Which: TypeAlias = Literal["current", "last"]

# How many entries are read at a time where all are wanted.
PAGE = 2_000


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent below one budget in a stretch of time: its own calls and those of all below it."""

    # `ROOT` for the project.
    user: str
    # Its primary limit; `None` for a project without one.
    limit: Limit | None
    period: Period
    # Which of the limit's periods that is; `None`: a stretch of time of the caller's own.
    of_period: Which | None
    by: By
    # Models (empty for charges without one) and users the dearest first, days in their order.
    rows: tuple[tuple[str, Nanos], ...]
    # By model, in any case.
    models: dict[str, Nanos]

    @property
    def spent_nanos(self) -> Nanos:
        """The sum of the rows."""
        return sum(nanos for _, nanos in self.rows)

    @property
    def timezone(self) -> str:
        """In which days are days."""
        return timezone_of(self.limit)


@dataclass(frozen=True, slots=True)
class Branch:
    """One budget and those below it, by name."""

    status: BudgetStatus
    # Empty where they were not asked for.
    branches: tuple[Branch, ...]
    # How many stand below it, however deep.
    below: int


@dataclass(frozen=True, slots=True)
class ProjectReport:
    """One project of a store."""

    project: str
    users: int
    # Every charge and correction there ever was.
    spent_nanos: Nanos
    # When its last entry was written.
    written_at: datetime | None


def timezone_of(limit: Limit | None) -> str:
    """The zone of a budget's primary limit."""
    return limit.rule.timezone if limit is not None else "UTC"


def primary_limit(view: Reading, user: str) -> Limit | None:
    """
    The primary limit of a budget; `None` for a project without one.

    Raises:
        UnknownUserError: the user has no budget.
    """
    budget = view.budget(user)
    if budget is None and user != ROOT:
        raise unknown_user(view, user)
    return budget.primary if budget is not None else None


def spending(
    view: Reading,
    now: datetime,
    *,
    user: str,
    by: By = "model",
    which: Which = "current",
    since: datetime | None = None,
    until: datetime | None = None,
) -> Spending:
    """
    What was spent below *user* (`ROOT`: in the project), from the entries.

    Args:
        which: The current period of the primary limit, or the one before it.
        since, until: A stretch of time instead, half-open; a project without a limit has no other.

    Raises:
        UnknownUserError: the user has no budget.
        InvalidValueError: the stretch is empty, or there is no period before.
    """
    limit = primary_limit(view, user)
    recorded = False
    of_period: Which | None = which
    if since is not None or until is not None:
        period, of_period = stretch(since, until), None
    elif limit is None:
        if which == "last":
            raise _no_period_before("a project without a limit has no periods")
        period = Period(BEGINNING, None)
    else:
        totals = _totals(view, stand(view, user, now), limit, which)
        period = Period(totals.start, totals.end)
        recorded = view.totals_at(limit.id, totals.start) is not None
    start, end = period.start, period.end
    # What is kept of an opened period is the same sum; reading it takes no longer with more entries.
    models = view.models(limit.id, start) if recorded and limit else view.spent(user, start, end)
    if by == "day":
        rows = tuple(_days(view, user, period, timezone_of(limit)))
    else:
        found = models if by == "model" else view.spenders(user, start, end)
        rows = tuple(sorted(found.items(), key=lambda each: (-each[1], each[0])))
    return Spending(user, limit, period, of_period, by, rows, models)


def stretch(since: datetime | None, until: datetime | None) -> Period:
    """
    A half-open stretch of time, from the beginning where *since* is `None`.

    Raises:
        InvalidValueError: it is empty.
    """
    start = BEGINNING if since is None else since
    if until is not None and until <= start:
        raise InvalidValueError("the stretch of time is empty", hint="give a later --until than --since")
    return Period(start, until)


def _totals(view: Reading, standing: Standing, limit: Limit, which: Which) -> Totals:
    """The period that counts now, or the one before it."""
    current = next(counter.totals for counter in standing.counters if counter.limit.id == limit.id)
    if which == "current":
        return current
    if current.start <= BEGINNING:
        raise _no_period_before("there is no period before the current one")
    before = current.start - rules.TICK
    found = view.totals_at(limit.id, before)
    if found is not None:
        return found
    # Nobody wrote it down, because nothing was held or charged in it.
    opened = [each for each in view.periods(limit.id) if each.start < current.start]
    return rules.gap_period(limit, before, [*opened, current])


def _no_period_before(message: str) -> InvalidValueError:
    return InvalidValueError(message, hint="give a stretch of time with --since and --until")


def _days(view: Reading, user: str, period: Period, timezone: str) -> Iterator[tuple[str, Nanos]]:
    """The days on which something was charged, as `2026-11-22`, and the sum of each."""
    rule, zone = PeriodRule(1, "day", timezone), find_zone(timezone)
    moment = period.start
    while period.end is None or moment < period.end:
        following = view.spending(user, moment, period.end, count=1)
        if not following:
            return
        day = rule.period_at(following[0].at)
        assert day.end is not None, "a day ends"
        end = day.end if period.end is None else min(day.end, period.end)
        spent = sum(view.spent(user, max(moment, day.start), end).values())
        name: date = following[0].at.astimezone(zone).date()
        yield name.isoformat(), spent
        moment = end


def history(view: Reading, *, user: str | None, before: str | None, count: int) -> list[Entry]:
    """
    A page of entries, newest first; with *user* those on whose path the name is.

    Raises:
        UnknownUserError: the user has no budget.
        UnknownEntryError: there is no entry of the id *before*.
    """
    place = None if before is None else place_of(view, before)
    if user is not None:
        primary_limit(view, user)
    return view.written(user=user, after=place, newest_first=True, count=count)


def place_of(view: Reading, entry_id: str) -> Entry:
    """
    The entry that a page begins beside.

    Raises:
        UnknownEntryError: there is none of that id.
    """
    found = view.entry(entry_id)
    if found is None:
        raise UnknownEntryError(
            f"there is no entry {entry_id}", hint="`budget history` shows the latest", id=entry_id
        )
    return found


def oldest(view: Reading, after: Entry | None, *, user: str | None) -> list[Entry]:
    """
    A page of entries in the order of writing, from the first or from the one after *after*.

    Raises:
        UnknownUserError: the user has no budget.
    """
    if user is not None:
        primary_limit(view, user)
    return view.written(user=user, after=after, count=PAGE)


def charges(view: Reading, after: Entry | None, *, user: str, period: Period) -> list[Entry]:
    """
    A page of charges and corrections below *user* by the moment of their call.

    Raises:
        UnknownUserError: the user has no budget.
    """
    primary_limit(view, user)
    return view.spending(user, period.start, period.end, after=after, count=PAGE)


def members(view: Reading, above: str) -> list[str]:
    """
    The users who stand below *above* today, however deep, by name.

    Raises:
        UnknownUserError: there is no such budget.
    """
    primary_limit(view, above)
    below = _children(view)
    found: list[str] = []
    pending = list(below.get(above, ()))
    while pending:
        budget = pending.pop()
        if not budget.archived:
            found.append(budget.user)
        pending += below.get(budget.user, ())
    return sorted(found)


def _children(view: Reading) -> dict[str, list[Budget]]:
    """Who stands right below whom, by name."""
    found: dict[str, list[Budget]] = {}
    for budget in view.budgets():
        if budget.parent is not None:
            found.setdefault(budget.parent, []).append(budget)
    return found


def used_most(view: Reading, now: datetime, least: Fraction) -> list[str]:
    """
    The users of whose tightest limit at least the part *least* is used, by name.

    The tightest is the one on their path that leaves least; spent, held and unconfirmed money uses it.
    """
    return [
        budget.user
        for budget in view.budgets()
        if budget.user != ROOT
        and not budget.archived
        and (part := _used(stand(view, budget.user, now))) is not None
        and part >= least
    ]


def _used(standing: Standing) -> Fraction | None:
    """The part of the tightest limit that is used; 1 where it has no room at all."""
    left = rules.left_over(standing.counters)
    for user, limit, totals in standing.counters:
        if user == left.user and limit.id == left.limit_id:
            room = limit.room_nanos(totals)
            assert room is not None, "a tally leaves nothing"
            return Fraction(totals.taken_nanos, room) if room > 0 else Fraction(1)
    return None


def tree(view: Reading, now: datetime, *, top: str = ROOT, depth: int | None = None) -> Branch:
    """
    A budget (`ROOT`: the project's) and all below it; archived ones only above others that are not.

    Args:
        depth: How many levels below the top are looked at; the others are counted. `None`: all.

    Raises:
        UnknownUserError: there is no such budget.
    """
    below = _children(view)
    sizes: dict[str, int] = {}

    def size(user: str) -> int:
        if user not in sizes:
            sizes[user] = sum(1 + size(child) for child in children(user))
        return sizes[user]

    def children(user: str) -> list[str]:
        return [each.user for each in below.get(user, ()) if not each.archived or size(each.user)]

    def branch(user: str, depth: int | None) -> Branch:
        deeper = None if depth is None else depth - 1
        branches = () if depth == 0 else tuple(branch(child, deeper) for child in children(user))
        return Branch(reading.status(view, now, user=user, models=False), branches, size(user))

    return branch(top, depth)


def project_report(view: Reading, project: str) -> ProjectReport:
    """What there is to say about a project as a whole. Takes time in proportion to its entries."""
    last = view.written(newest_first=True, count=1)
    return ProjectReport(
        project,
        users=sum(budget.user != ROOT for budget in view.budgets()),
        spent_nanos=sum(view.spent(ROOT, BEGINNING, None).values()),
        written_at=last[0].recorded_at if last else None,
    )
