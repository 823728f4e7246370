"""Prices as the commands about them say them: rows, dollars, days."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from budgets.money import PICOS_PER_USD, exact_usd
from budgets.usage import priced_for

from ...sums import PER_WORDS

if TYPE_CHECKING:
    from fractions import Fraction

    from budgets.prices.book import LayeredBook
    from budgets.prices.bundled import BundledBook
    from budgets.pricing import Picos, Price

    from ...session import Session
    from ...tables import Table


ModelName: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The model, as requests name it.")]


def book_in_use(session: Session) -> BundledBook | LayeredBook:
    """The price book of the settings in force."""
    from budgets.prices import open_book

    return open_book(session.settings.prices)


def row_document(row: Price) -> dict[str, Any]:
    """A row of the book as every document has it."""
    from budgets.prices.sheets import written

    return {
        "unit": row.unit,
        "price_usd": per(row.picos, row.unit),
        "per": priced_for(row.unit),
        "above_input_tokens": row.above,
        "source": row.source,
        "tier": row.tier,
        "from": written(row.starts),
        "to": written(row.ends),
        "hours_utc": row.hours_text,
        "checked": None if row.checked is None else row.checked.isoformat(),
    }


def price_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Rows of `row_document`; columns that would be empty are left out."""
    from ...tables import Column, Table

    table = Table(
        (
            Column("UNIT"),
            Column("PRICE", right=True),
            Column("YOU PAY", right=True),
            Column("PER"),
            Column("TIER"),
            Column("INPUT ABOVE", right=True),
            Column("FROM", keep=4),
            Column("TO", keep=3),
            Column("HOURS (UTC)", keep=2),
            Column("SOURCE", keep=1),
        ),
        tuple(
            (
                row["unit"],
                f"${row['price_usd']}",
                f"${row.get('you_pay_usd', row['price_usd'])}",
                PER_WORDS[row["per"]],
                row["tier"],
                f"{row['above_input_tokens']:,}",
                row["from"] or "",
                row["to"] or "",
                row["hours_utc"] or "",
                row["source"],
            )
            for row in rows
        ),
    )
    if all(row.get("you_pay_usd", row["price_usd"]) == row["price_usd"] for row in rows):
        table = table.without("YOU PAY")
    for title, name in (("FROM", "from"), ("TO", "to"), ("HOURS (UTC)", "hours_utc")):
        if not any(row[name] for row in rows):
            table = table.without(title)
    return table


def dollars(usd: str | None) -> str:
    """An amount behind its sign; nothing where there is none."""
    return "" if usd is None else f"${usd}"


def per(picos: Picos, unit: str) -> str:
    """US dollars for as many of *unit* as its price is given for."""
    return exact_usd(picos, priced_for(unit))


def decimal(factor: Fraction) -> str:
    """A factor as text."""
    return exact_usd(factor, PICOS_PER_USD)
