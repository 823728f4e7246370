"""`budget cost`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from .. import options
from ..exits import UsageError
from ..options import Since, Under, Until, User
from ..results import NO_MODEL, Result, dearest_first, iso_or_none
from ..session import Session

if TYPE_CHECKING:
    from budgets.engine.reporting import Spending

    from ..tables import Table

EXAMPLES = """
budget cost --user ann
budget cost --user ann --by day --since 2026-11-01
budget cost --by user --period current
budget cost --under team-a --by user --since 2026-10-01 --until 2026-11-01 --json
"""

_BY = ("model", "day", "user")
_PERIODS = ("current", "last")

By: TypeAlias = Annotated[
    str, typer.Option("--by", metavar="KIND", help="What each row is: a model, a day, or a user.")
]
Period: TypeAlias = Annotated[
    str | None,
    typer.Option("--period", metavar="WHICH", help="The current period, which is usual, or the last one."),
]


@dataclass(frozen=True)
class Spent(Result):
    """What was spent in a stretch of time, by model, day, or user."""

    spending: Spending
    command = "cost"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from budgets.clock import iso
        from budgets.money import format_usd

        spending = self.spending
        return {
            "user": spending.user or None,
            "spent_usd": format_usd(spending.spent_nanos),
            "models": {model: format_usd(nanos) for model, nanos in dearest_first(spending.models)},
            "period_start": iso(spending.period.start),
            "period_end": iso_or_none(spending.period.end),
            "timezone": spending.timezone,
            "by": spending.by,
            "rows": [
                {spending.by: self._name(name) or None, "spent_usd": format_usd(nanos)}
                for name, nanos in spending.rows
            ],
        }

    def text(self) -> Iterator[str | Table]:
        """See `Result`."""
        from budgets.money import money

        from ..harmless import shown_name
        from ..tables import Column, Table

        spending = self.spending
        who = shown_name(spending.user) if spending.user else "the project"
        yield f"{who} has spent {money(spending.spent_nanos)}{self._of()}{self._when()}"
        if spending.rows:
            yield Table(
                (Column(spending.by.upper()), Column("SPENT", right=True)),
                tuple((self._shown(name), money(nanos)) for name, nanos in spending.rows),
            )

    def _of(self) -> str:
        """The limit, where the stretch is the period in which it holds."""
        from ..words import limit_words

        limit = self.spending.limit
        if not self.spending.of_period or limit is None or limit.total_nanos is None:
            return ""
        return f" of {limit_words(limit)}"

    def _when(self) -> str:
        from budgets.periods import BEGINNING

        from ..words import when

        period, timezone = self.spending.period, self.spending.timezone
        start = when(period.start, timezone) if period.start > BEGINNING else None
        if self.spending.limit is None and start is None and period.end is None:
            return " in all"
        if self.spending.of_period == "current":
            # It goes on; until when is what `status` says.
            return f" since {start}" if start and period.end else ""
        until = f" until {when(period.end, timezone)}" if period.end else ""
        return (f" {'from' if until else 'since'} {start}" if start else "") + until

    def _name(self, name: str) -> str:
        return name or NO_MODEL if self.spending.by == "model" else name

    def _shown(self, name: str) -> str:
        from ..harmless import shown_name

        return shown_name(name) if self.spending.by == "user" else self._name(name)


def cost(
    session: Session,
    user: User = None,
    by: By = "model",
    period: Period = None,
    since: Since = None,
    until: Until = None,
    under: Under = None,
) -> Spent:
    """
    Show what was spent, by model, day, or user.

    A budget's cost is that of its own calls and of all calls made below it. Without --since and --until it
    is that of the current period of its first limit. Days are those of that limit's time zone. With
    --by user and neither --user nor --under it is that of the whole project.
    """
    from ..progress import Waiting

    if by not in _BY:
        raise UsageError(f"--by takes {', '.join(_BY[:-1])}, or {_BY[-1]}", hint="for instance --by day")
    if period is not None and period not in _PERIODS:
        raise UsageError("--period takes current or last", hint="for other times give --since and --until")
    if period is not None and (since is not None or until is not None):
        raise UsageError("--period and --since or --until both say when", hint="give the one or the others")
    if user is not None and under is not None:
        raise UsageError("--user and --under both name a budget", hint="give one of them")
    engine = session.engine
    if under is not None:
        name = under
    elif by == "user" and user is None:
        name = ""
    else:
        name = session.user(user)
    timezone = engine.timezone(name)
    with Waiting(session.env, "adding up entries"):
        found = engine.spending(
            name,
            by=by,  # type: ignore[arg-type]
            which=period or "current",  # type: ignore[arg-type]
            since=options.moment("--since", since, timezone=timezone),
            until=options.moment("--until", until, timezone=timezone),
        )
    return Spent(found)
