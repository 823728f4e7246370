"""`budget create`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from .. import options
from ..exits import UsageError
from ..options import Anchor, Duration, Every, Parent, Timezone, Total, User
from ..results import Result, budget_document
from ..session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from budgets.records import BudgetStatus

EXAMPLES = """
budget create --user ben --total 10
budget create --user eve --total 25 --every month --timezone Europe/Berlin
budget create --user job-7 --parent team-a
budget create --user ann --total 10 --if-missing
"""

IfMissing: TypeAlias = Annotated[
    bool, typer.Option("--if-missing", help="Leave a budget that is there as it is.")
]


@dataclass(frozen=True)
class Created(Result):
    """A budget that was made, or was there already."""

    status: BudgetStatus
    new: bool
    now: datetime
    # What the next command needs to act on the same store and project.
    same_place: str
    command = "create"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {"created": self.new, "budget": budget_document(self.status)}

    def text(self) -> Iterator[str]:
        """See `Result`."""
        import shlex

        from ..harmless import shown_name
        from ..words import left_words, resets, terms

        status, user = self.status, self.status.budget.user
        was = "created {}" if self.new else "{} has a budget already"
        yield f"{was.format(shown_name(user))}: {terms(status)}, {left_words(status.left, user)}"
        primary = status.primary
        if primary is not None and primary.limit.total_nanos is not None:
            yield resets(primary, self.now)
        options = f"--user {shlex.quote(user)}{self.same_place} --model gpt-4o-mini"
        yield f'next: budget wrap {options} "Name three rivers"'


def create(
    session: Session,
    user: User = None,
    total: Total = None,
    every: Every = None,
    duration: Duration = None,
    timezone: Timezone = None,
    anchor: Anchor = None,
    parent: Parent = None,
    if_missing: IfMissing = False,
) -> Created:
    """
    Make a budget for a user.

    Without --every the limit never resets by itself. Without --total the user has no limit of their own:
    those of --parent and of the project hold.
    """
    from budgets.engine.shaping import LimitTerms
    from budgets.records import ROOT

    name = session.user(user, or_only_one=False)
    period = options.period_text(every, duration)
    nanos = options.usd("--total", total)
    limits = []
    if nanos is not None:
        rule = options.rule(period or "never", timezone=timezone or "UTC", anchor=anchor)
        limits.append(LimitTerms(nanos, rule))
    elif period or timezone or anchor:
        raise UsageError("a period without an amount limits nothing", hint="add --total USD")
    if parent == "":
        raise UsageError("a parent's name cannot be empty", hint="leave out --parent for none")
    _, new = session.engine.create(name, *limits, parent=parent or ROOT, if_missing=if_missing)
    return Created(session.engine.status(name), new, session.env.clock(), session.same_place())
