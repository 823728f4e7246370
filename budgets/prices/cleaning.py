"""Numbers of the two sources as the data file has them: decimal text for so many of a unit."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TypeAlias

# Unit -> dollars, or unit -> {tokens: dollars above so much input}.
Usd: TypeAlias = dict[str, "str | dict[str, str]"]

# Nobody asks a price of more digits than this; what has more is dirt of floats or of a division.
_MOST_DIGITS = 12
_KEPT = Context(prec=10, rounding=ROUND_HALF_EVEN)


def text(price: Decimal) -> str:
    """
    Plain decimal text, the dirt of floats taken off: `0.00000299999000000002` is `0.00000299999`.

    A number of more than twelve digits is rounded to ten, which moves it by less than a billionth of itself.

    Raises:
        ValueError: it is negative or not a number.
    """
    if not price.is_finite() or price < 0:
        raise ValueError(f"{price} is no price")
    if len(price.normalize().as_tuple().digits) > _MOST_DIGITS:
        price = _KEPT.plus(price)
    plain = format(price, "f")
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain) or "0"
