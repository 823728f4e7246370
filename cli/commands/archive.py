"""`budget archive`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..options import User, Yes
from ..results import Result, budget_document
from ..session import Session

if TYPE_CHECKING:
    from budgets.records import BudgetStatus

EXAMPLES = """
budget archive --user ann --yes
"""


@dataclass(frozen=True)
class Archived(Result):
    """A budget that takes no more calls."""

    status: BudgetStatus
    command = "archive"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {"budget": budget_document(self.status)}

    def text(self) -> Iterator[str]:
        """See `Result`."""
        from ..harmless import shown_name

        user = shown_name(self.status.budget.user)
        yield f"archived {user}: no more calls; what was spent stays, and `budget unarchive` brings it back"


def archive(session: Session, user: User = None, yes: Yes = False) -> Archived:
    """
    Let a user make no more calls, and keep the history.

    Calls are refused, also those of budgets below. A cost that happened is still charged. Lists show the
    budget only with --archived. Safe to repeat.
    """
    from ..harmless import shown_name

    name = session.user(user, or_only_one=False)
    # A name that nobody has is a mistake; nobody is asked about it.
    found = session.engine.status(name).budget
    if not (yes or found.archived):
        session.agree(
            f"archive {shown_name(name)}? No call of it will be let through.",
            needs="archiving lets no more calls through",
        )
    session.engine.archive(name)
    return Archived(session.engine.status(name))
