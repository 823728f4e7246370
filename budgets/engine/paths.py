"""Where a user stands: the path up to the project, and the period of each limit that counts now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from budgets import rules
from budgets.clock import iso, to_micros
from budgets.errors import UnknownUserError
from budgets.money import Nanos
from budgets.ports import Reading, Transaction
from budgets.records import ROOT, Budget, Entry, Limit, Path, Refusal, Totals
from budgets.rules import Counter


@dataclass(frozen=True, slots=True)
class Standing:
    """A path at one moment of ledger time."""

    now: datetime
    budgets: tuple[Budget, ...]
    counters: tuple[Counter, ...]
    # Those of the counters whose period is not in the store yet, each with the period before it.
    unopened: tuple[tuple[Counter, Totals | None], ...]

    @property
    def path(self) -> Path:
        """The names, the user first."""
        return tuple(budget.user for budget in self.budgets)

    def refusal(self, needed: Nanos) -> Refusal | None:
        """Why *needed* may not be held now; `None`: it may."""
        user = self.budgets[0].user
        for budget in self.budgets:
            if budget.archived:
                return Refusal("archived", user, needed, limit_user=budget.user)
            if budget.frozen:
                return Refusal("frozen", user, needed, limit_user=budget.user)
        return rules.admit(user, self.counters, needed)


def budgets_on_path(view: Reading, user: str) -> tuple[Budget, ...]:
    """
    The user's budget, its parent's, and so on up to the project's.

    Raises:
        UnknownUserError: there is no such budget.
    """
    found = []
    name: str | None = user
    while name is not None:
        budget = view.budget(name)
        if budget is None:
            raise unknown_user(view, user)
        found.append(budget)
        name = budget.parent
    return tuple(found)


def unknown_user(view: Reading, user: str) -> UnknownUserError:
    """The error for a name without a budget, with the nearest ones that have one."""
    import difflib

    names = [budget.user for budget in view.budgets() if budget.user != ROOT]
    near = difflib.get_close_matches(user, names, n=3)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif names:
        hint = "`budget list-users` shows who has one"
    else:
        hint = f"create one with `budget create --user {user} --total 10`"
    return UnknownUserError(f"{user} has no budget in this project", hint=hint, user=user, nearest=near)


def stand(view: Reading, user: str, now: datetime) -> Standing:
    """
    Where *user* stands at the later of *now* and the path's last entry.

    Raises:
        UnknownUserError: the user has no budget.
    """
    budgets = budgets_on_path(view, user)
    currents = [(budget.user, limit, view.current(limit.id)) for budget in budgets for limit in budget.limits]
    now = rules.ledger_time(now, (current for _, _, current in currents))
    counters, unopened = [], []
    for name, limit, current in currents:
        totals = rules.standing(limit, current, now)
        counter = Counter(name, limit, totals)
        counters.append(counter)
        if totals is not current:
            unopened.append((counter, current))
    return Standing(now, budgets, tuple(counters), tuple(unopened))


def open_periods(txn: Transaction, standing: Standing) -> None:
    """Write down the periods that the clock has opened."""
    for counter, _ in standing.unopened:
        open_period(txn, standing.now, counter, standing.path[standing.path.index(counter.user) :])


def open_period(
    txn: Transaction, now: datetime, counter: Counter, path: Path, *, cause_id: str | None = None
) -> None:
    """
    Write one period down, and the entry that says so.

    Args:
        cause_id: The change or reset that opened it; `None`: the clock did, which happens once for a start.
    """
    limit, totals = counter.limit, counter.totals
    txn.open_period(totals)
    txn.append(
        [
            Entry(
                id=f"{cause_id}.opened.{limit.id}" if cause_id else f"{limit.id}@{to_micros(totals.start)}",
                kind="opened",
                path=path,
                at=now,
                recorded_at=now,
                nanos=0,
                detail={
                    "limit_id": limit.id,
                    "period_start": iso(totals.start),
                    "period_end": iso(totals.end) if totals.end else None,
                    "total_nanos": limit.total_nanos,
                    "boost_nanos": totals.boost_nanos,
                },
            )
        ]
    )


def totals_for(txn: Transaction, limit: Limit, moment: datetime, now: datetime, path: Path) -> Totals:
    """The opened period of *limit* that contains *moment*, opened here where it was not yet."""
    found = txn.totals_at(limit.id, moment)
    if found is not None:
        return found
    # Calls from before the limit was made may lie in it, so its sums come from the entries.
    totals, models = derived(txn, path[0], rules.gap_period(limit, moment, txn.periods(limit.id)))
    open_period(txn, now, Counter(path[0], limit, totals), path)
    txn.put_models(limit.id, totals.start, models)
    return totals


class Raised(NamedTuple):
    """A limit that stands further above its total than it did."""

    user: str
    limit: Limit
    totals: Totals
    # By how much more.
    nanos: Nanos


def overrun_entries(
    raised: Iterable[Raised], *, cause: str, cause_id: str, path: Path, at: datetime, now: datetime
) -> list[Entry]:
    """The facts that limits were passed: whose, by how much more, and why."""
    return [
        Entry(
            id=f"{cause_id}.over.{each.limit.id}",
            kind="overrun",
            path=path[path.index(each.user) :],
            at=at,
            recorded_at=now,
            nanos=each.nanos,
            detail={
                "cause": cause,
                "caused_by": cause_id,
                "limit_id": each.limit.id,
                "period_start": iso(each.totals.start),
            },
        )
        for each in raised
        if each.nanos > 0
    ]


def derived(view: Reading, user: str, totals: Totals) -> tuple[Totals, dict[str, Nanos]]:
    """
    The same period with its sums made anew from entries and holds, and what was spent by model.

    This is the law that the running totals follow: an entry or hold counts in every limit of every
    budget on its path, in the period that contains the moment of its call.
    """
    models = view.spent(user, totals.start, totals.end)
    held = unconfirmed = 0
    for hold in view.holds():
        if user in hold.path and rules.contains(totals, hold.at):
            if hold.unconfirmed:
                unconfirmed += hold.nanos
            else:
                held += hold.nanos
    fresh = replace(totals, spent_nanos=sum(models.values()), held_nanos=held, unconfirmed_nanos=unconfirmed)
    return fresh, models
