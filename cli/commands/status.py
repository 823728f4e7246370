"""`budget status`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import options, output
from ..estimates import Estimates
from ..exits import UsageError
from ..options import Archived, OneUser
from ..results import Result, budget_document, dearest_first, hold_document, state
from ..session import Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from fractions import Fraction

    from budgets.money import Nanos
    from budgets.records import BudgetStatus, Hold

    from ..tables import Cell, Table

EXAMPLES = """
budget status
budget status --user ann
budget status --limit 20
budget status --estimates
budget status --json
"""

_USUAL_SECONDS, _LONGEST_SECONDS = 2, 3600


@dataclass(frozen=True)
class Overview(Result):
    """Every budget of a project, nearest to its limit first."""

    budgets: tuple[BudgetStatus, ...]
    project: str
    # The projects of the store that have budgets.
    projects: tuple[str, ...]
    now: datetime
    # How many budgets --limit left out.
    more: int = 0
    command = "status"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {
            "project": self.project,
            "projects": list(self.projects),
            "budgets": [budget_document(each) for each in self.budgets],
            "more": self.more,
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
        if not any(each.budget.frozen or each.budget.archived for each in self.budgets):
            table = table.without("STATE")
        if not any(_set_by_another(each) for each in self.budgets):
            table = table.without("SET BY")
        yield table

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        if self.more:
            yield f"and {self.more:,} more, further from their limits"
        if self.budgets or self.more:
            return
        if self.project in self.projects:
            yield f"project {self.project} has archived budgets only; --archived shows them"
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
        from ..words import holds_table, left_words, limit_in_period, models_table, reset_cells, share

        status, user = self.status, self.status.budget.user
        stopped = f", {state(status.budget)}" if status.budget.frozen or status.budget.archived else ""
        yield f"{shown_name(user)}{stopped}: {left_words(status.left, user, self.now)}"
        yield f"path: {' > '.join(shown_name(name) for name in status.path)}"
        yield ""
        limits = Table(
            (
                Column("LIMIT"),
                Column("SPENT", right=True),
                Column("HELD", right=True, keep=4),
                Column("UNCONFIRMED", right=True, keep=3),
                Column("LEFT", right=True),
                Column("USED", keep=2),
                Column("RESETS", keep=5),
                Column("AT", keep=1),
                Column("WARNS AT", keep=6),
                Column("ID", keep=8),
            ),
            tuple(
                (
                    "none of its own" if each.left_nanos is None else limit_in_period(each),
                    money(each.totals.spent_nanos),
                    money(each.totals.held_nanos),
                    money(each.totals.unconfirmed_nanos),
                    "" if each.left_nanos is None else money(each.left_nanos),
                    "" if each.left_nanos is None else share(each.totals.taken_nanos, each.left_nanos),
                    *(("", "") if each.left_nanos is None else reset_cells(each, self.now)),
                    ", ".join(f"{percent}%" for percent in each.limit.warn_at),
                    each.limit.id,
                )
                for each in status.limits
            ),
        )
        # Columns that would say nothing: an id is only needed to tell several limits apart.
        if not any(each.limit.warn_at for each in status.limits):
            limits = limits.without("WARNS AT")
        if len(status.limits) < 2:
            limits = limits.without("ID")
        yield limits
        if status.models:
            yield ""
            yield models_table(status.models)
        if self.holds:
            yield ""
            yield holds_table(self.holds, self.now)


@dataclass(frozen=True)
class Watched(Result):
    """A watch that was ended; all of it was shown."""

    command = "status"

    def document(self) -> dict[str, Any]:
        """See `Result`; a watch has no document."""
        return {}


def status(
    session: Session,
    user: OneUser = None,
    limit: Annotated[
        str | None, typer.Option(metavar="N", help="Only the N budgets nearest to their limits.")
    ] = None,
    archived: Archived = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    interval: Annotated[
        str | None, typer.Option(metavar="SECONDS", help="With --watch: from one look to the next; else 2.")
    ] = None,
    estimates: Annotated[
        bool, typer.Option("--estimates", help="How far counts before calls were from those reported.")
    ] = False,
) -> Overview | InFull | Watched | Estimates:
    """
    Show what is spent, held, and left.

    Those nearest to their limit come first. With --user one budget in full: its limits, its path and who
    sets what is left, what it spent on which model, and its open holds.

    With --estimates what `budget reset-due` has learned from settled calls, by model, by what requests are
    made of, and by their size.

    On a terminal what is longer than the screen goes through PAGER, or else less. --watch needs a terminal,
    and ends with exit code 0.
    """
    shown = options.count("--limit", limit)
    if estimates:
        if user is not None or shown is not None or archived or watch:
            raise UsageError(
                "--estimates is about the calls of the whole project", hint="leave the other options out"
            )
        learned, at = session.engine.learned()
        return Estimates(learned.lessons, session.engine.project, at)
    if watch:
        return _watch(session, lambda: _look(session, user, shown, archived), _seconds(interval))
    if interval is not None:
        raise UsageError("--interval says how often to look, and there is no --watch", hint="add --watch")
    return _look(session, user, shown, archived)


def _watch(session: Session, look: Callable[[], Overview | InFull], seconds: int) -> Watched:
    env = session.env
    if session.as_json or not env.drawn:
        raise UsageError(
            "--watch draws on a terminal", hint="in a script, call `budget status --json` again and again"
        )
    first = True
    try:
        while True:
            found = look()
            title = f"{found.now:%Y-%m-%d %H:%M:%S} UTC, every {seconds} s, Ctrl-C ends"
            output.redraw(env, found, title, first=first)
            first = False
            env.wait(seconds)
    except KeyboardInterrupt:
        # The only way to end a watch, so it is no interruption. The prompt comes below what was shown.
        output.line(env)
        return Watched()


def _seconds(interval: str | None) -> int:
    found = options.count("--interval", interval)
    if found is not None and not 1 <= found <= _LONGEST_SECONDS:
        raise UsageError(f"--interval is {interval}", hint="give whole seconds from 1 to 3600")
    return _USUAL_SECONDS if found is None else found


def _look(session: Session, user: str | None, limit: int | None, archived: bool) -> Overview | InFull:
    from ..progress import Progress

    engine, now = session.engine, session.env.clock()
    # What a process held that is gone would else be shown as held by a running call.
    engine.expire()
    if user is not None:
        if limit is not None:
            raise UsageError("--limit is for all budgets, and --user for one", hint="leave one of them out")
        return InFull(engine.status(user), tuple(engine.holds(user)), engine.project, now)
    with Progress(session.env, "looking at budgets") as progress:
        found = engine.statuses(with_project=True, archived=archived, watch=progress.reached)
    budgets = sorted(found, key=_nearness)
    more = 0 if limit is None else max(0, len(budgets) - limit)
    first = tuple(budgets[: len(budgets) - more])
    return Overview(first, engine.project, tuple(engine.project_names()), now, more)


def _nearness(status: BudgetStatus) -> tuple[bool, Fraction | int, Nanos, str]:
    """To sort by: nearest to its limit first, those that nothing limits last."""
    from ..words import part_taken

    left = status.left.nanos
    if left is None:
        return True, 0, 0, status.budget.user
    return False, -part_taken(_taken(status), left), left, status.budget.user


def _taken(status: BudgetStatus) -> Nanos:
    return status.primary.totals.taken_nanos if status.primary else 0


def _row(status: BudgetStatus, now: datetime) -> tuple[Cell, ...]:
    from budgets.money import money

    from ..harmless import shown_name
    from ..words import reset_cells, share

    primary, left = status.primary, status.left.nanos
    cap = primary.limit.total_nanos if primary else None
    boost = primary.totals.boost_nanos if primary else 0
    return (
        shown_name(status.budget.user),
        "none" if cap is None else money(cap) + (f" + {money(boost)}" if boost else ""),
        primary.limit.rule.words() if primary and cap is not None else "",
        money(primary.totals.spent_nanos) if primary else "",
        money(primary.totals.held_nanos) if primary else "",
        money(primary.totals.unconfirmed_nanos) if primary else "",
        "no limit" if left is None else money(left),
        shown_name(status.left.user or "") if _set_by_another(status) else "",
        state(status.budget),
        "" if left is None else share(_taken(status), left),
        *(reset_cells(primary, now) if primary and cap is not None else ("", "")),
    )


def _set_by_another(status: BudgetStatus) -> bool:
    """What is left is not what the limit shown beside it leaves."""
    left, primary = status.left, status.primary
    return left.nanos is not None and (primary is None or left.limit_id != primary.limit.id)
