"""`budget tree`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from .. import options
from ..options import Under
from ..results import Result, budget_document
from ..session import Session

if TYPE_CHECKING:
    from budgets.engine.reporting import Branch

    from ..tables import Cell, Table

EXAMPLES = """
budget tree
budget tree --under team-a
budget tree --depth 1 --json
"""

Depth: TypeAlias = Annotated[
    str | None, typer.Option("--depth", metavar="COUNT", help="How many levels below the top are shown.")
]

# What leads to a budget that has others after it, to the last one, and past each of them to those below.
_BRANCHES = {True: ("├─ ", "└─ ", "│  ", "   "), False: ("|- ", "`- ", "|  ", "   ")}
_PLAIN = ("  ", "  ", "  ", "  ")


@dataclass(frozen=True)
class Tree(Result):
    """Parents and children, with what each has spent and has left."""

    # `None`: the project is empty.
    top: Branch | None
    project: str
    # What leads to a name, see above.
    lines: tuple[str, str, str, str] = _PLAIN
    command = "tree"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {
            "project": self.project,
            "tree": None if self.top is None else _document(self.top),
        }

    def text(self) -> Iterator[Table]:
        """See `Result`."""
        from ..tables import Column, Table

        if self.top is None:
            return
        table = Table(
            (
                Column("USER"),
                Column("SPENT", right=True),
                Column("LIMIT", right=True, keep=2),
                Column("EVERY", keep=1),
                Column("USED", keep=3),
                Column("LEFT", right=True),
                Column("STATE", keep=4),
            ),
            tuple(self._rows(self.top, "", "")),
        )
        # It would say nothing.
        yield table if any(row[-1] for row in table.rows) else table.without("STATE")

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        if self.top is None:
            yield "nobody has a budget yet; begin with `budget create --user NAME --total 10`"

    def _rows(self, branch: Branch, first: str, rest: str) -> Iterator[tuple[Cell, ...]]:
        """The rows of a budget and those below; *first* leads to its name, *rest* to theirs."""
        cut = branch.below and not branch.branches
        yield _row(branch, first, f" (+{branch.below:,} below)" if cut else "")
        to_next, to_last, past_next, past_last = self.lines
        for place, each in enumerate(branch.branches, start=1):
            last = place == len(branch.branches)
            yield from self._rows(
                each,
                rest + (to_last if last else to_next),
                rest + (past_last if last else past_next),
            )


def _row(branch: Branch, lead: str, more: str) -> tuple[Cell, ...]:
    from budgets.money import money

    from ..harmless import shown_name
    from ..results import state
    from ..words import share

    status, primary = branch.status, branch.status.primary
    own_left = primary.left_nanos if primary else None
    limit = primary.limit if primary and own_left is not None else None
    boost = primary.totals.boost_nanos if primary else 0
    left = status.left.nanos
    return (
        f"{lead}{shown_name(status.budget.user)}{more}",
        money(primary.totals.spent_nanos) if primary else "",
        money(limit.total_nanos) + (f" + {money(boost)}" if boost else "")
        if limit and limit.total_nanos is not None
        else "none",
        limit.rule.words() if limit else "",
        share(primary.totals.taken_nanos, own_left) if primary and own_left is not None else "",
        "no limit" if left is None else money(left),
        state(status.budget) if status.budget.frozen or status.budget.archived else "",
    )


def _document(branch: Branch) -> dict[str, Any]:
    return {
        **budget_document(branch.status),
        "below": branch.below,
        "children": [_document(each) for each in branch.branches],
    }


def tree(session: Session, under: Under = None, depth: Depth = None) -> Tree:
    """
    Draw who stands below whom, with what is spent and left.

    What a budget has spent includes the calls of those below it. The bar is that of its own first limit;
    what is left is the least over its whole path. Those that --depth cuts off are counted.
    """
    from ..progress import Waiting

    levels = options.count("--depth", depth)
    # A process that is gone holds nothing any more.
    session.engine.expire()
    with Waiting(session.env, "looking at budgets"):
        top = session.engine.tree(under or "", depth=levels)
    lines = _BRANCHES[session.env.unicode] if session.env.drawn else _PLAIN
    return Tree(top, session.engine.project, lines)
