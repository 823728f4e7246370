"""What is behind an id: an entry or a hold, how it adds up, and what it was corrected by."""

from __future__ import annotations

from dataclasses import dataclass

from budgets import explaining
from budgets.engine import holding
from budgets.errors import UnknownEntryError
from budgets.explaining import Explanation
from budgets.money import Nanos
from budgets.ports import Reading
from budgets.records import Entry, Hold


@dataclass(frozen=True, slots=True)
class Explained:
    """A record and its sum."""

    record: Entry | Hold
    explanation: Explanation
    # Where it is a charge or a correction: the charge, and everything that corrects it, oldest first.
    charge: Entry | None = None
    corrections: tuple[Entry, ...] = ()

    @property
    def stands_nanos(self) -> Nanos | None:
        """What the charge comes to with its corrections; `None` where there is no charge."""
        if self.charge is None:
            return None
        return self.charge.nanos + sum(each.nanos for each in self.corrections)


def explain(view: Reading, record_id: str) -> Explained:
    """
    The entry or the hold of that id, and how it adds up. A call's id means its charge, its hold, or its end.

    Raises:
        UnknownEntryError: there is none.
    """
    hold = view.hold(record_id)
    if hold is not None:
        return Explained(hold, explaining.of_hold(hold))
    entry = view.entry(record_id) or holding.unsettled_end(view, record_id)
    if entry is None:
        raise UnknownEntryError(
            f"there is no entry or hold {record_id}",
            hint="`budget history` lists charges with their ids, `budget holds` what is held",
            id=record_id,
        )
    charge = view.entry(entry.detail["corrects"]) if entry.kind == "correction" else entry
    explanation = explaining.of_entry(entry)
    if charge is None or charge.kind != "charge":
        return Explained(entry, explanation)
    return Explained(entry, explanation, charge, tuple(holding.corrections(view, charge)))
