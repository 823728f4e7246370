"""
A price sheet: all of a model's prices that hold together from a day on, or at certain hours.

Both the bundled data and the owner's file are lists of these. The last one in effect counts, whole: units are
never mixed from two sheets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from fractions import Fraction

from budgets.clock import aware_utc, iso
from budgets.errors import InvalidValueError
from budgets.money import PICOS_PER_USD, shown
from budgets.pricing import STANDARD, Picos, Price
from budgets.usage import priced_for

# How the data file calls the days of a window that is not there at weekends.
WEEKDAYS = "mon-fri"
_SATURDAY = 5

_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,40})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Sheet:
    """Prices that hold together. How long depends on the other sheets."""

    # Unit -> ((above, pico-dollars for one), ...).
    rows: tuple[tuple[str, tuple[tuple[int, Picos], ...]], ...]
    starts: date | datetime | None = None
    hours: tuple[time, time] | None = None
    # The hours are those of Mondays to Fridays in UTC only.
    weekdays: bool = False

    def in_effect(self, at: datetime) -> bool:
        """Whether it holds at *at* (aware, UTC), later sheets apart."""
        if moment(self.starts) > at:
            return False
        if self.hours is None:
            return True
        if self.weekdays and at.weekday() >= _SATURDAY:
            return False
        first, end = self.hours
        now = at.time()
        return first <= now < end if first <= end else now >= first or now < end

    def prices(
        self,
        ends: date | datetime | None,
        *,
        source: str,
        checked: date | None = None,
        tier: str = STANDARD,
    ) -> tuple[Price, ...]:
        """Its rows, with the time they hold for and the service tier that they bill."""
        return tuple(
            Price(unit, picos, above, self.starts, ends, self.hours, source, checked, tier, self.weekdays)
            for unit, tiers in self.rows
            for above, picos in tiers
        )


_ALWAYS = datetime.min.replace(tzinfo=UTC)


def moment(starts: date | datetime | None) -> datetime:
    """The instant a sheet starts: a day starts at midnight UTC, and `None` always was."""
    if starts is None or isinstance(starts, datetime):
        return starts or _ALWAYS
    return datetime.combine(starts, time(), UTC)


def started(key: str, value: object) -> date | datetime | None:
    """
    A TOML day or moment, or the same in quotes, as an owner's file has it under *key*.

    Raises:
        InvalidValueError: it is neither.
    """
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
        except ValueError as error:
            raise InvalidValueError(
                f"{shown(str(value))} is not a day", hint=f'{key} = "2026-11-01"'
            ) from error
    if isinstance(value, datetime):
        return aware_utc(value)
    if value is None or isinstance(value, date):
        return value
    raise InvalidValueError(f"{key} is {value!r}", hint=f'{key} = "2026-11-01"')


def written(starts: date | datetime | None) -> str | None:
    """A day or a moment as a file and a document have it."""
    if starts is None:
        return None
    return iso(starts) if isinstance(starts, datetime) else starts.isoformat()


def day(text: str | None) -> date | None:
    """An ISO day of the data file."""
    return None if text is None else date.fromisoformat(text)


def picos_per_unit(unit: str, usd: str) -> Picos:
    """
    Dollars for so many of *unit* (`priced_for`) as decimal text -> picos for one, exact.

    Raises:
        InvalidValueError: anything but plain decimal text.
    """
    if _DECIMAL.fullmatch(usd) is None:
        raise InvalidValueError(
            f"{shown(usd)} is not a price for {unit}",
            hint='give US dollars as plain decimals in quotes, for instance "0.15"',
        )
    picos = Fraction(usd) * PICOS_PER_USD / priced_for(unit)
    return picos.numerator if picos.denominator == 1 else picos


def choose(sheets: Sequence[Sheet], at: datetime) -> int | None:
    """The place of the sheet in effect at *at*: the last that is. `None`: none has started yet."""
    return next((place for place in reversed(range(len(sheets))) if sheets[place].in_effect(at)), None)


def end_of(sheets: Sequence[Sheet], place: int) -> date | datetime | None:
    """When a later sheet takes over; a daily window has no end of its own."""
    if sheets[place].hours is not None:
        return None
    later = [each.starts for each in sheets[place + 1 :] if each.starts and each.hours is None]
    return min(later, key=moment, default=None)


def read_rows(
    usd: Mapping[str, str | Mapping[str, str]],
) -> tuple[tuple[str, tuple[tuple[int, Picos], ...]], ...]:
    """Unit -> text, or unit -> {above: text}, as the data file has them."""
    return tuple(
        (
            unit,
            tuple(
                (int(above), picos_per_unit(unit, text))
                for above, text in ({"0": tiers} if isinstance(tiers, str) else tiers).items()
            ),
        )
        for unit, tiers in usd.items()
    )
