"""`budget prices show`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...options import Provider
from ...results import Result
from ...session import Session
from .words import ModelName, book_in_use, decimal, per, price_table, row_document

if TYPE_CHECKING:
    from budgets.prices.discounts import Discount
    from budgets.pricing import ModelPrices, Price

    from ...tables import Table

EXAMPLES = """
budget prices show gpt-4o-mini
budget prices show claude-sonnet-4-5 --json
"""


@dataclass(frozen=True)
class PriceFound(Result):
    """The list prices of one model that hold now, and those that held or will."""

    prices: ModelPrices
    history: tuple[Price, ...]
    # What the account pays less than these; `None`: nothing.
    discount: Discount | None
    command = "prices show"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        prices = self.prices
        return {
            "model": prices.model,
            "provider": prices.provider,
            "book": prices.book_version,
            "free": prices.free,
            "context_window": prices.context_window,
            "max_output_tokens": prices.max_output_tokens,
            "uplift": {region: decimal(factor) for region, factor in prices.uplift},
            "discount": _discount(self.discount),
            "prices": [
                {**row_document(row), "you_pay_usd": per(prices.after_discount(row).picos, row.unit)}
                for row in prices.rows
            ],
            "other_times": [row_document(row) for row in self.history if row not in prices.rows],
        }

    def text(self) -> Iterator[str | Table]:
        """See `Result`."""
        found = self.document()
        yield f"{found['provider']}/{found['model']}, {found['book']}"
        if found["free"]:
            yield "free, says the owner"
        if found["context_window"]:
            yield f"reads up to {found['context_window']:,} tokens"
        if found["max_output_tokens"]:
            yield f"writes up to {found['max_output_tokens']:,} tokens"
        for region, factor in found["uplift"].items():
            yield f"tokens cost {factor} times as much in the region {region}"
        if self.discount is not None:
            from budgets.prices.discounts import words

            times = {"from": found["discount"]["from"], "until": found["discount"]["to"]}
            yield words(self.discount) + "".join(f" {word} {each}" for word, each in times.items() if each)
        if found["prices"]:
            yield price_table(found["prices"])
        if found["other_times"]:
            yield "at other times"
            yield price_table(found["other_times"])


def show(session: Session, name: ModelName, provider: Provider = None) -> PriceFound:
    """Show all prices of a model: those that hold now, and those of other times."""
    book, now = book_in_use(session), session.env.clock()
    found = book.find(name, provider=provider, at=now)
    discount = book.discount(found.provider, now) if found.discount_percent else None
    return PriceFound(found, book.history(name, provider=provider), discount)


def _discount(found: Discount | None) -> dict[str, Any] | None:
    if found is None:
        return None
    from budgets.prices.sheets import written
    from budgets.pricing import percent_text

    return {
        "percent": percent_text(found.percent),
        "provider": found.provider,
        "from": written(found.starts),
        "to": written(found.ends),
    }
