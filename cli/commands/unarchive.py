"""`budget unarchive`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..options import User
from ..results import Result, budget_document
from ..session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from budgets.records import BudgetStatus

EXAMPLES = """
budget unarchive --user ann
"""


@dataclass(frozen=True)
class Unarchived(Result):
    """A budget that takes calls again."""

    status: BudgetStatus
    now: datetime
    command = "unarchive"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {"budget": budget_document(self.status)}

    def text(self) -> Iterator[str]:
        """See `Result`."""
        from ..harmless import shown_name
        from ..words import left_words

        user = self.status.budget.user
        yield f"unarchived {shown_name(user)}: {left_words(self.status.left, user, self.now)}"

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        if self.status.budget.frozen:
            yield "it is frozen as well: nothing fits until `budget set --unfreeze`"


def unarchive(session: Session, user: User = None) -> Unarchived:
    """
    Let an archived user make calls again.

    Safe to repeat.
    """
    name = session.user(user, or_only_one=False)
    session.engine.unarchive(name)
    return Unarchived(session.engine.status(name), session.env.clock())
