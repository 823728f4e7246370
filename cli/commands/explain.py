"""`budget explain`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from .. import options
from ..exits import DONE, FAILED, UsageError
from ..options import Model, Provider
from ..results import Result
from ..session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from budgets.engine.explaining import Explained
    from budgets.explaining import Explanation
    from budgets.records import Charge

    from ..tables import Table

EXAMPLES = """
budget explain call-3
budget explain --reply reply.json
budget explain --model gpt-4o-mini --reply reply.json --at 2026-11-01 --json
"""

RecordId: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="ID", help="A charge, a correction, or a hold.")
]


@dataclass(frozen=True)
class RecordExplained(Result):
    """How something that was recorded adds up."""

    found: Explained
    command = "explain"

    @property
    def exit_code(self) -> int:
        """Failed when its lines do not add up to what was recorded."""
        return DONE if self.found.explanation.adds_up else FAILED

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from budgets.clock import iso
        from budgets.money import format_usd

        from ..sums import sum_document

        record, stands = self.found.record, self.found.stands_nanos
        return {
            "id": record.id,
            "kind": self._kind,
            "user": record.user or None,
            "model": record.model or None,
            "at": iso(record.at),
            **sum_document(self.found.explanation),
            "note": self._note,
            "corrections": [
                {"id": each.id, "amount_usd": format_usd(each.nanos), "note": each.detail.get("note")}
                for each in self.found.corrections
            ],
            "stands_usd": None if stands is None else format_usd(stands),
        }

    def text(self) -> Iterator[str | Table]:
        """See `Result`."""
        from budgets.clock import iso
        from budgets.money import money

        from ..harmless import shown_name
        from ..sums import sum_blocks

        record, found = self.found.record, self.found
        model = f" on {record.model}" if record.model else ""
        yield f"{self._kind} {record.id} of {shown_name(record.user)}{model}, {iso(record.at)}"
        yield from sum_blocks(found.explanation)
        if self._note:
            yield f"note         {self._note}"
        if found.charge is not None and found.corrections:
            terms = [f"{money(found.charge.nanos)} {found.charge.id}"]
            terms += [f"{money(each.nanos)} {each.id}" for each in found.corrections]
            yield f"corrected    {' + '.join(terms)}"
            yield f"stands at    {money(found.stands_nanos or 0)}"

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        from ..sums import sum_messages

        yield from sum_messages(self.found.explanation)

    @property
    def _kind(self) -> str:
        from budgets.records import Hold

        record = self.found.record
        if isinstance(record, Hold):
            return "unconfirmed hold" if record.unconfirmed else "hold"
        return record.kind

    @property
    def _note(self) -> str | None:
        """What was said about it; of what costs nothing, what happened."""
        from budgets.records import SPENDING_KINDS, Hold

        from ..facts import fact

        record = self.found.record
        if isinstance(record, Hold):
            return None
        if record.kind in SPENDING_KINDS:
            return record.detail.get("note")
        return str(fact(record))


@dataclass(frozen=True)
class ReplyExplained(Result):
    """How a reply's cost adds up, which is not recorded."""

    cost: Charge
    at: datetime
    command = "explain"

    @property
    def explanation(self) -> Explanation:
        """Its sum."""
        from budgets.explaining import of_charge

        return of_charge(self.cost)

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from budgets.clock import iso

        from ..sums import sum_document

        return {
            "id": None,
            "kind": "reply",
            "user": None,
            "model": self.cost.model,
            "at": iso(self.at),
            **sum_document(self.explanation),
            "note": None,
            "corrections": [],
            "stands_usd": None,
        }

    def text(self) -> Iterator[str | Table]:
        """See `Result`."""
        from ..sums import sum_blocks

        yield from sum_blocks(self.explanation)


def explain(
    session: Session,
    id: RecordId = None,  # noqa: A002
    model: Model = None,
    provider: Provider = None,
    reply: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A provider's reply, plain JSON or a whole stream; - for stdin."),
    ] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="When that call was made; else now.")] = None,
) -> RecordExplained | ReplyExplained:
    """
    Show how a cost adds up, to the last digit.

    Of a charge, or of what a call holds, from the prices that were kept with it; of a reply, from the prices
    of --at, without recording anything. Count times price for each unit, the exact sum, the rounding, the
    total.
    """
    if (id is None) == (reply is None):
        raise UsageError(
            "say what is to be explained", hint="give the id of a charge or a hold, or --reply FILE"
        )
    if id is not None:
        if any(each is not None for each in (model, provider, at)):
            raise UsageError(
                "a record names its own model and time", hint="leave out --model, --provider, and --at"
            )
        return RecordExplained(session.engine.explain(id))
    from budgets.metering import priced

    from ..replies import read_reply

    moment = options.moment("--at", at) or session.env.clock()
    reported = read_reply(session.env, reply or "")
    return ReplyExplained(priced(session.engine, reported, asked=model, provider=provider, at=moment), moment)
