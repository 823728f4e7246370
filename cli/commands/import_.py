"""`budget import`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..prompting import read_text
from ..results import Result
from ..session import Session

if TYPE_CHECKING:
    from budgets.dropin.user_cost_import import Taken

EXAMPLES = """
budget import user_cost.json
budget import user_cost.json --project my-app --json
"""


@dataclass(frozen=True)
class Imported(Result):
    """The users of a file that were taken over."""

    file: str
    project: str
    taken: tuple[Taken, ...]
    command = "import"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from budgets.money import format_usd

        return {
            "file": self.file,
            "project": self.project,
            "users": [
                {
                    "user": each.said.user,
                    "created": each.created,
                    "total_usd": format_usd(each.said.total_nanos),
                    "every": each.said.rule.words(),
                    "spent_usd": format_usd(each.said.spent_nanos),
                    "charged_usd": format_usd(each.charged_nanos),
                }
                for each in self.taken
            ],
        }

    def text(self) -> Iterator[str]:
        """See `Result`."""
        from budgets.money import money

        from ..harmless import shown_name

        for each in self.taken:
            said = each.said
            every = "" if said.rule.unit == "never" else f" every {said.rule.words()}"
            what = (
                f"created with {money(said.total_nanos)}{every}" if each.created else "has a budget already"
            )
            yield f"{shown_name(said.user)}: {what}, charged {money(each.charged_nanos)}"

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        count = "1 user" if len(self.taken) == 1 else f"{len(self.taken):,} users"
        yield f"took over {count} of {self.file} into project {self.project}"
        months = sum(each.said.rule.unit == "month" for each in self.taken)
        if months:
            yield (
                f"a duration of 28 days is LiteLLM's month, and is a calendar month here ({months} of the"
                " users)"
            )


def import_(
    session: Session,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A user_cost.json, or - for stdin.")],
) -> Imported:
    """
    Take over the budgets of LiteLLM's BudgetManager.

    Each user gets a limit of the same amount, whose periods go by the calendar from the start of the one in
    the file, and what was spent in that is charged by model. Budgets that are there keep their limits. It
    is safe to repeat: only what is above the earlier imports is charged.
    """
    from budgets.dropin.user_cost import read_file
    from budgets.dropin.user_cost_import import take_over

    users = read_file(read_text(session.env, file, "FILE"))
    taken = tuple(take_over(session.engine, users))
    return Imported(file, session.settings.project, taken)
