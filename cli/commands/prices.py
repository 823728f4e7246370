"""`budget prices set` and `budget prices show`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from .. import options
from ..exits import UsageError
from ..options import Provider
from ..results import Result
from ..session import Session

if TYPE_CHECKING:
    from datetime import date, datetime

    from budgets.prices.overlay import OwnPrice
    from budgets.pricing import ModelPrices, Picos

    from ..tables import Table

EXAMPLES = """
budget prices show gpt-4o-mini
budget prices set my-model --input 0.15 --output 0.60
"""
SET_EXAMPLES = """
budget prices set my-model --input 0.15 --output 0.60 --context-window 128000
budget prices set llama3.2 --free
budget prices set my-model --input 0.10 --output 0.40 --from 2026-12-01
"""
SHOW_EXAMPLES = """
budget prices show gpt-4o-mini
budget prices show claude-sonnet-4-5 --json
"""

ModelName: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The model, as requests name it.")]
PerMillion: TypeAlias = Annotated[
    str | None, typer.Option(metavar="USD", help="US dollars per million tokens.")
]
Tokens: TypeAlias = Annotated[str | None, typer.Option(metavar="N", help="In tokens.")]


@dataclass(frozen=True)
class PriceWritten(Result):
    """A price that was added to the owner's file."""

    price: OwnPrice
    file: str
    command = "prices set"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        price = self.price
        return {
            "model": price.model,
            "provider": price.provider,
            "free": price.free,
            "from": _written(price.sheet.starts),
            "file": self.file,
        }

    def text(self) -> Iterator[str]:
        """See `Result`."""
        price, starts = self.price, _written(self.price.sheet.starts)
        seller = f" at {price.provider}" if price.provider else ""
        what = "is free" if price.free else "has a price of yours"
        yield f"{price.model}{seller} {what}{f' from {starts} on' if starts else ''}, written to {self.file}"


@dataclass(frozen=True)
class PriceFound(Result):
    """The prices of one model that hold now."""

    prices: ModelPrices
    command = "prices show"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from budgets.prices.sheets import PRICED_EACH

        prices = self.prices
        return {
            "model": prices.model,
            "provider": prices.provider,
            "book": prices.book_version,
            "free": prices.free,
            "context_window": prices.context_window,
            "max_output_tokens": prices.max_output_tokens,
            "prices": [
                {
                    "unit": row.unit,
                    "price_usd": _usd(row.picos, 1 if row.unit in PRICED_EACH else 1_000_000),
                    "per": 1 if row.unit in PRICED_EACH else 1_000_000,
                    "above_input_tokens": row.above,
                    "source": row.source,
                }
                for row in prices.rows
            ],
        }

    def text(self) -> Iterator[str | Table]:
        """See `Result`."""
        from ..tables import Column, Table

        found = self.document()
        yield f"{found['provider']}/{found['model']}, {found['book']}"
        if found["free"]:
            yield "free, says the owner"
        if found["context_window"]:
            yield f"reads up to {found['context_window']:,} tokens"
        if found["max_output_tokens"]:
            yield f"writes up to {found['max_output_tokens']:,} tokens"
        if found["prices"]:
            yield Table(
                (
                    Column("UNIT"),
                    Column("PRICE", right=True),
                    Column("PER"),
                    Column("INPUT ABOVE", right=True),
                    Column("SOURCE", keep=1),
                ),
                tuple(
                    (
                        row["unit"],
                        f"${row['price_usd']}",
                        "each" if row["per"] == 1 else "million",
                        f"{row['above_input_tokens']:,}",
                        row["source"],
                    )
                    for row in found["prices"]
                ),
            )


def prices(_session: Session) -> None:
    """
    Show prices, and set your own.

    Your own prices win over the bundled ones. They are kept in a file; a change is a new dated line.
    """


def set(  # noqa: A001
    session: Session,
    name: ModelName,
    input: PerMillion = None,  # noqa: A002
    cached_input: PerMillion = None,
    cache_write: PerMillion = None,
    output: PerMillion = None,
    free: Annotated[bool, typer.Option("--free", help="It costs you nothing, on your own machine.")] = False,
    provider: Provider = None,
    starts: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="From this day in UTC on; else from now on.")
    ] = None,
    context_window: Tokens = None,
    max_output_tokens: Tokens = None,
) -> PriceWritten:
    """Write down a price of your own for a model."""
    from budgets.prices.overlay import set_price

    given = {"input": input, "cached_input": cached_input, "cache_write": cache_write, "output": output}
    usd = {unit: _plain(unit, text) for unit, text in given.items() if text is not None}
    if free == bool(usd):
        raise UsageError(
            "a price is either free or some dollars", hint="give --input and --output, or --free"
        )
    if usd and not {"input", "output"} <= usd.keys():
        raise UsageError(
            "input and output both need a price",
            hint="0 is a price, too: --output 0 for a model that writes no tokens",
        )
    price = set_price(
        session.settings.prices,
        name,
        now=session.env.clock(),
        provider=provider,
        prices=usd,
        free=free,
        starts=_day(starts),
        context_window=options.count("--context-window", context_window),
        max_output_tokens=options.count("--max-output-tokens", max_output_tokens),
    )
    return PriceWritten(price, str(session.settings.prices))


def show(session: Session, name: ModelName, provider: Provider = None) -> PriceFound:
    """Show the prices of a model that hold now."""
    return PriceFound(session.engine.book.find(name, provider=provider, at=session.env.clock()))


def _plain(unit: str, text: str) -> str:
    """A price may be finer than an amount; it is checked here so that the option is named."""
    from budgets.prices.sheets import picos_per_unit

    plain = text.strip().removeprefix("$")
    with options.given_as(f"--{unit.replace('_', '-')}"):
        picos_per_unit(unit, plain)
    return plain


def _day(text: str | None) -> date | datetime | None:
    """A bare day stays one; a moment stays exact."""
    moment = options.moment("--from", text)
    if moment is None or text is None:
        return None
    return moment.date() if len(text.strip()) == 10 else moment


def _written(starts: date | datetime | None) -> str | None:
    """From when a price holds, as the file has it."""
    from datetime import datetime

    from budgets.clock import iso

    if starts is None:
        return None
    return iso(starts) if isinstance(starts, datetime) else starts.isoformat()


def _usd(picos: Picos, per: int) -> str:
    """US dollars for so many, exact: as decimals where it has an end, else as a fraction."""
    from fractions import Fraction

    usd = Fraction(picos) * per / 10**12
    if 10**24 % usd.denominator:
        return str(usd)
    whole, part = divmod(usd.numerator * (10**24 // usd.denominator), 10**24)
    return f"{whole}.{f'{part:024d}'.rstrip('0').ljust(2, '0')}"
