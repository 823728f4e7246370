"""`budget prices set`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from ... import options
from ...exits import UsageError
from ...options import Provider
from ...results import Result
from ...session import Session

if TYPE_CHECKING:
    from datetime import date, datetime

    from budgets.prices.discounts import Discount
    from budgets.prices.overlay import OwnPrice

EXAMPLES = """
budget prices set my-model --input 0.15 --output 0.60 --context-window 128000
budget prices set llama3.2 --free
budget prices set my-model --input 0.10 --output 0.40 --from 2026-12-01
budget prices set --discount 10% --provider openai --from 2026-12-01 --to 2027-12-01
"""

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
        from budgets.prices.sheets import written

        price = self.price
        return {
            "model": price.model,
            "provider": price.provider,
            "free": price.free,
            "from": written(price.sheet.starts),
            "file": self.file,
        }

    def text(self) -> Iterator[str]:
        """See `Result`."""
        from budgets.prices.sheets import written

        price, starts = self.price, written(self.price.sheet.starts)
        seller = f" at {price.provider}" if price.provider else ""
        what = "is free" if price.free else "has a price of yours"
        yield f"{price.model}{seller} {what}{f' from {starts} on' if starts else ''}, written to {self.file}"


@dataclass(frozen=True)
class DiscountWritten(Result):
    """A discount on a whole account that was added to the owner's file."""

    discount: Discount
    file: str
    command = "prices set"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from budgets.prices.sheets import written
        from budgets.pricing import percent_text

        found = self.discount
        return {
            "discount": percent_text(found.percent),
            "provider": found.provider,
            "from": written(found.starts),
            "to": written(found.ends),
            "file": self.file,
        }

    def text(self) -> Iterator[str]:
        """See `Result`."""
        from budgets.prices.discounts import words

        found = self.document()
        until = f" until {found['to']}" if found["to"] else " on"
        yield f"{words(self.discount)} from {found['from']}{until}, written to {self.file}"


def set(  # noqa: A001
    session: Session,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The model, as requests name it.")
    ] = None,
    input: PerMillion = None,  # noqa: A002
    cached_input: PerMillion = None,
    cache_write: PerMillion = None,
    output: PerMillion = None,
    free: Annotated[bool, typer.Option("--free", help="It costs you nothing, on your own machine.")] = False,
    discount: Annotated[
        str | None,
        typer.Option(
            "--discount", metavar="PERCENT", help="Your whole account pays so much less; with no NAME."
        ),
    ] = None,
    provider: Provider = None,
    starts: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="From this day in UTC on; else from now on.")
    ] = None,
    ends: Annotated[
        str | None, typer.Option("--to", metavar="DAY", help="The first day without the discount.")
    ] = None,
    context_window: Tokens = None,
    max_output_tokens: Tokens = None,
) -> PriceWritten | DiscountWritten:
    """
    Set a price of your own for a model, or a discount on your whole account.

    A price of your own is what you pay: it wins over the list, and no discount is taken off it.
    """
    given = {"input": input, "cached_input": cached_input, "cache_write": cache_write, "output": output}
    if discount is not None:
        facts = (name, *given.values(), context_window, max_output_tokens)
        if free or any(each is not None for each in facts):
            raise UsageError(
                "a discount is on a whole account, not on a model",
                hint="give --discount with --provider, --from, and --to only",
            )
        return _discounted(session, discount, provider, starts, ends)
    if name is None:
        raise UsageError("neither a model nor a discount was named", hint="give NAME, or --discount PERCENT")
    if ends is not None:
        raise UsageError(
            "--to is of a discount", hint="a price of your own holds until another one with a later --from"
        )
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
    from budgets.prices.overlay import set_price

    price = set_price(
        session.settings.prices,
        name,
        now=session.env.clock(),
        provider=provider,
        prices=usd,
        free=free,
        starts=_day("--from", starts),
        context_window=options.count("--context-window", context_window),
        max_output_tokens=options.count("--max-output-tokens", max_output_tokens),
    )
    return PriceWritten(price, str(session.settings.prices))


def _discounted(
    session: Session, percent: str, provider: str | None, starts: str | None, ends: str | None
) -> DiscountWritten:
    from budgets.prices.discounts import parse_percent
    from budgets.prices.overlay import set_discount

    with options.given_as("--discount"):
        parse_percent(percent)
    found = set_discount(
        session.settings.prices,
        percent,
        now=session.env.clock(),
        provider=provider,
        starts=_day("--from", starts),
        ends=_day("--to", ends),
    )
    return DiscountWritten(found, str(session.settings.prices))


def _plain(unit: str, text: str) -> str:
    """A price may be finer than an amount; it is checked here so that the option is named."""
    from budgets.prices.sheets import picos_per_unit

    plain = text.strip().removeprefix("$")
    with options.given_as(f"--{unit.replace('_', '-')}"):
        picos_per_unit(unit, plain)
    return plain


def _day(option: str, text: str | None) -> date | datetime | None:
    """A bare day stays one; a moment stays exact."""
    moment = options.moment(option, text)
    if moment is None or text is None:
        return None
    return moment.date() if len(text.strip()) == 10 else moment
