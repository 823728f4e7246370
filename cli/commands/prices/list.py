"""`budget prices list`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ... import options
from ...exits import UsageError
from ...options import Provider
from ...results import Result
from ...session import Session
from .words import book_in_use, dollars, per

if TYPE_CHECKING:
    from budgets.pricing import ModelPrices

    from ...tables import Table

EXAMPLES = """
budget prices list --search sonnet
budget prices list --provider groq --sort input
budget prices list --page 2 --json
"""

# As many lines as a person looks through at a time.
_PER_PAGE = 50


@dataclass(frozen=True)
class PricesListed(Result):
    """A page of the models that have a price."""

    book: str
    models: tuple[ModelPrices, ...]
    total: int
    page: int
    pages: int
    command = "prices list"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {
            "book": self.book,
            "total": self.total,
            "page": self.page,
            "pages": self.pages,
            "models": [
                {
                    "model": f"{each.provider}/{each.model}",
                    "input_usd": _listed(each, "input"),
                    "output_usd": _listed(each, "output"),
                    "units": [*dict.fromkeys(row.unit for row in each.rows)],
                    "tiers": [*each.tiers],
                    "context_window": each.context_window,
                    "free": each.free,
                }
                for each in self.models
            ],
        }

    def text(self) -> Iterator[str | Table]:
        """See `Result`."""
        from ...tables import Column, Table

        if self.models:
            yield Table(
                (
                    Column("MODEL"),
                    Column("INPUT", right=True),
                    Column("OUTPUT", right=True),
                    Column("READS", right=True, keep=2),
                    Column("TIERS", keep=1),
                ),
                tuple(
                    (
                        each["model"],
                        dollars(each["input_usd"]),
                        dollars(each["output_usd"]),
                        f"{each['context_window']:,}" if each["context_window"] else "",
                        " ".join(each["tiers"][1:]),
                    )
                    for each in self.document()["models"]
                ),
            )
        yield f"page {self.page} of {self.pages}, {self.total:,} models, dollars per million tokens"


def list(  # noqa: A001
    session: Session,
    provider: Provider = None,
    search: Annotated[
        str | None, typer.Option("--search", metavar="TEXT", help="Models whose name has this in it.")
    ] = None,
    sort: Annotated[
        str | None, typer.Option("--sort", metavar="BY", help="name (by itself), input, or output.")
    ] = None,
    page: Annotated[str | None, typer.Option("--page", metavar="N", help="Which page of 50.")] = None,
) -> PricesListed:
    """List the models that have a price now."""
    by = sort or "name"
    if by not in ("name", "input", "output"):
        raise UsageError(f"--sort cannot be {by}", hint="name, input, or output")
    book = book_in_use(session)
    found = [*book.current(session.env.clock())]
    if provider is not None:
        from budgets.prices.names import provider_id

        seller = provider_id(provider)
        found = [each for each in found if each.provider == seller]
    if search is not None:
        text = search.strip().lower()
        found = [each for each in found if text in f"{each.provider}/{each.model}".lower()]
    if by != "name":
        found = [each for each in found if each.own_row(by, 0) is not None or each.free]
        found.sort(key=lambda each: 0 if each.free else each.row(by, 0).picos)
    chosen = options.count("--page", page)
    chosen = 1 if chosen is None else chosen
    pages = max(1, -(-len(found) // _PER_PAGE))
    if not 1 <= chosen <= pages:
        raise UsageError(f"there is no page {chosen}", hint=f"pages 1 to {pages}")
    shown = found[(chosen - 1) * _PER_PAGE : chosen * _PER_PAGE]
    return PricesListed(book.version, (*shown,), len(found), chosen, pages)


def _listed(prices: ModelPrices, unit: str) -> str | None:
    """The price of *unit* for a short call; `None`: it has none."""
    if prices.free:
        return "0.00"
    row = prices.own_row(unit, 0)
    return None if row is None else per(row.picos, unit)
