"""`budget status`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..options import OneUser
from ..results import Result, budget_document, dearest_first, hold_document
from ..session import Session

if TYPE_CHECKING:
    from datetime import datetime
    from fractions import Fraction

    from budgets.money import Nanos
    from budgets.records import BudgetStatus, Hold

    from ..tables import Cell, Share, Table

EXAMPLES = """
budget status
budget status --user ann
budget status --json
"""


@dataclass(frozen=True)
class Overview(Result):
    """Every budget of a project, nearest to its limit first."""

    budgets: tuple[BudgetStatus, ...]
    project: str
    # The projects of the store that have budgets.
    projects: tuple[str, ...]
    now: datetime
    command = "status"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {
            "project": self.project,
            "projects": list(self.projects),
            "budgets": [budget_document(each) for each in self.budgets],
        }

    def text(self) -> Iterator[str | Table]:
        """See `Result`."""
        from ..tables import Column, Table

        if not self.budgets:
            return
        table = Table(
            (
                Column("USER"),
                Column("LIMIT", right=True),
                Column("EVERY", keep=2),
                Column("SPENT", right=True),
                Column("HELD", right=True, keep=5),
                Column("UNCONFIRMED", right=True, keep=4),
                Column("LEFT", right=True),
                Column("SET BY", keep=6),
                Column("STATE"),
                Column("USED", keep=3),
                Column("RESETS", keep=7),
                Column("AT", keep=1),
            ),
            tuple(_row(each, self.now) for each in self.budgets),
        )
        # Columns that would say the same of every budget.
        if not any(each.budget.frozen for each in self.budgets):
            table = table.without("STATE")
        if not any(_set_by_another(each) for each in self.budgets):
            table = table.without("SET BY")
        yield table

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        if self.budgets:
            return
        yield f"project {self.project} has no budgets"
        if self.projects:
            yield f"this store has budgets in {', '.join(self.projects)}; choose one with --project"
        else:
            yield "begin with `budget create --user NAME --total 10 --every month`"


@dataclass(frozen=True)
class InFull(Result):
    """One budget with its path, what it spent on which model, and the holds that count in it."""

    status: BudgetStatus
    holds: tuple[Hold, ...]
    project: str
    now: datetime
    command = "status"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from budgets.money import format_usd

        more = {
            "path": [name or None for name in self.status.path],
            "models": {model: format_usd(nanos) for model, nanos in dearest_first(self.status.models)},
            "holds": [hold_document(each) for each in self.holds],
        }
        return {"project": self.project, "budgets": [budget_document(self.status) | more]}

    def text(self) -> Iterator[str | Table]:
        """See `Result`."""
        from budgets.money import money

        from ..harmless import shown_name
        from ..tables import Column, Table
        from ..words import holds_table, left_words, limit_words, models_table, reset_cells

        status, user = self.status, self.status.budget.user
        frozen = ", frozen" if status.budget.frozen else ""
        yield f"{shown_name(user)}{frozen}: {left_words(status.left, user, self.now)}"
        yield f"path: {' > '.join(shown_name(name) for name in status.path)}"
        yield ""
        yield Table(
            (
                Column("LIMIT"),
                Column("SPENT", right=True),
                Column("HELD", right=True, keep=4),
                Column("UNCONFIRMED", right=True, keep=3),
                Column("LEFT", right=True),
                Column("USED", keep=2),
                Column("RESETS", keep=5),
                Column("AT", keep=1),
            ),
            tuple(
                (
                    "none of its own" if each.left_nanos is None else limit_words(each.limit),
                    money(each.totals.spent_nanos),
                    money(each.totals.held_nanos),
                    money(each.totals.unconfirmed_nanos),
                    "" if each.left_nanos is None else money(each.left_nanos),
                    "" if each.left_nanos is None else _share(each.totals.taken_nanos, each.left_nanos),
                    *(("", "") if each.left_nanos is None else reset_cells(each, self.now)),
                )
                for each in status.limits
            ),
        )
        if status.models:
            yield ""
            yield models_table(status.models)
        if self.holds:
            yield ""
            yield holds_table(self.holds, self.now)


def status(session: Session, user: OneUser = None) -> Overview | InFull:
    """
    Show what is spent, held, and left.

    Those nearest to their limit come first. With --user one budget in full: its limits, its path and who
    sets what is left, what it spent on which model, and its open holds.
    """
    engine, now = session.engine, session.env.clock()
    # What a process held that is gone would else be shown as held by a running call.
    engine.expire()
    if user is not None:
        return InFull(engine.status(user), tuple(engine.holds(user)), engine.project, now)
    budgets = sorted(engine.statuses(with_project=True), key=_nearness)
    return Overview(tuple(budgets), engine.project, tuple(engine.store.projects()), now)


def _nearness(status: BudgetStatus) -> tuple[bool, Fraction | int, Nanos, str]:
    """To sort by: nearest to its limit first, those that nothing limits last."""
    left = status.left.nanos
    if left is None:
        return True, 0, 0, status.budget.user
    return False, -_part_taken(_taken(status), left), left, status.budget.user


def _taken(status: BudgetStatus) -> Nanos:
    return status.primary.totals.taken_nanos if status.primary else 0


def _part_taken(taken: Nanos, left: Nanos) -> Fraction:
    """How much of what could be taken is taken, from 0 to 1; 1 when nothing, or less than that, is left."""
    from fractions import Fraction

    return Fraction(taken, taken + left) if left > 0 else Fraction(1)


def _share(taken: Nanos, left: Nanos) -> Share:
    """100% means that nothing is left, and 1% that something was taken."""
    from ..tables import Share

    part = _part_taken(taken, left)
    return Share(100 if part >= 1 else min(99, -(-part.numerator * 100 // part.denominator)))


def _row(status: BudgetStatus, now: datetime) -> tuple[Cell, ...]:
    from budgets.money import money

    from ..harmless import shown_name
    from ..words import reset_cells

    primary, left = status.primary, status.left.nanos
    cap = primary.limit.total_nanos if primary else None
    return (
        shown_name(status.budget.user),
        "none" if cap is None else money(cap),
        primary.limit.rule.words() if primary and cap is not None else "",
        money(primary.totals.spent_nanos) if primary else "",
        money(primary.totals.held_nanos) if primary else "",
        money(primary.totals.unconfirmed_nanos) if primary else "",
        "no limit" if left is None else money(left),
        shown_name(status.left.user or "") if _set_by_another(status) else "",
        "frozen" if status.budget.frozen else "active",
        "" if left is None else _share(_taken(status), left),
        *(reset_cells(primary, now) if primary and cap is not None else ("", "")),
    )


def _set_by_another(status: BudgetStatus) -> bool:
    """What is left is not what the limit shown beside it leaves."""
    left, primary = status.left, status.primary
    return left.nanos is not None and (primary is None or left.limit_id != primary.limit.id)
