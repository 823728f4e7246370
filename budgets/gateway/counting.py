"""What the calls of one run came to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from budgets.errors import BudgetBusyError, BudgetError, BudgetExceededError
from budgets.gateway.callers import Caller
from budgets.gateway.incoming import Report
from budgets.money import Nanos


@dataclass(slots=True)
class Counts:
    """The calls so far, by what became of them."""

    # Charged, `estimated` of them at a count of our own.
    charged: int = 0
    estimated: int = 0
    # Nobody knows what they cost; their holds count on.
    unconfirmed: int = 0
    # The provider refused them or failed: they cost nothing.
    failed: int = 0
    # Never sent: by the budget, or because they could not be metered.
    refused: int = 0
    # Why, of the first of them; of the first that waiting would not have helped, where there is one.
    refusal: BudgetError | None = None
    # Came without this run's key.
    strangers: int = 0
    # Anything with this run's key, also what is free.
    seen: int = 0
    cost_nanos: Nanos = 0
    # Unit -> how many; each token once.
    usage: dict[str, int] = field(default_factory=dict)


class Counting:
    """
    Knows one run's key, and counts what becomes of its calls. Safe to use from any thread.

    Args:
        caller: Whose run it is.
        key: The run key.
        on_used_up: Is told of a refusal that waiting would not change; must be quick.
    """

    def __init__(self, caller: Caller, key: str, on_used_up: Callable[[], None] = lambda: None) -> None:
        self._caller = caller
        self._key = key
        self._on_used_up = on_used_up
        self._lock = threading.Lock()
        self.counts = Counts()

    def find_caller(self, key: str) -> Caller | None:
        """Whose key that is: this run's, or nobody's."""
        known = key == self._key
        with self._lock:
            if known:
                self.counts.seen += 1
            else:
                self.counts.strangers += 1
        return self._caller if known else None

    def note(self, report: Report) -> None:
        """See `House.report`."""
        with self._lock:
            self._add(report)
        if isinstance(report.error, BudgetExceededError) and not _was_busy(report.error):
            self._on_used_up()

    def _add(self, report: Report) -> None:
        counts = self.counts
        if report.receipt is not None:
            counts.charged += 1
            counts.cost_nanos += report.receipt.nanos
            used = dict(report.receipt.entry.detail.get("usage") or {})
            counts.estimated += used.pop("how", "reported") != "reported"
            for unit, count in used.items():
                counts.usage[unit] = counts.usage.get(unit, 0) + count
        elif report.outcome == "unconfirmed":
            counts.unconfirmed += 1
        elif report.outcome == "released":
            counts.failed += 1
        else:
            counts.refused += 1
            if counts.refusal is None or (_was_busy(counts.refusal) and not _was_busy(report.error)):
                counts.refusal = report.error


def _was_busy(error: BudgetError | None) -> bool:
    return isinstance(error, BudgetBusyError)
