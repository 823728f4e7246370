"""
Money at the border, where callers use floats: in what LiteLLM's classes take and give.

Inside, money is whole nano-dollars. A float that comes in is the shortest decimal text that means it; one
that goes out knows the exact amount that it stands for.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Self

from budgets.errors import InvalidValueError
from budgets.money import MOST_NANOS, NANOS_PER_USD, Nanos, format_usd, parse_usd, shown


class Usd(float):
    """An amount in US dollars as a float. The exact one is `nanos`, or as decimal text `exact`."""

    __slots__ = ("nanos",)

    # Whole billionths of a dollar.
    nanos: Nanos

    def __new__(cls, nanos: Nanos) -> Self:
        self = super().__new__(cls, nanos / NANOS_PER_USD)
        self.nanos = nanos
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (self.nanos,)

    @property
    def exact(self) -> str:
        """The amount as decimal text, never rounded."""
        return format_usd(self.nanos)


def nanos_of(value: Any, what: str) -> Nanos:
    """
    An amount that a caller gives: a number, or text as `parse_usd` reads it.

    Text, whole numbers, and decimals are taken exactly. A float is taken as the decimal text that it is
    shown as, to the nearest nano: of 0.1 + 0.2 the dirt behind the 3 is left out.

    Args:
        what: What it is, for the message: `max_budget`.

    Raises:
        InvalidValueError: it is negative, not finite, no number, above a billion dollars, or so small that
            nothing is left of it.
    """
    if isinstance(value, Usd):
        return value.nanos
    if isinstance(value, str):
        return parse_usd(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _no_amount(value, what)
    exact = Decimal(repr(float(value))) if isinstance(value, float) else Decimal(value)
    # Compared before it is multiplied: a number without end has no whole part.
    if not exact.is_finite() or not 0 <= exact <= MOST_NANOS // NANOS_PER_USD:
        raise _no_amount(value, what)
    nanos = exact * NANOS_PER_USD
    whole = int(nanos.to_integral_value(ROUND_HALF_EVEN))
    if (whole != nanos and not isinstance(value, float)) or (exact and not whole):
        raise InvalidValueError(
            f"{what} is {shown(str(value))}, which is finer than a billionth of a dollar",
            hint="give at most nine decimals",
        )
    return whole


def _no_amount(value: Any, what: str) -> InvalidValueError:
    return InvalidValueError(
        f"{what} is {shown(repr(value))}, not an amount in US dollars",
        hint="give a number from 0 to 1,000,000,000, for instance 12.50",
    )
