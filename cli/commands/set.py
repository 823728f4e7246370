"""`budget set`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from .. import options
from ..exits import UsageError
from ..options import Anchor, Duration, Every, Parent, Timezone, Total
from ..results import Result, budget_document
from ..session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from budgets.periods import PeriodRule
    from budgets.records import BudgetStatus

EXAMPLES = """
budget set --user ann --total 20
budget set --user ann --every week --timezone Europe/Berlin
budget set --user ann --freeze
budget set --total 500 --every month
"""

UserOrProject: TypeAlias = Annotated[
    str | None, typer.Option("--user", "-u", metavar="NAME", help="Whose budget; else the project's own.")
]


@dataclass(frozen=True)
class Changed(Result):
    """A budget as it stands after a change."""

    status: BudgetStatus
    now: datetime
    command = "set"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {"budget": budget_document(self.status)}

    def text(self) -> Iterator[str]:
        """See `Result`."""
        from ..harmless import shown_name
        from ..words import left_words, resets, terms

        status, user = self.status, self.status.budget.user
        yield f"set {shown_name(user)}: {terms(status)}, {left_words(status.left, user)}"
        primary = status.primary
        if primary is not None and primary.limit.total_nanos is not None:
            yield resets(primary, self.now)
        if status.budget.frozen:
            yield "frozen: nothing fits until --unfreeze"


def set(  # noqa: A001
    session: Session,
    user: UserOrProject = None,
    total: Total = None,
    every: Every = None,
    duration: Duration = None,
    timezone: Timezone = None,
    anchor: Anchor = None,
    parent: Parent = None,
    no_parent: Annotated[bool, typer.Option("--no-parent", help="Only the project stands above.")] = False,
    freeze: Annotated[bool, typer.Option("--freeze", help="Refuse every call until it is unfrozen.")] = False,
    unfreeze: Annotated[bool, typer.Option("--unfreeze", help="Let calls through again.")] = False,
) -> Changed:
    """
    Change a user's budget, or the project's own cap.

    Without --user it is the project's. It takes effect at once. What was spent in the current period stays
    spent; only `budget reset` gives money back. A new period keeps the time zone; its anchor goes unless
    it is given again.
    """
    from budgets.engine.shaping import Change
    from budgets.records import ROOT

    if freeze and unfreeze:
        raise UsageError("--freeze and --unfreeze are opposites", hint="give one of them")
    if parent is not None and no_parent:
        raise UsageError("--parent and --no-parent are opposites", hint="give one of them")
    if "" in (user, parent):
        raise UsageError(
            "a name cannot be empty", hint="leave --user out for the project, --no-parent for none"
        )
    name = ROOT if user is None else user
    wanted = Change(
        total_nanos=options.usd("--total", total),
        rule=_rule(session, name, options.period_text(every, duration), timezone, anchor),
        parent=ROOT if no_parent else parent,
        frozen=True if freeze else False if unfreeze else None,
    )
    if wanted == Change():
        raise UsageError("nothing to change was given", hint="`budget set --help` shows what can be")
    session.engine.change(name, wanted)
    return Changed(session.engine.status(name), session.env.clock())


def _rule(
    session: Session, user: str, every: str | None, timezone: str | None, anchor: str | None
) -> PeriodRule | None:
    """The rule of the primary limit after the change; `None` where nothing about it changes."""
    if every is None and timezone is None and anchor is None:
        return None
    from dataclasses import replace

    from budgets.periods import NEVER, parse_anchor

    budget = session.engine.budget(user)
    now = budget.primary.rule if budget is not None and budget.primary is not None else NEVER
    zone = timezone or now.timezone
    if every is not None:
        return options.rule(every, timezone=zone, anchor=anchor)
    return replace(now, timezone=zone, anchor=now.anchor if anchor is None else parse_anchor(anchor))
