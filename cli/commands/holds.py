"""`budget holds`, `budget holds release`, and `budget holds settle`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from .. import options
from ..booked import Charged
from ..options import OneUser
from ..results import Result, hold_document, left_document
from ..session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from budgets.records import Entry, Hold, Left

    from ..tables import Table

EXAMPLES = """
budget holds
budget holds --user ann --json
budget holds settle call-2 --amount 0.031
"""
RELEASE_EXAMPLES = """
budget holds release call-2
"""
SETTLE_EXAMPLES = """
budget holds settle call-2 --amount 0.031
"""

HoldId: TypeAlias = Annotated[str, typer.Argument(metavar="ID", help="The hold's id, from `budget holds`.")]


@dataclass(frozen=True)
class OpenHolds(Result):
    """Open and unconfirmed holds, oldest first."""

    holds: tuple[Hold, ...]
    now: datetime
    command = "holds"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {"holds": [hold_document(each) for each in self.holds]}

    def text(self) -> Iterator[Table]:
        """See `Result`."""
        from ..words import holds_table

        if self.holds:
            yield holds_table(self.holds, self.now)

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        if not self.holds:
            yield "nothing is held"
        elif any(hold.unconfirmed for hold in self.holds):
            yield (
                "nobody knows what an unconfirmed call cost:"
                " `budget holds settle ID --amount USD` or `budget holds release ID`"
            )


@dataclass(frozen=True)
class Released(Result):
    """A hold that was let go, and where its user stands now."""

    hold_id: str
    entry: Entry
    left: Left
    now: datetime
    command = "holds release"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from budgets.money import format_usd

        return {
            "id": self.hold_id,
            "user": self.entry.user,
            "model": self.entry.model,
            "released_usd": format_usd(self.entry.nanos),
            **left_document(self.left),
        }

    def text(self) -> Iterator[str]:
        """See `Result`."""
        from budgets.money import money

        from ..harmless import shown_name
        from ..words import left_words

        user = self.entry.user
        left = left_words(self.left, user, self.now)
        yield f"released {money(self.entry.nanos)} for {shown_name(user)}, {left}"


def holds(session: Session, user: OneUser = None) -> OpenHolds:
    """
    Show open and unconfirmed holds, and resolve them.

    A hold is unconfirmed when its process ended before it said what the call cost. It counts against the
    limit until it is settled or released.
    """
    session.engine.expire()
    if user is not None:
        # A name that nobody has is a mistake, not an empty list.
        session.engine.status(user)
    return OpenHolds(tuple(session.engine.holds(user)), session.env.clock())


def release(
    session: Session,
    hold: HoldId,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why it cost nothing; kept.")
    ] = "released by hand",
) -> Released:
    """
    Let a hold go because its call cost nothing.

    Safe to repeat.
    """
    entry = session.engine.release(hold, reason=reason)
    return Released(hold, entry, session.engine.status(entry.user).left, session.env.clock())


def settle(
    session: Session,
    hold: HoldId,
    amount: Annotated[str, typer.Option(metavar="USD", help="What the call did cost.")],
    note: Annotated[str | None, typer.Option(metavar="TEXT", help="How that is known; kept.")] = None,
) -> Charged:
    """
    Charge what a held call did cost, and let its hold go.

    Safe to repeat.
    """
    receipt = session.engine.settle_amount(hold, options.usd("--amount", amount) or 0, note=note)
    return Charged(receipt, session.env.clock(), "holds settle")
