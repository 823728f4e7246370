"""What was written down, as several commands show it: a recorded cost, opened periods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .exits import DONE, FAILED, PARTLY
from .results import Result, error_document, iso_or_none, left_document, threshold_documents

if TYPE_CHECKING:
    from datetime import datetime

    from budgets.errors import BudgetError
    from budgets.records import Receipt, Rolled


@dataclass(frozen=True)
class Charged(Result):
    """A cost that was recorded."""

    receipt: Receipt
    now: datetime
    command: str = "charge"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from budgets.clock import iso
        from budgets.money import format_usd

        entry = self.receipt.entry
        return {
            "id": entry.id,
            "user": entry.user,
            "model": entry.model,
            "cost_usd": format_usd(entry.nanos),
            "at": iso(entry.at),
            **{name: entry.detail.get(name) for name in ("how", "usage", "prices", "note")},
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

        from .harmless import shown_name
        from .words import left_words

        receipt, entry = self.receipt, self.receipt.entry
        usage = dict(entry.detail.get("usage") or {})
        how = usage.pop("how", None)
        counts = ", ".join(f"{count:,} {unit}" for unit, count in usage.items())
        what = f" for {entry.model}" if entry.model else ""
        what += f" ({counts}; {how})" if counts else ""
        was = "was charged before:" if receipt.repeated else "charged"
        yield (
            f"{was} {shown_name(entry.user)} {money(entry.nanos)}{what},"
            f" {left_words(receipt.left, entry.user, self.now)}"
        )
        yield f"id {entry.id}"

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        from budgets.money import money

        from .harmless import shown_name

        for user, nanos in self.receipt.overruns:
            yield f"{shown_name(user)} stands {money(nanos)} further above its limit"


@dataclass(frozen=True)
class Resets(Result):
    """Periods that were opened, and for whom that failed."""

    rolled: tuple[Rolled, ...]
    now: datetime
    command: str = "reset"
    failed: tuple[tuple[str, BudgetError], ...] = ()
    # Nothing was written.
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """Partly done when it failed for some, failed when it did for all."""
        if not self.failed:
            return DONE
        return PARTLY if self.rolled else FAILED

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from budgets.clock import iso
        from budgets.money import format_usd

        return {
            "dry_run": self.dry_run,
            "resets": [
                {
                    "user": each.user or None,
                    "limit_id": each.limit.id,
                    "spent_usd": format_usd(each.before.spent_nanos if each.before else 0),
                    "period_start": iso(each.after.start),
                    "period_end": iso_or_none(each.after.end),
                }
                for each in self.rolled
            ],
            "failed": [{"user": user, "error": error_document(error)} for user, error in self.failed],
        }

    def text(self) -> Iterator[str]:
        """See `Result`."""
        from budgets.money import money

        from .harmless import shown_name
        from .words import limit_words, when_and_how_long

        for each in self.rolled:
            limit, end = each.limit, each.after.end
            spent = money(each.before.spent_nanos if each.before else 0)
            of = f" of {limit_words(limit)}" if limit.total_nanos is not None else ""
            did = "would reset" if self.dry_run else "reset"
            until = (
                f"until {when_and_how_long(end, limit.rule.timezone, self.now)}" if end else "without an end"
            )
            yield (f"{did} {shown_name(each.user)}: {spent}{of} was spent, the new period runs {until}")

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        from .harmless import shown_name

        for user, error in self.failed:
            yield f"{shown_name(user)} was not reset: {error.message}"
