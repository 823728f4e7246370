"""`budget cost`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..options import User
from ..results import Result, dearest_first, period_document
from ..session import Session

if TYPE_CHECKING:
    from budgets.records import BudgetStatus

    from ..tables import Table

EXAMPLES = """
budget cost --user ann
budget cost --user ann --json
"""


@dataclass(frozen=True)
class Spent(Result):
    """What a user spent in the current period, by model."""

    status: BudgetStatus
    command = "cost"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from budgets.money import format_usd

        primary = self.status.primary
        assert primary is not None, "a user's budget always counts what it spent"
        return {
            "user": self.status.budget.user,
            "spent_usd": format_usd(primary.totals.spent_nanos),
            "models": {model: format_usd(nanos) for model, nanos in dearest_first(self.status.models)},
            **period_document(primary),
        }

    def text(self) -> Iterator[str | Table]:
        """See `Result`."""
        from budgets.money import money

        from ..harmless import shown_name
        from ..words import limit_words, models_table, when

        primary = self.status.primary
        assert primary is not None, "a user's budget always counts what it spent"
        limit, totals = primary.limit, primary.totals
        of = f" of {limit_words(limit)}" if limit.total_nanos is not None else ""
        since = f" since {when(totals.start, limit.rule.timezone)}" if totals.end else ""
        yield f"{shown_name(self.status.budget.user)} has spent {money(totals.spent_nanos)}{of}{since}"
        if self.status.models:
            yield models_table(self.status.models)


def cost(session: Session, user: User = None) -> Spent:
    """Show what a user spent in the current period, by model."""
    return Spent(session.engine.status(session.user(user)))
