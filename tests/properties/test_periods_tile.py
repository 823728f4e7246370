"""
Periods tile time, for any rule, place and moment.

The oracle is `whenever`, which reads the time zone database with code of its own: it does the calendar
arithmetic, finds the transitions and resolves wall times. Nothing of `budgets.periods` goes into it but
the rule.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from whenever import Date, Instant, PlainDateTime

from budgets.clock import from_micros
from budgets.periods import Period, PeriodRule, Unit, parse_rule

ZONES = [
    "UTC",
    "Africa/Cairo",  # midnight is missing in April
    "Africa/Casablanca",  # clocks change around Ramadan, in both directions within weeks
    "Africa/Monrovia",  # 44 minutes and 30 seconds behind until 1972
    "America/Asuncion",
    "America/Caracas",  # half an hour, changed and changed back
    "America/Havana",  # midnight is missing in March and comes twice in November
    "America/New_York",
    "America/Nuuk",  # changes the evening before, behind midnight
    "America/Santiago",  # midnight is missing in September
    "America/Sao_Paulo",
    "America/St_Johns",  # turned back at 00:01
    "Antarctica/Casey",
    "Antarctica/Troll",  # two hours of summer time
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Pyongyang",
    "Asia/Tehran",
    "Atlantic/Azores",
    "Australia/Lord_Howe",  # half an hour of summer time
    "Europe/Berlin",
    "Europe/Dublin",  # summer time is the standard one
    "Europe/Lisbon",
    "Pacific/Apia",  # skipped December 30, 2011
    "Pacific/Chatham",
    "Pacific/Kiritimati",  # skipped December 31, 1994
    "Pacific/Kwajalein",  # skipped August 21, 1993
]

MICROSECOND = timedelta(microseconds=1)
FIRST, LAST = datetime(1971, 1, 1), datetime(2100, 1, 1)
UNITS: list[Unit] = ["never", "day", "week", "month", "year"]


@st.composite
def rules_and_moments(draw: st.DrawFn) -> tuple[PeriodRule, datetime]:
    """
    Any rule and any moment; half of them near a change of the clocks, where the mistakes are.

    A moment and an anchor drawn by chance alone would hardly ever meet one.
    """
    zone = draw(st.sampled_from(ZONES))
    unit = draw(st.sampled_from(UNITS))
    every = 1 if unit == "never" else draw(st.integers(1, 24))
    moment = draw(st.datetimes(FIRST, LAST, timezones=st.just(UTC)))
    anchor = draw(st.none() | st.datetimes(datetime(1950, 1, 1), LAST))
    if draw(st.booleans()):
        change = Instant(moment).to_tz(zone).next_transition()
        if change is not None and change.year < LAST.year:
            near = st.timedeltas(-timedelta(hours=2), timedelta(hours=2)) | st.sampled_from(
                [timedelta(0), -MICROSECOND, MICROSECOND, timedelta(days=1), -timedelta(days=1)]
            )
            moment = change.to_instant().to_stdlib() + draw(near)
            # What the clocks show around the change, in whole minutes: often the missing hour itself.
            shown = change.to_plain().to_stdlib() + timedelta(minutes=draw(st.integers(-90, 30)))
            if draw(st.booleans()):
                anchor = shown
            elif draw(st.booleans()):
                every, anchor = 1, None
    if unit == "never":
        anchor = None
    return PeriodRule(every, unit, zone, anchor), moment


def first_instant(wall: PlainDateTime, zone: str) -> Instant:
    """The first instant at which the clocks of *zone* show *wall* or later, as `whenever` has it."""
    earlier = wall.assume_tz(zone, disambiguation="earlier")
    if earlier.to_plain() == wall:
        return earlier.to_instant()
    # The wall time is skipped, and `whenever` has moved it back to before the change that skips it.
    # A transition may also change the name of the time only and leave the clocks alone.
    change = earlier.next_transition()
    while change is not None and change.offset <= earlier.offset:
        change = change.next_transition()
    assert change is not None
    return change.to_instant()


def oracle(rule: PeriodRule, moment: datetime) -> Period:
    """The period by brute force: all starts around *moment*, the last not after it, the first after it."""
    anchor = PlainDateTime(rule.anchor) if rule.anchor else PlainDateTime(1900, 1, 1)
    day = Instant(moment).to_tz(rule.timezone).date()
    length = {"day": 1.0, "week": 7.0, "month": 30.4369, "year": 365.2425}[rule.unit] * rule.every
    near = round((day.to_stdlib() - anchor.date().to_stdlib()).days / length)
    starts: set[datetime] = set()
    for k in range(near - 4, near + 5):
        if rule.unit in ("month", "year"):
            months = k * rule.every * (12 if rule.unit == "year" else 1)
            start_day: Date = anchor.date().add(months=months)
        else:
            start_day = anchor.date().add(days=k * rule.every * (7 if rule.unit == "week" else 1))
        starts.add(first_instant(start_day.at(anchor.time()), rule.timezone).to_stdlib())
    return Period(max(s for s in starts if s <= moment), min(s for s in starts if s > moment))


@settings(deadline=None, max_examples=300)
@given(rules_and_moments())
def test_every_moment_is_in_one_period_and_periods_touch(drawn: tuple[PeriodRule, datetime]) -> None:
    rule, moment = drawn
    period = rule.period_at(moment)
    assert period.contains(moment)
    # Long periods reach back before 1970, where no moment can be asked about.
    if period.start >= from_micros(0):
        assert rule.period_at(period.start) == period
    if period.start > from_micros(0):
        before = rule.period_at(period.start - MICROSECOND)
        assert before.end == period.start
    if period.end is not None:
        assert period.start < period.end
        assert rule.period_at(period.end - MICROSECOND) == period
        assert rule.period_at(period.end).start == period.end


@settings(deadline=None, max_examples=300)
@given(rules_and_moments())
def test_periods_agree_with_whenever(drawn: tuple[PeriodRule, datetime]) -> None:
    rule, moment = drawn
    assume(rule.unit != "never")
    assert rule.period_at(moment) == oracle(rule, moment)


@settings(deadline=None, max_examples=200)
@given(rules_and_moments(), st.timedeltas(timedelta(0), timedelta(days=800)))
def test_a_later_moment_is_never_in_an_earlier_period(
    drawn: tuple[PeriodRule, datetime], later: timedelta
) -> None:
    rule, moment = drawn
    first, second = rule.period_at(moment), rule.period_at(moment + later)
    assert first == second or (first.end is not None and first.end <= second.start)


@settings(deadline=None, max_examples=100)
@given(rules_and_moments())
def test_words_are_read_back(drawn: tuple[PeriodRule, datetime]) -> None:
    rule, _ = drawn
    assert parse_rule(rule.words(), timezone=rule.timezone, anchor=rule.anchor) == rule
