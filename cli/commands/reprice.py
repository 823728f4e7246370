"""`budget reprice`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from .. import options
from ..options import Since, Until
from ..progress import Waiting
from ..results import NO_MODEL, Result, iso_or_none
from ..session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from budgets.engine.repricing import ModelRepriced
    from budgets.money import Nanos
    from budgets.pricing import PriceBook

    from ..tables import Table

EXAMPLES = """
budget reprice --since 2026-11-01
budget reprice --since 2026-11-01 --at 2026-11-22
budget reprice --since 2026-10-01 --until 2026-11-01 --user ann
"""

Whose: TypeAlias = Annotated[
    str | None, typer.Option("--user", "-u", metavar="NAME", help="This user's calls and all below it.")
]
PricesAt: TypeAlias = Annotated[
    str | None,
    typer.Option("--at", metavar="DAY", help="At the prices of this day; else each of its own."),
]
PricesFile: TypeAlias = Annotated[
    str | None,
    typer.Option("--prices", metavar="FILE", help="A book, the public price map, or own prices (.toml)."),
]


@dataclass(frozen=True)
class Repriced(Result):
    """What was charged, and what it would have been."""

    models: tuple[ModelRepriced, ...]
    book: str
    user: str | None
    since: datetime | None
    until: datetime | None
    at: datetime | None
    command = "reprice"

    @property
    def kept_nanos(self) -> Nanos:
        """What stays as it was charged."""
        return sum(each.kept_nanos for each in self.models)

    @property
    def charged_nanos(self) -> Nanos:
        """All that was charged and corrected."""
        return sum(each.charged.nanos for each in self.models) + self.kept_nanos

    @property
    def repriced_nanos(self) -> Nanos:
        """What it would have been, with what stays as it was charged."""
        return sum(each.repriced_nanos for each in self.models) + self.kept_nanos

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from budgets.money import format_usd

        return {
            "user": self.user,
            "since": iso_or_none(self.since),
            "until": iso_or_none(self.until),
            "book": self.book,
            "prices_at": iso_or_none(self.at),
            "charged_usd": format_usd(self.charged_nanos),
            "repriced_usd": format_usd(self.repriced_nanos),
            "difference_usd": format_usd(self.repriced_nanos - self.charged_nanos),
            "not_repriced_usd": format_usd(self.kept_nanos),
            "rows": [
                {
                    "model": each.model or NO_MODEL,
                    "calls": each.charged.entries,
                    "charged_usd": format_usd(each.charged.nanos),
                    "repriced_usd": format_usd(each.repriced_nanos),
                    "difference_usd": format_usd(each.difference_nanos),
                    "not_repriced": [
                        {"why": why, "entries": kept.entries, "charged_usd": format_usd(kept.nanos)}
                        for why, kept in each.kept.items()
                    ],
                }
                for each in self.models
            ],
        }

    def text(self) -> Iterator[str | Table]:
        """See `Result`."""
        from budgets.money import money

        from ..tables import Column, Table

        when = f"those of {self.at:%Y-%m-%d %H:%M} UTC" if self.at else "of the moment of each call"
        yield f"prices: {self.book}, {when}"
        if rows := [each for each in self.models if each.charged.entries]:
            yield Table(
                (
                    Column("MODEL"),
                    Column("CALLS", right=True, keep=1),
                    Column("CHARGED", right=True),
                    Column("REPRICED", right=True),
                    Column("DIFFERENCE", right=True),
                ),
                tuple(
                    (
                        each.model,
                        f"{each.charged.entries:,}",
                        money(each.charged.nanos),
                        money(each.repriced_nanos),
                        _signed(each.difference_nanos),
                    )
                    for each in rows
                ),
            )
        for each in self.models:
            for why, kept in each.kept.items():
                what = f"{kept.entries:,} for {money(kept.nanos)}"
                yield f"not repriced: {each.model or NO_MODEL}, {what}: {why}"
        difference = self.repriced_nanos - self.charged_nanos
        yield (
            f"charged {money(self.charged_nanos)}, it would have been {money(self.repriced_nanos)}:"
            f" {_signed(difference)}"
        )

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        if not self.models:
            yield "nothing was charged in that time"


def reprice(
    session: Session,
    since: Since = None,
    until: Until = None,
    user: Whose = None,
    at: PricesAt = None,
    prices: PricesFile = None,
) -> Repriced:
    """
    Show what calls would have cost at other prices. Nothing is changed.

    The prices are those in use now, your own and your discounts among them, or those of a file. What was
    charged as an amount, corrected, or billed by the provider itself is counted as it is, never guessed.
    """
    from budgets.engine.repricing import reprice as repriced

    engine = session.engine
    timezone = engine.timezone(user or "")
    begin = options.moment("--since", since, timezone=timezone)
    end = options.moment("--until", until, timezone=timezone)
    moment = options.moment("--at", at, timezone=timezone)
    book = _book(session, prices)
    entries = engine.charges(user or "", since=begin, until=end)
    with Waiting(session.env, "repricing"):
        found = repriced(entries, book, at=moment)
    return Repriced((*found,), book.version, user, begin, end, moment)


def _book(session: Session, file: str | None) -> PriceBook:
    from pathlib import Path

    from budgets.prices import list_book, open_book

    own = session.settings.prices
    if file is None:
        return open_book(own)
    if file.endswith(".toml"):
        return open_book(own, instead=Path(file))
    from budgets.prices.bundled import BundledBook
    from budgets.prices.importing import read_book

    return BundledBook(data=read_book(Path(file), list_book(own), session.env.clock().date()))


def _signed(nanos: Nanos) -> str:
    from budgets.money import money

    return f"+{money(nanos)}" if nanos > 0 else money(nanos)
