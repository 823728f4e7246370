"""
The decisions, pure: which period is it, may this be held, what is left, what stands above a limit.

They exist once, here; stores keep what they decide and the engine carries it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from budgets.errors import InvalidValueError
from budgets.money import MOST_NANOS, Nanos
from budgets.records import Left, Limit, Quote, Refusal, Totals

MOST_DEPTH = 16
LONGEST_NAME = 200

# One tick of ledger time.
TICK = timedelta(microseconds=1)


class Counter(NamedTuple):
    """One limit on a path and the period of it that counts."""

    user: str
    limit: Limit
    totals: Totals


def ledger_time(now: datetime, totals: Iterable[Totals | None]) -> datetime:
    """The later of the clock and the last thing that was counted: ledger time never runs backwards."""
    moments = [now]
    for each in totals:
        if each is not None:
            moments.append(each.start)
            if each.touched_at is not None:
                moments.append(each.touched_at)
    return max(moments)


def period_for(limit: Limit, moment: datetime) -> Totals:
    """The empty period of *limit* that contains *moment*: its rule's, not reaching back past a reset."""
    period = limit.rule.period_at(moment)
    start = period.start
    if limit.reset_at is not None and start < limit.reset_at <= moment:
        start = limit.reset_at
    return Totals(limit.id, start, period.end)


def has_ended(totals: Totals, moment: datetime) -> bool:
    """Whether the period is over; periods are half-open, so it is at its very end."""
    return totals.end is not None and totals.end <= moment


def contains(totals: Totals, moment: datetime) -> bool:
    """Whether the period contains *moment*."""
    return totals.start <= moment and not has_ended(totals, moment)


def standing(limit: Limit, current: Totals | None, now: datetime) -> Totals:
    """The period that counts now: the current one, or the next where that has ended."""
    if current is not None and not has_ended(current, now):
        return current
    opened = period_for(limit, now)
    if current is not None and current.end is not None and opened.start < current.end:
        # A newer time zone database moved an edge: what was opened stays, the next begins where it ends.
        opened = replace(opened, start=current.end)
    return opened


def gap_period(limit: Limit, moment: datetime, periods: Sequence[Totals]) -> Totals:
    """
    The period for a *moment* that no opened period contains: the rule's, cut at its opened neighbours.

    *periods* are the opened ones, oldest first.
    """
    found = period_for(limit, moment)
    start, end = found.start, found.end
    for other in periods:
        if other.start > moment:
            end = other.start if end is None else min(end, other.start)
        elif other.end is not None and other.end <= moment:
            start = max(start, other.end)
    return replace(found, start=start, end=end)


def free_nanos(counter: Counter) -> Nanos | None:
    """Limit + boost − spent − held − unconfirmed; `None` for a tally."""
    room = counter.limit.room_nanos(counter.totals)
    return None if room is None else room - counter.totals.taken_nanos


def left_over(counters: Iterable[Counter]) -> Left:
    """The least that is left over a whole path, with the name of who sets it."""
    least = Left(None)
    for counter in counters:
        free = free_nanos(counter)
        if free is not None and (least.nanos is None or free < least.nanos):
            limit = counter.limit
            least = Left(free, counter.user, limit.id, counter.totals.end, limit.rule.timezone)
    return least


def admit(user: str, counters: Sequence[Counter], needed: Nanos) -> Refusal | None:
    """
    Whether *needed* fits every limit on the path. `None`: it does.

    A call whose most is exactly 0 fits. It is `busy` when every limit in the way would have room if nothing
    were held. The refusal names the limit with the least left, among those that no waiting helps if any.
    """
    if needed == 0:
        return None
    in_the_way = [
        (needed <= free + counter.totals.held_nanos, free, index)
        for index, counter in enumerate(counters)
        if (free := free_nanos(counter)) is not None and needed > free
    ]
    if not in_the_way:
        return None
    waiting_helps, _, index = min(in_the_way)
    tightest = counters[index]
    totals = tightest.totals
    return Refusal(
        reason="busy" if waiting_helps else "exceeded",
        user=user,
        needed_nanos=needed,
        limit_user=tightest.user,
        limit_id=tightest.limit.id,
        total_nanos=tightest.limit.total_nanos or 0,
        spent_nanos=totals.spent_nanos,
        held_nanos=totals.held_nanos,
        unconfirmed_nanos=totals.unconfirmed_nanos,
        resets_at=totals.end,
        timezone=tightest.limit.rule.timezone,
        boost_nanos=totals.boost_nanos,
    )


def fitted(quote: Quote, left_nanos: Nanos | None, sharers: int = 1) -> Quote:
    """
    The quote with its output limit lowered to what is left, where that is allowed and worth it.

    The caller's own limit is never touched, and nothing below the floor is bought; then the quote comes
    back as it was and is refused or has to wait.

    Args:
        sharers: How many calls want what is left, this one among them. A part that buys less than the floor
            is made up to the floor, so that whoever is first is served.
    """
    if left_nanos is None or quote.limited_by == "caller" or quote.most_nanos <= left_nanos // sharers:
        return quote
    affordable = quote.affordable_output_tokens(left_nanos)
    if affordable is None or affordable < quote.floor:
        return quote
    share = quote.affordable_output_tokens(left_nanos // sharers)
    assert share is not None, "what costs something for the whole costs something for a part"
    bought = max(share, quote.floor)
    return quote if bought >= quote.output_limit else replace(quote, output_limit=bought, limited_by="budget")


def excess_nanos(limit: Limit, totals: Totals) -> Nanos:
    """By how much spent + held + unconfirmed stands above the limit and its boost; 0 where it does not."""
    room = limit.room_nanos(totals)
    return 0 if room is None else max(0, totals.taken_nanos - room)


def reached(limit: Limit, totals: Totals) -> list[int]:
    """
    The thresholds that what is spent has reached, rising. What is only held may still come back.

    Of a limit of nothing, the first nano reaches them all; nothing spent reaches none.
    """
    room = limit.room_nanos(totals)
    if room is None or totals.spent_nanos <= 0:
        return []
    return [percent for percent in limit.warn_at if totals.spent_nanos * 100 >= percent * room]


def check_thresholds(percents: Iterable[int]) -> tuple[int, ...]:
    """
    Whole percents from 1 to 100, each once, rising.

    Raises:
        InvalidValueError: one of them is outside.
    """
    found = sorted(set(percents))
    wrong = [each for each in found if not 1 <= each <= 100]
    if wrong:
        raise InvalidValueError(
            f"{wrong[0]}% is no threshold of a limit", hint="give whole percents from 1% to 100%"
        )
    return tuple(found)


def after_last(totals: Totals, now: datetime) -> datetime:
    """A moment strictly after everything that was counted, so that a new period cannot claim any of it."""
    last = totals.start if totals.touched_at is None else max(totals.start, totals.touched_at)
    return max(now, last + TICK)


def check_name(name: str, what: str = "a user's name") -> str:
    """
    A name, as given.

    Raises:
        InvalidValueError: it is empty, too long, or no text that can be stored.
    """
    if not name:
        raise InvalidValueError(f"{what} cannot be empty", hint="give a name, for instance --user ann")
    if len(name) > LONGEST_NAME:
        raise InvalidValueError(
            f"{what} has at most {LONGEST_NAME} characters, this one has {len(name)}",
            hint="use a shorter name or an id",
        )
    if "\x00" in name or any("\ud800" <= character <= "\udfff" for character in name):
        raise InvalidValueError(
            f"{what} cannot contain NUL or broken Unicode", hint="give the name as valid UTF-8 text"
        )
    return name


def check_amount(nanos: Nanos, what: str) -> Nanos:
    """
    An amount from 0 to $1 billion.

    Raises:
        InvalidValueError: it is outside, or no whole number of nano-dollars.
    """
    if type(nanos) is not int or not 0 <= nanos <= MOST_NANOS:
        raise InvalidValueError(
            f"{what} must be whole nano-dollars from 0 to {MOST_NANOS}", hint="read amounts with parse_usd"
        )
    return nanos
