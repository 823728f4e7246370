"""Phrases and tables that several results share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from budgets.money import money

from .harmless import shown_name
from .results import NO_MODEL, dearest_first
from .tables import Column, Share, Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from fractions import Fraction

    from budgets.money import Nanos
    from budgets.records import BudgetStatus, Hold, Left, Limit, LimitStatus

# Prices change every few weeks; a book older than this misses some.
OLD_PRICES_DAYS = 60

# Who set an output limit -> how a person reads it.
LIMITED_BY = {
    "caller": "set by the request",
    "model": "the model's own maximum",
    "default": "the default",
    "budget": "lowered to what is left",
}


def terms(status: BudgetStatus) -> str:
    """What limits a budget, and below whom it stands: `$10.00 every month, below team-a`."""
    caps = [limit_in_period(each) for each in status.limits if each.limit.total_nanos is not None]
    parent = f", below {shown_name(status.budget.parent)}" if status.budget.parent else ""
    return (" and ".join(caps) or "no limit of its own") + parent


def limit_words(limit: Limit) -> str:
    """`$10.00 every 2 weeks`, `$10.00 in all`."""
    assert limit.total_nanos is not None, "only what limits is called a limit"
    if limit.rule.unit == "never":
        return f"{money(limit.total_nanos)} in all"
    anchor = f" from {limit.rule.anchor:%Y-%m-%d %H:%M}".removesuffix(" 00:00") if limit.rule.anchor else ""
    return f"{money(limit.total_nanos)} every {limit.rule.words()}{anchor}"


def limit_in_period(status: LimitStatus) -> str:
    """`$10.00 every month`, `$10.00 every month + $5.00 boost`."""
    boost = status.totals.boost_nanos
    return limit_words(status.limit) + (f" + {money(boost)} boost" if boost else "")


def resets(status: LimitStatus, now: datetime) -> str:
    """When a limit resets, as a sentence."""
    end = status.totals.end
    if end is None:
        return "it never resets by itself; `budget reset` opens a new period"
    return f"it resets {when_and_how_long(end, status.limit.rule.timezone, now)}"


def left_words(left: Left, user: str, now: datetime | None = None) -> str:
    """
    `$5.66 left until 2026-12-01 00:00 UTC (in 8 days), set by team-a`.

    Args:
        now: `None` leaves out until when.
    """
    if left.nanos is None:
        return "nothing limits it"
    deadline = ""
    if left.resets_at is not None and now is not None:
        deadline = f" until {when_and_how_long(left.resets_at, left.timezone, now)}"
    by = f", set by {shown_name(left.user or '')}" if left.user != user else ""
    return f"{money(left.nanos)} left{deadline}{by}"


def reset_cells(status: LimitStatus, now: datetime) -> tuple[str, str]:
    """In how long a limit resets, and when, for two columns."""
    end = status.totals.end
    if end is None:
        return "never", ""
    return until(end, now), when(end, status.limit.rule.timezone)


def part_taken(taken: Nanos, left: Nanos) -> Fraction:
    """How much of what could be taken is taken, from 0 to 1; 1 when nothing, or less than that, is left."""
    from fractions import Fraction

    return Fraction(taken, taken + left) if left > 0 else Fraction(1)


def share(taken: Nanos, left: Nanos) -> Share:
    """100% means that nothing is left, and 1% that something was taken."""
    part = part_taken(taken, left)
    return Share(100 if part >= 1 else min(99, -(-part.numerator * 100 // part.denominator)))


def models_table(models: Mapping[str, Nanos]) -> Table:
    """What was spent on which model."""
    return Table(
        (Column("MODEL"), Column("SPENT", right=True)),
        tuple((model, money(nanos)) for model, nanos in dearest_first(models)),
    )


def holds_table(holds: tuple[Hold, ...], now: datetime) -> Table:
    """Open and unconfirmed holds."""
    return Table(
        (
            Column("HOLD"),
            Column("USER"),
            Column("HELD", right=True),
            Column("STATE"),
            Column("MODEL", keep=2),
            Column("SINCE", keep=1),
            Column("", keep=3),
        ),
        tuple(
            (
                hold.id,
                shown_name(hold.user),
                money(hold.nanos),
                "unconfirmed" if hold.unconfirmed else "open",
                hold.model or NO_MODEL,
                when(hold.at, "UTC"),
                since(hold.at, now),
            )
            for hold in holds
        ),
    )


def when_and_how_long(moment: datetime, timezone: str, now: datetime) -> str:
    """`2026-12-01 00:00 UTC (in 8 days)`."""
    return f"{when(moment, timezone)} ({until(moment, now)})"


def when(moment: datetime, timezone: str) -> str:
    """A moment on the wall clock of a zone, the zone named: `2026-12-01 00:00 Europe/Berlin`."""
    from budgets.periods import find_zone

    return f"{moment.astimezone(find_zone(timezone)):%Y-%m-%d %H:%M} {timezone}"


def until(moment: datetime, now: datetime) -> str:
    """How long it is to *moment*, in the larger unit only: `in 8 days`."""
    return "now" if moment <= now else f"in {_length(moment, now)}"


def since(moment: datetime, now: datetime) -> str:
    """How long ago *moment* is: `3 hours ago`."""
    return "now" if moment >= now else f"{_length(now, moment)} ago"


def _length(later: datetime, earlier: datetime) -> str:
    seconds = int((later - earlier).total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        # A day and a half is said in hours: "in 1 day" would be far off.
        if seconds >= 2 * size or (unit != "day" and seconds >= size):
            number = seconds // size
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return "less than a minute"
