"""`budget correct`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import options
from ..exits import UsageError
from ..results import Result, left_document, threshold_documents
from ..session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from budgets.records import Receipt

EXAMPLES = """
budget correct call-3 --amount -0.25 --note "the invoice says less"
budget correct call-3 --amount +0.10 --note "a tool fee" --id fix-1
"""


@dataclass(frozen=True)
class Corrected(Result):
    """A correction that was written down."""

    receipt: Receipt
    now: datetime
    command = "correct"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from budgets.clock import iso
        from budgets.money import format_usd

        entry = self.receipt.entry
        return {
            "id": entry.id,
            "corrects": entry.detail["corrects"],
            "user": entry.user,
            "model": entry.model,
            "amount_usd": format_usd(entry.nanos),
            "at": iso(entry.at),
            "note": entry.detail["note"],
            "repeated": self.receipt.repeated,
            "overruns": [
                {"user": user or None, "over_usd": format_usd(nanos)} for user, nanos in self.receipt.overruns
            ],
            "thresholds": threshold_documents(self.receipt),
            **left_document(self.receipt.left),
        }

    def text(self) -> Iterator[str]:
        """See `Result`."""
        from budgets.money import money

        from ..harmless import shown_name
        from ..words import left_words

        entry = self.receipt.entry
        was = "was corrected before:" if self.receipt.repeated else "corrected"
        by = f"{'+' if entry.nanos > 0 else ''}{money(entry.nanos)}"
        yield (
            f"{was} {entry.detail['corrects']} of {shown_name(entry.user)} by {by},"
            f" {left_words(self.receipt.left, entry.user, self.now)}"
        )
        yield f"id {entry.id}"

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        from budgets.money import money

        from ..harmless import shown_name

        for user, nanos in self.receipt.overruns:
            yield f"{shown_name(user)} stands {money(nanos)} further above its limit"


def correct(
    session: Session,
    entry: Annotated[str, typer.Argument(metavar="ID", help="The charge's id, as its receipt gave it.")],
    amount: Annotated[
        str, typer.Option(metavar="USD", help="What is added to it, for instance +0.10 or -0.25.")
    ],
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept.")],
    id: Annotated[  # noqa: A002
        str | None,
        typer.Option(metavar="ID", help="Your own id: the same correction again is not counted twice."),
    ] = None,
) -> Corrected:
    """
    Correct a charge by another entry.

    The charge itself stays as it was written. The amount counts in the charge's own period. No charge and
    its corrections come to less than nothing.
    """
    if id == "":
        raise UsageError("an id cannot be empty", hint="leave --id out for a new one")
    if not note.strip():
        raise UsageError(
            "a correction needs a reason", hint='say why, for instance --note "a typing mistake"'
        )
    nanos = options.signed_usd("--amount", amount) or 0
    receipt = session.engine.correct(entry, nanos, note=note, correction_id=id)
    return Corrected(receipt, session.env.clock())
