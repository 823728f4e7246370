"""
Discounts on a whole account, as the owner's file of prices has them, beside its `[[price]]` tables.

    [[discount]]
    percent = "10"             # in quotes; from 0 to below 100, so never dearer than the list
    provider = "openai"        # may be left out: then of whoever has none of its own
    from = "2026-11-01"        # a day, or a moment with its zone; left out: always
    to = "2027-01-01"          # the same, itself not included; left out: it still holds

A provider's own discount counts before one of all, and the two are never multiplied. Of several the one that
began last counts, while it holds; of those that began together the one further down.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction

from budgets.errors import InvalidValueError
from budgets.money import shown
from budgets.prices.names import provider_id
from budgets.prices.sheets import moment, started
from budgets.pricing import percent_text

KEYS = ("percent", "provider", "from", "to")

_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Discount:
    """One `[[discount]]` table."""

    # From 0 to below 100.
    percent: Fraction
    # `None`: every provider that has no discount of its own.
    provider: str | None = None
    starts: date | datetime | None = None
    # Itself not included.
    ends: date | datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Whether it holds at *at* (aware, UTC), others apart."""
        return moment(self.starts) <= at and (self.ends is None or at < moment(self.ends))


def parse_percent(text: str) -> Fraction:
    """
    `10%`, `12.5`: exact, from 0 to below 100.

    Raises:
        InvalidValueError: anything else, a price above the list among it.
    """
    found = _PERCENT.fullmatch(text.strip())
    if found is None or (percent := Fraction(found[1])) >= 100:
        raise InvalidValueError(
            f"{shown(text)} is not a discount",
            hint="give 0% to below 100%, for instance 10%; to pay more than the list, set prices",
        )
    return percent


def read_discount(table: object) -> Discount:
    """
    A `[[discount]]` table.

    Raises:
        InvalidValueError: it cannot be meant.
    """
    if not isinstance(table, dict):
        raise InvalidValueError("it is not a table", hint="discounts stand in [[discount]] tables")
    if unknown := [key for key in table if key not in KEYS]:
        raise InvalidValueError(f"{shown(unknown[0])} is not understood", hint=f"one of {', '.join(KEYS)}")
    percent, provider = table.get("percent"), table.get("provider")
    if not isinstance(percent, str):
        raise InvalidValueError("its percent is no text", hint='in quotes it stays exact: percent = "12.5"')
    if provider is not None and (not isinstance(provider, str) or not provider.strip()):
        raise InvalidValueError("its provider is not a name", hint='provider = "openai", or leave it out')
    starts, ends = started("from", table.get("from")), started("to", table.get("to"))
    if ends is not None and moment(ends) <= moment(starts):
        raise InvalidValueError("it ends before it begins", hint="the day in `to` is the first without it")
    return Discount(parse_percent(percent), None if provider is None else provider_id(provider), starts, ends)


def discount_of(discounts: Sequence[Discount], provider: str, at: datetime) -> Discount | None:
    """The discount that counts for *provider* at *at* (aware, UTC); `None`: there is none."""
    holding = [each for each in discounts if each.provider in (provider, None) and each.holds(at)]
    # The last of the greatest: `max` gives the first.
    return max(
        reversed(holding),
        key=lambda each: (each.provider is not None, moment(each.starts)),
        default=None,
    )


def words(discount: Discount) -> str:
    """`10% off at openai`, `2.5% off everywhere`."""
    where = f"at {discount.provider}" if discount.provider else "everywhere"
    return f"{percent_text(discount.percent)} off {where}"
