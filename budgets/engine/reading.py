"""What stands where: nothing here writes. Periods that the clock has ended are seen as ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from budgets import rules
from budgets.engine.paths import Standing, stand
from budgets.ports import Reading
from budgets.records import ROOT, BudgetStatus, LimitStatus, Quote, Refusal


@dataclass(frozen=True, slots=True)
class Outlook:
    """What would become of a call that is not made yet."""

    status: BudgetStatus
    # As it would be held: its output limit may be lowered to what is left.
    quote: Quote
    # Why it would not be let through; `None`: it would.
    refusal: Refusal | None


def status(view: Reading, now: datetime, *, user: str, models: bool = True) -> BudgetStatus:
    """
    One budget in full.

    Args:
        models: With what it spent on which.

    Raises:
        UnknownUserError: the user has no budget.
    """
    return _status(view, stand(view, user, now), models=models)


def statuses(
    view: Reading, now: datetime, *, with_project: bool = False, archived: bool = False
) -> Iterator[BudgetStatus]:
    """
    Every budget by name; the project's own, first, only where asked for and where it says something.

    Args:
        archived: Those that are archived as well.
    """
    for budget in view.budgets():
        if budget.archived and not archived:
            continue
        if budget.user != ROOT or (with_project and (budget.caps or budget.frozen)):
            yield _status(view, stand(view, budget.user, now), models=False)


def outlook(view: Reading, now: datetime, *, user: str, quote: Quote) -> Outlook:
    """
    What holding *quote* would come to.

    Raises:
        UnknownUserError: the user has no budget.
    """
    standing = stand(view, user, now)
    status = _status(view, standing, models=False)
    refusal = standing.refusal(quote.least_nanos)
    return Outlook(status, quote if refusal else rules.fitted(quote, status.left.nanos), refusal)


def _status(view: Reading, standing: Standing, *, models: bool) -> BudgetStatus:
    budget = standing.budgets[0]
    limits = tuple(
        LimitStatus(counter.limit, counter.totals)
        for counter in standing.counters
        if counter.user == budget.user
    )
    by_model = {}
    if models and limits:
        by_model = view.models(limits[0].limit.id, limits[0].totals.start)
    return BudgetStatus(budget, limits, rules.left_over(standing.counters), standing.path, by_model)
