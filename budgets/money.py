"""
Money is whole nano-dollars: an `int`, 1 USD = 1,000,000,000.

Prices are finer than that (pico-dollars per unit, exact), so a cost is added up exactly and rounded
once, up, to a nano: under a tenth of a cent too much per million charges, never too little.
No float comes in or goes out here.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TypeAlias

from budgets.errors import InvalidValueError

# Whole billionths of a US dollar.
Nanos: TypeAlias = int

NANOS_PER_USD = 1_000_000_000
PICOS_PER_NANO = 1_000
PICOS_PER_USD = NANOS_PER_USD * PICOS_PER_NANO

# The largest limit or single charge: one billion dollars. Sums fit 64 bits nine times over.
MOST_NANOS: Nanos = 1_000_000_000 * NANOS_PER_USD

_DECIMALS = 9
_PLAIN = re.compile(r"\$?(?P<whole>[0-9]{1,40})(?:\.(?P<part>[0-9]{0,60}))?", re.ASCII)
_GROUPED = re.compile(r"\$?(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+)(?:\.(?P<part>[0-9]{0,60}))?", re.ASCII)

# As `format_usd` has it. Forty digits are more than any sum, and few enough to be read at once.
_WRITTEN = re.compile(r"(?P<sign>-?)(?P<whole>[0-9]{1,40})\.(?P<part>[0-9]{2,9})", re.ASCII)


def parse_usd(text: str) -> Nanos:
    """
    Read an amount in US dollars, exactly.

    Takes `10`, `12.50`, `$12.50`, `1,000.50`; from 0 to 1,000,000,000 with at most nine decimals
    (more only if they are zeros).

    Raises:
        InvalidValueError: anything else; exponents, signs, `nan` and `inf` among it.
    """
    stripped = text.strip()
    found = _PLAIN.fullmatch(stripped) or _GROUPED.fullmatch(stripped)
    if found is None:
        raise InvalidValueError(f"{shown(text)} is not an amount in US dollars", hint=_hint_for(stripped))
    whole = int(found["whole"].replace(",", ""))
    part = (found["part"] or "").rstrip("0")
    if len(part) > _DECIMALS:
        raise InvalidValueError(
            f"{shown(text)} is finer than a billionth of a dollar",
            hint="give at most nine decimals, for instance 0.000000001",
        )
    nanos = whole * NANOS_PER_USD + int(part.ljust(_DECIMALS, "0"))
    if nanos > MOST_NANOS:
        raise InvalidValueError(
            f"{shown(text)} is above $1,000,000,000, the most an amount can be",
            hint="give a smaller amount, or leave the limit out for none",
        )
    return nanos


def parse_signed_usd(text: str) -> Nanos:
    """
    Read an amount that may be taken away as well: `+0.10`, `-0.25`, `-$1,000.50`, `3`.

    Raises:
        InvalidValueError: what follows the sign is no amount.
    """
    stripped = text.strip()
    nanos = parse_usd(stripped[1:] if stripped.startswith(("+", "-")) else stripped)
    return -nanos if stripped.startswith("-") else nanos


def _hint_for(text: str) -> str:
    lowered = text.lower().lstrip("+-$")
    if text.startswith("-"):
        return "amounts are never negative: give 0 or more, for instance 12.50"
    if lowered in ("nan", "inf", "infinity", "unlimited"):
        return "give a plain number such as 12.50, or leave the limit out for none"
    if re.fullmatch(r"[0-9.]+e[+-]?[0-9]+", lowered):
        return "write the number out, for instance 0.001"
    if re.fullmatch(r"[0-9]+(?:\.[0-9]{3})*,[0-9]{1,2}", lowered):
        return "use a point for decimals and commas only between thousands, for instance 1,000.50"
    return "give a plain number such as 12.50"


def shown(text: str) -> str:
    """A person's input in quotes, cut and made harmless, for a message."""
    cut = text if len(text) <= 40 else text[:37] + "..."
    return '"' + "".join(c if c.isprintable() else "?" for c in cut) + '"'


def format_usd(nanos: Nanos) -> str:
    """
    The exact amount as decimal text: at least two decimals, never rounded.

    `12.50`, `0.0000315`, `-1.20`. `parse_usd` reads it back where it is not negative.
    """
    whole, part = divmod(abs(nanos), NANOS_PER_USD)
    decimals = f"{part:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nanos < 0 else ''}{whole}.{decimals}"


def exact_usd(picos: Fraction | int, per: int = 1) -> str:
    """
    So many pico-dollars, *per* times, in US dollars, every digit of it.

    Decimal text with at least two decimals, `0.0000003`; where the decimals have no end, a fraction: `1/3`.
    """
    usd = Fraction(picos) * per / PICOS_PER_USD
    rest, places = usd.denominator, 0
    for prime in (2, 5):
        power = 0
        while rest % prime == 0:
            rest //= prime
            power += 1
        places = max(places, power)
    if rest != 1:
        return str(usd)
    places = max(places, 2)
    whole, part = divmod(abs(usd.numerator) * 10**places // usd.denominator, 10**places)
    return f"{'-' if usd < 0 else ''}{whole}.{part:0{places}d}"


def written_usd(text: str) -> Nanos:
    """
    The inverse of `format_usd`, for what programs have written down; any size, either sign.

    Raises:
        ValueError: *text* is not as `format_usd` writes it.
    """
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError(f"{shown(text)} is no amount")
    nanos = int(found["whole"]) * NANOS_PER_USD + int(found["part"].ljust(_DECIMALS, "0"))
    return -nanos if found["sign"] else nanos


def money(nanos: Nanos) -> str:
    """The exact amount as a person reads it: `$1,000.50`, `-$0.0000315`."""
    whole, _, decimals = format_usd(abs(nanos)).partition(".")
    return f"{'-' if nanos < 0 else ''}${int(whole):,}.{decimals}"


def round_up(picos: Fraction | int) -> Nanos:
    """Pico-dollars, exact, to nano-dollars: rounded once, up."""
    return -(-picos // PICOS_PER_NANO)
