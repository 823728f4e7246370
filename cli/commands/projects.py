"""`budget projects`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..results import Result, iso_or_none
from ..session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from budgets.engine.reporting import ProjectReport

    from ..tables import Table

EXAMPLES = """
budget projects
budget projects --json
"""


@dataclass(frozen=True)
class Projects(Result):
    """Every project of a store that has budgets, by name."""

    projects: tuple[ProjectReport, ...]
    now: datetime
    command = "projects"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from budgets.money import format_usd

        return {
            "projects": [
                {
                    "project": each.project,
                    "users": each.users,
                    "spent_usd": format_usd(each.spent_nanos),
                    "written_at": iso_or_none(each.written_at),
                }
                for each in self.projects
            ]
        }

    def text(self) -> Iterator[Table]:
        """See `Result`."""
        from budgets.money import money

        from ..tables import Column, Table
        from ..words import since, when

        if not self.projects:
            return
        yield Table(
            (
                Column("PROJECT"),
                Column("USERS", right=True),
                Column("SPENT IN ALL", right=True),
                Column("LAST WRITTEN", keep=1),
                Column("", keep=2),
            ),
            tuple(
                (
                    each.project,
                    f"{each.users:,}",
                    money(each.spent_nanos),
                    when(each.written_at, "UTC") if each.written_at else "",
                    since(each.written_at, self.now) if each.written_at else "",
                )
                for each in self.projects
            ),
        )

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        if not self.projects:
            yield "no project has a budget yet; begin with `budget create --user NAME --total 10`"


def projects(session: Session) -> Projects:
    """
    List the projects of the store.

    Shows of each how many users it has, what was ever spent in it, and when something was last written.
    It adds up every entry, so it takes time in proportion to them.
    """
    from ..progress import Waiting

    with Waiting(session.env, "adding up entries"):
        found = tuple(session.engine.projects())
    return Projects(found, session.env.clock())
