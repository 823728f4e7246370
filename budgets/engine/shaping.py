"""
The shape of things: create a budget, change it, reset it, roll what is due.

Changing a rule gives no money back: the current period's sums are made anew from entries and holds.
Only `reset` gives money back, by opening a new period.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from budgets import rules
from budgets.clock import iso
from budgets.engine.paths import (
    Raised,
    Standing,
    budgets_on_path,
    derived,
    open_period,
    overrun_entries,
    stand,
    unknown_user,
)
from budgets.errors import ConflictError, InvalidValueError, UserExistsError
from budgets.money import Nanos, money
from budgets.periods import NEVER, PeriodRule
from budgets.ports import Transaction
from budgets.records import ROOT, Budget, Entry, Limit, Path, Rolled, Totals

NewId = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class LimitTerms:
    """A limit to be made: so much per period."""

    total_nanos: Nanos
    rule: PeriodRule = NEVER


@dataclass(frozen=True, slots=True)
class Change:
    """What to change about a budget; `None` leaves a thing as it is."""

    # The primary limit's amount, and its rule.
    total_nanos: Nanos | None = None
    rule: PeriodRule | None = None
    # `ROOT` for none.
    parent: str | None = None
    frozen: bool | None = None
    # Every limit's zone.
    timezone: str | None = None
    # More limits, and the ids of those to drop.
    add: tuple[LimitTerms, ...] = ()
    drop: tuple[str, ...] = ()
    archived: bool | None = None
    # Added to what raises a limit in its current period; signed, for a boost can be taken back.
    boost_nanos: Nanos | None = None
    # The thresholds of a limit in percent; empty for none.
    warn_at: tuple[int, ...] | None = None
    # The limit that these two are about; `None`: the primary one.
    limit_id: str | None = None


def create(
    txn: Transaction,
    now: datetime,
    *,
    user: str,
    limits: Sequence[LimitTerms],
    parent: str,
    new_id: NewId,
    if_missing: bool = False,
    change_id: str | None = None,
) -> tuple[Budget, bool]:
    """
    Make a budget; gives it and whether it is new.

    Args:
        limits: The first is the primary one; none makes a plain member, whose parents limit it.
        parent: Whose limits hold as well; `ROOT` for the project alone.
        if_missing: Leave an existing budget as it is instead of raising.
        change_id: The caller's own id makes it safe to repeat; `None`: a new one.

    Raises:
        UserExistsError: the user has a budget.
        UnknownUserError: there is no such parent.
        InvalidValueError: a bad name or amount, or more than 16 parents in a line.
    """
    rules.check_name(user)
    existing = txn.budget(user)
    if existing is not None:
        if _written(txn, change_id, user):
            return existing, True
        if if_missing:
            return existing, False
        raise UserExistsError(
            f"{user} has a budget already" + (", which is archived" if existing.archived else ""),
            hint=f"let calls through again with `budget unarchive --user {user}`"
            if existing.archived
            else f"change it with `budget set --user {user} --total ...`, or say --if-missing in scripts",
            user=user,
        )
    _ensure_project(txn, now)
    path = (user, *_check_parent(txn, user, parent, below=0))
    made = tuple(_new_limit(terms, new_id) for terms in limits) or (Limit(new_id("limit"), None, NEVER),)
    budget = Budget(user, parent, made, created_at=now)
    txn.put_budget(budget)
    for limit in made:
        open_period(txn, now, rules.Counter(user, limit, rules.period_for(limit, now)), path)
    txn.append([_changed_entry(change_id or new_id("set"), now, path, None, budget)])
    return budget, True


def _written(txn: Transaction, change_id: str | None, user: str, *more: str) -> bool:
    """
    Whether the change of that id was made before: then it is answered, and not made again.

    Args:
        more: Ids of facts by which it is known as well.

    Raises:
        ConflictError: the id was used for something else.
    """
    if change_id is None:
        return False
    done = next((found for each in (change_id, *more) if (found := txn.entry(each)) is not None), None)
    if done is not None and (done.user != user or done.kind not in ("limit_changed", "boosted")):
        raise ConflictError(f"{change_id} was used for something else", hint="take another id", id=change_id)
    return done is not None


def change(
    txn: Transaction,
    now: datetime,
    *,
    user: str,
    wanted: Change,
    new_id: NewId,
    change_id: str | None = None,
) -> Budget:
    """
    Change a budget; it takes effect at once.

    A new rule keeps the limit's id and makes the current period's sums anew, by the moment of each call;
    a boost goes on in it. A new parent counts from now on: what was spent and held stays where it was.

    Args:
        change_id: The caller's own id makes it safe to repeat; `None`: a new one.

    Raises:
        UnknownUserError: the user, or the parent, has no budget.
        InvalidValueError: a parent that would make a circle, a bad amount, an unknown limit.
    """
    if user == ROOT:
        _ensure_project(txn, now)
    before = txn.budget(user)
    if before is None:
        raise unknown_user(txn, user)
    if _written(txn, change_id, user, *(_boost_id(change_id or "", limit) for limit in before.limits)):
        return before
    now = stand(txn, user, now).now
    if user == ROOT:
        # Without a cap the project has no periods of its own that would say how late it is.
        now = rules.ledger_time(
            now, (txn.current(limit.id) for budget in txn.budgets() for limit in budget.limits)
        )
    after = before
    if wanted.parent is not None and wanted.parent != before.parent:
        if user == ROOT:
            raise InvalidValueError("the project has no parent", hint="name a user with --user")
        _check_parent(txn, user, wanted.parent, below=_height(txn, user))
        after = replace(after, parent=wanted.parent)
    if wanted.frozen is not None:
        after = replace(after, frozen=wanted.frozen)
    if wanted.archived is not None:
        if user == ROOT:
            raise InvalidValueError(
                "the project cannot be archived", hint="refuse every call of it with `budget set --freeze`"
            )
        after = replace(after, archived=wanted.archived)
    after = replace(after, limits=_changed_limits(before, wanted, new_id))
    boosted = None if not wanted.boost_nanos else _meant(list(after.limits), wanted.limit_id)
    if after == before and boosted is None:
        return before
    txn.put_budget(after)
    path = tuple(budget.user for budget in budgets_on_path(txn, user))
    change_id = change_id or new_id("set")
    old = {limit.id: limit for limit in before.limits}
    raised: list[Raised] = []
    boosts: list[Entry] = []
    for limit in after.limits:
        was = old.get(limit.id)
        if was is None or was.rule != limit.rule:
            totals = rebase(txn, now, user=user, limit=limit, path=path, cause_id=change_id)
            excess = 0
        elif was.total_nanos != limit.total_nanos or limit is boosted:
            totals = _current(txn, now, user, limit, path)
            excess = rules.excess_nanos(was, totals)
        else:
            continue
        if limit is boosted:
            totals, entry = _boost(txn, now, limit, totals, wanted.boost_nanos or 0, path, change_id)
            boosts.append(entry)
        raised.append(Raised(user, limit, totals, rules.excess_nanos(limit, totals) - excess))
    changed = [_changed_entry(change_id, now, path, before, after)] if after != before else []
    txn.append(
        [
            *changed,
            *boosts,
            *overrun_entries(
                raised, cause="the limit was changed", cause_id=change_id, path=path, at=now, now=now
            ),
        ]
    )
    return after


def _boost(
    txn: Transaction,
    now: datetime,
    limit: Limit,
    totals: Totals,
    nanos: Nanos,
    path: Path,
    change_id: str,
) -> tuple[Totals, Entry]:
    """Raise a limit by *nanos* in the period of *totals*, or take that much of its boost back."""
    if totals.boost_nanos + nanos < 0:
        raise InvalidValueError(
            f"the boost is {money(totals.boost_nanos)}, {money(-nanos)} cannot be taken back",
            hint="lower the limit itself with --total",
        )
    rules.check_amount(totals.boost_nanos + nanos, "a boost")
    after = replace(totals, boost_nanos=totals.boost_nanos + nanos)
    txn.put_totals(after)
    detail = {"limit_id": limit.id, "period_start": iso(totals.start)}
    return after, Entry(_boost_id(change_id, limit), "boosted", path, now, now, nanos, detail=detail)


def _boost_id(change_id: str, limit: Limit) -> str:
    return f"{change_id}.boost.{limit.id}"


def _meant(limits: Sequence[Limit], limit_id: str | None) -> Limit:
    """The limit of that id, or the primary one; only what limits can be meant."""
    caps = [limit for limit in limits if limit.total_nanos is not None]
    found = [limit for limit in caps if limit.id == limit_id] if limit_id is not None else caps[:1]
    if not found:
        raise InvalidValueError(
            f"there is no limit {limit_id}" if limit_id is not None else "there is no limit",
            hint=f"the limits are {', '.join(limit.id for limit in caps)}"
            if caps
            else "make one with --total USD",
        )
    return found[0]


def _changed_limits(before: Budget, wanted: Change, new_id: NewId) -> tuple[Limit, ...]:
    limits = list(before.limits)
    for limit_id in wanted.drop:
        dropped = _meant(before.limits, limit_id)
        limits = [limit for limit in limits if limit is not dropped]
    if wanted.total_nanos is not None or wanted.rule is not None:
        if wanted.total_nanos is not None:
            rules.check_amount(wanted.total_nanos, "a limit")
        if limits:
            first = limits[0]
            if first.total_nanos is None and wanted.total_nanos is None:
                raise InvalidValueError(
                    "there is no limit whose period could change", hint="give the amount too, with --total"
                )
            limits[0] = replace(
                first,
                total_nanos=first.total_nanos if wanted.total_nanos is None else wanted.total_nanos,
                rule=wanted.rule or first.rule,
            )
        elif wanted.total_nanos is None:
            raise InvalidValueError(
                "there is no limit whose period could change", hint="give the amount too, with --total"
            )
        else:
            limits = [Limit(new_id("limit"), wanted.total_nanos, wanted.rule or NEVER)]
    limits = [limit for limit in limits if limit.total_nanos is not None or not wanted.add]
    limits += [_new_limit(terms, new_id) for terms in wanted.add]
    if wanted.warn_at is not None:
        warned, warn_at = _meant(limits, wanted.limit_id), rules.check_thresholds(wanted.warn_at)
        limits = [replace(limit, warn_at=warn_at) if limit is warned else limit for limit in limits]
    if wanted.timezone is not None:
        limits = [replace(limit, rule=replace(limit.rule, timezone=wanted.timezone)) for limit in limits]
    if not limits and before.user != ROOT:
        limits = [Limit(new_id("limit"), None, NEVER)]
    return tuple(limits)


def rebase(txn: Transaction, now: datetime, *, user: str, limit: Limit, path: Path, cause_id: str) -> Totals:
    """
    Put a new or changed limit on its feet: its current period by the new rule, its sums made anew.

    Opened periods that begin in it make way; the one that reaches into it is cut.
    """
    fresh = rules.period_for(limit, now)
    current = txn.current(limit.id)
    if current is not None and not rules.has_ended(current, now):
        # What is a boost for now stays one, whatever now belongs to.
        fresh = replace(fresh, boost_nanos=current.boost_nanos)
    txn.remove_periods(limit.id, fresh.start)
    for older in txn.periods(limit.id):
        if older.end is None or older.end > fresh.start:
            cut, models = derived(txn, user, replace(older, end=fresh.start))
            txn.put_totals(cut)
            txn.put_models(limit.id, cut.start, models)
    # *now* is ledger time: nothing that counts here is later, and nothing that will count is earlier.
    totals, models = derived(txn, user, replace(fresh, touched_at=now))
    open_period(txn, now, rules.Counter(user, limit, totals), path, cause_id=cause_id)
    txn.put_models(limit.id, totals.start, models)
    return totals


def _current(txn: Transaction, now: datetime, user: str, limit: Limit, path: Path) -> Totals:
    current = txn.current(limit.id)
    totals = rules.standing(limit, current, now)
    if totals is not current:
        open_period(txn, now, rules.Counter(user, limit, totals), path)
    return totals


def reset(
    txn: Transaction, now: datetime, *, user: str, new_id: NewId, change_id: str | None = None
) -> list[Rolled]:
    """
    Open a new period of every limit of *user* now, up to the rule's next edge. Nothing is deleted.

    Open holds, and what they will cost, stay in the period in which they were made.

    Args:
        change_id: The caller's own id makes it safe to repeat; `None`: a new one.

    Raises:
        UnknownUserError: the user has no budget.
    """
    budget = txn.budget(user)
    if budget is None:
        raise unknown_user(txn, user)
    if _written(txn, change_id, user):
        return [_rolled_before(txn, user, limit) for limit in budget.limits]
    standing = stand(txn, user, now)
    path = standing.path
    own = [counter for counter in standing.counters if counter.user == user]
    moment = max([standing.now, *(rules.after_last(counter.totals, standing.now) for counter in own)])
    found = []
    limits = []
    reset_id = change_id or new_id("reset")
    unopened = {counter.limit.id for counter, _ in standing.unopened}
    for counter in own:
        limit, before = counter.limit, counter.totals
        if limit.id in unopened:
            open_period(txn, moment, counter, path)
        limit = replace(limit, reset_at=moment)
        limits.append(limit)
        txn.put_totals(replace(before, end=moment))
        after = rules.period_for(limit, moment)
        open_period(txn, moment, rules.Counter(user, limit, after), path, cause_id=reset_id)
        found.append(Rolled(user, limit, replace(before, end=moment), after))
    after_budget = replace(budget, limits=tuple(limits))
    txn.put_budget(after_budget)
    txn.append([_changed_entry(reset_id, moment, path, budget, after_budget)])
    return found


def _rolled_before(txn: Transaction, user: str, limit: Limit) -> Rolled:
    """The last period that was opened, and the one before it."""
    *_, before, after = [None, *txn.periods(limit.id)]
    assert after is not None, "a reset opens a period"
    return Rolled(user, limit, before, after)


def roll(txn: Transaction, now: datetime, *, user: str) -> list[Rolled]:
    """Write down the periods of *user* that the clock has opened. Nothing to do: nothing is written."""
    standing = stand(txn, user, now)
    return [rolled for rolled in due_periods(standing, user, now) if _write_roll(txn, standing, rolled)]


def due_periods(standing: Standing, user: str, now: datetime) -> list[Rolled]:
    """What rolling *user* would open."""
    return [
        Rolled(user, counter.limit, before, counter.totals)
        for counter, before in standing.unopened
        if counter.user == user and before is not None and rules.has_ended(before, now)
    ]


def _write_roll(txn: Transaction, standing: Standing, rolled: Rolled) -> bool:
    path = standing.path[standing.path.index(rolled.user) :]
    open_period(txn, standing.now, rules.Counter(rolled.user, rolled.limit, rolled.after), path)
    return True


def _new_limit(terms: LimitTerms, new_id: NewId) -> Limit:
    return Limit(new_id("limit"), rules.check_amount(terms.total_nanos, "a limit"), terms.rule)


def _ensure_project(txn: Transaction, now: datetime) -> None:
    if txn.budget(ROOT) is None:
        txn.put_budget(Budget(ROOT, None, (), created_at=now))


def _check_parent(txn: Transaction, user: str, parent: str, *, below: int) -> Path:
    """The path from *parent* up, if *user*, with *below* budgets in a line under it, may stand there."""
    if parent == user:
        raise InvalidValueError(f"{user} cannot be its own parent", hint="name another user as the parent")
    above = tuple(budget.user for budget in budgets_on_path(txn, parent))
    if user in above:
        raise InvalidValueError(
            f"{parent} stands below {user} already, a circle cannot add up",
            hint=f"first give {parent} another parent",
        )
    # The project itself is not counted as a step, and neither is the user.
    if len(above) - 1 + below > rules.MOST_DEPTH:
        raise InvalidValueError(
            f"{user} would have more than {rules.MOST_DEPTH} budgets above or below it in a line",
            hint="attach it higher up",
        )
    return above


def _height(txn: Transaction, user: str) -> int:
    """How many budgets stand below *user* in the longest line."""
    below: dict[str, list[str]] = {}
    for budget in txn.budgets():
        if budget.parent is not None:
            below.setdefault(budget.parent, []).append(budget.user)

    def height(name: str) -> int:
        return 1 + max(map(height, below[name])) if name in below else 0

    return height(user)


def _changed_entry(entry_id: str, now: datetime, path: Path, before: Budget | None, after: Budget) -> Entry:
    return Entry(
        entry_id,
        "limit_changed",
        path,
        now,
        now,
        0,
        detail={"before": _terms(before) if before else None, "after": _terms(after)},
    )


def _terms(budget: Budget) -> dict[str, object]:
    return {
        "parent": budget.parent,
        "frozen": budget.frozen,
        "archived": budget.archived,
        "limits": [
            {
                "id": limit.id,
                "total_nanos": limit.total_nanos,
                "every": limit.rule.words(),
                "timezone": limit.rule.timezone,
                "anchor": limit.rule.anchor.isoformat() if limit.rule.anchor else None,
                "reset_at": iso(limit.reset_at) if limit.reset_at else None,
                "warn_at": list(limit.warn_at),
            }
            for limit in budget.limits
        ],
    }
