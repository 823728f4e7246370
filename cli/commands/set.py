"""`budget set`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from budgets.errors import InvalidValueError

from .. import options
from ..exits import UsageError
from ..options import Anchor, Duration, Every, Parent, Timezone, Total
from ..results import Result, budget_document
from ..session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from budgets.engine import LimitTerms
    from budgets.periods import PeriodRule
    from budgets.records import Budget, BudgetStatus, Limit

EXAMPLES = """
budget set --user ann --total 20
budget set --user ann --every week --timezone Europe/Berlin
budget set --user ann --limit 1/day --limit "5/2 weeks"
budget set --user ann --drop-limit 9/day
budget set --user ann --boost 5
budget set --user ann --warn-at 50%,80%
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
        from ..words import left_words, limit_words, resets, terms

        status, user = self.status, self.status.budget.user
        caps = [each for each in status.limits if each.limit.total_nanos is not None]
        # Of several limits, the one that leaves least says until when; of one, the next line does.
        left = left_words(status.left, user, self.now if len(caps) > 1 else None)
        yield f"set {shown_name(user)}: {terms(status)}, {left}"
        if len(caps) == 1:
            yield resets(caps[0], self.now)
        for each in status.limits:
            if each.limit.warn_at:
                percents = ", ".join(f"{percent}%" for percent in each.limit.warn_at)
                yield f"it warns at {percents} of {limit_words(each.limit)}"
        if status.budget.frozen:
            yield "frozen: nothing fits until --unfreeze"
        if status.budget.archived:
            yield "archived: nothing fits until `budget unarchive`"


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
    limit: Annotated[
        list[str] | None,
        typer.Option("--limit", metavar="USD/PERIOD", help="One more limit, for instance 1/day; repeatable."),
    ] = None,
    drop_limit: Annotated[
        list[str] | None,
        typer.Option("--drop-limit", metavar="LIMIT", help="One limit less; repeatable."),
    ] = None,
    boost: Annotated[
        str | None,
        typer.Option(metavar="USD", help="More in this period only; a negative amount takes it back."),
    ] = None,
    warn_at: Annotated[
        str | None,
        typer.Option(metavar="PERCENTS", help="Warn when so much is spent, for instance 50%,80%, or none."),
    ] = None,
    limit_id: Annotated[
        str | None,
        typer.Option(metavar="LIMIT", help="Which limit --boost and --warn-at mean; else the primary one."),
    ] = None,
) -> Changed:
    """
    Change a user's budget, or the project's own cap.

    Without --user it is the project's. It takes effect at once. What was spent in the current period stays
    spent; only `budget reset` gives money back. A new period keeps the time zone; its anchor goes unless
    it is given again. The primary limit is the first; a LIMIT is named by its id from `budget status
    --user NAME`, by the beginning of it, or as USD/PERIOD.
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
    if limit_id is not None and boost is None and warn_at is None:
        raise UsageError("--limit-id alone changes nothing", hint="add --boost USD or --warn-at PERCENTS")
    name = ROOT if user is None else user
    budget = session.engine.budget(ROOT) if user is None else session.engine.status(user).budget
    capped = total is not None or (budget is not None and budget.caps)
    # Where there is no primary limit yet, the zone is that of the first new one.
    primary_zone = timezone if capped or not limit else None
    wanted = Change(
        total_nanos=options.usd("--total", total),
        rule=_rule(budget, options.period_text(every, duration), primary_zone, anchor),
        parent=ROOT if no_parent else parent,
        frozen=True if freeze else False if unfreeze else None,
        add=tuple(_terms("--limit", each, _zone(budget, timezone)) for each in limit or ()),
        drop=tuple(_found(budget, "--drop-limit", each).id for each in drop_limit or ()),
        boost_nanos=options.signed_usd("--boost", boost),
        warn_at=None if warn_at is None else _percents(warn_at),
        limit_id=None if limit_id is None else _found(budget, "--limit-id", limit_id).id,
    )
    if wanted == Change():
        raise UsageError("nothing to change was given", hint="`budget set --help` shows what can be")
    session.engine.change(name, wanted)
    return Changed(session.engine.status(name), session.env.clock())


def _zone(budget: Budget | None, timezone: str | None) -> str:
    """The zone of a new limit: the one that was given, else the primary limit's."""
    primary = budget.primary if budget is not None else None
    return timezone or (primary.rule.timezone if primary is not None else "UTC")


def _terms(option: str, text: str, timezone: str) -> LimitTerms:
    """`1/day` as a limit."""
    from budgets.engine import LimitTerms
    from budgets.money import parse_usd

    amount, _, period = text.partition("/")
    if not period.strip():
        raise InvalidValueError(
            f"{option}: there is no period", hint="give an amount for a period: 1/day", option=option
        )
    with options.given_as(option):
        return LimitTerms(parse_usd(amount), options.rule(period, timezone=timezone, anchor=None))


def _found(budget: Budget | None, option: str, text: str) -> Limit:
    """The limit of that id, whose id begins so, or of that amount and period; exactly one must be."""
    caps = budget.caps if budget is not None else ()
    if "/" in text:
        terms = _terms(option, text, "UTC")
        wanted = (terms.total_nanos, terms.rule.every, terms.rule.unit)
        found = [each for each in caps if (each.total_nanos, each.rule.every, each.rule.unit) == wanted]
    else:
        found = [each for each in caps if each.id == text] or [
            each for each in caps if text and each.id.startswith(text)
        ]
    if len(found) == 1:
        return found[0]
    from budgets.money import shown

    names = ", ".join(each.id for each in found or caps)
    raise InvalidValueError(
        f"{option}: {shown(text)} names {'several limits' if found else 'no limit'}",
        hint=f"name one by its id: {names}" if names else "this budget has none",
        option=option,
    )


def _percents(text: str) -> tuple[int, ...]:
    """`50%,80%`; empty for `none`."""
    if text.strip().lower() == "none":
        return ()
    found = [part.strip().removesuffix("%").strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) <= 3 for part in found):
        from budgets.money import shown

        raise InvalidValueError(
            f"--warn-at: {shown(text)} is no list of whole percents",
            hint="for instance 50%,80%; none for no warnings",
            option="--warn-at",
        )
    from budgets.rules import check_thresholds

    with options.given_as("--warn-at"):
        return check_thresholds(map(int, found))


def _rule(
    budget: Budget | None, every: str | None, timezone: str | None, anchor: str | None
) -> PeriodRule | None:
    """The rule of the primary limit after the change; `None` where nothing about it changes."""
    if every is None and timezone is None and anchor is None:
        return None
    from dataclasses import replace

    from budgets.periods import NEVER, parse_anchor

    now = budget.primary.rule if budget is not None and budget.primary is not None else NEVER
    zone = timezone or now.timezone
    if every is not None:
        return options.rule(every, timezone=zone, anchor=anchor)
    return replace(now, timezone=zone, anchor=now.anchor if anchor is None else parse_anchor(anchor))
