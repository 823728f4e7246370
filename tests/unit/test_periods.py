"""Periods, where calendars are awkward: short months, clocks that change, days that do not exist."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from budgets.errors import InvalidValueError
from budgets.periods import (
    BEGINNING,
    NEVER,
    Period,
    PeriodRule,
    find_zone,
    parse_anchor,
    parse_moment,
    parse_rule,
)

MICROSECOND = timedelta(microseconds=1)


def at(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    assert moment.tzinfo is not None
    return moment.astimezone(UTC)


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


# Calendar-aligned in UTC


@pytest.mark.parametrize(
    ("rule", "moment", "start", "end"),
    [
        pytest.param("day", "2026-11-22T09:30Z", "2026-11-22", "2026-11-23", id="day"),
        pytest.param("week", "2026-11-22T09:30Z", "2026-11-16", "2026-11-23", id="week-starts-on-monday"),
        pytest.param("month", "2026-11-22T09:30Z", "2026-11-01", "2026-12-01", id="month"),
        pytest.param("month", "2026-12-31T23:59Z", "2026-12-01", "2027-01-01", id="december"),
        pytest.param("month", "2024-02-29T12:00Z", "2024-02-01", "2024-03-01", id="leap-february"),
        pytest.param("quarter", "2026-11-22T09:30Z", "2026-10-01", "2027-01-01", id="quarter"),
        pytest.param("6 months", "2026-11-22T09:30Z", "2026-07-01", "2027-01-01", id="half-year"),
        pytest.param("year", "2026-11-22T09:30Z", "2026-01-01", "2027-01-01", id="year"),
        pytest.param("10 years", "2026-11-22T09:30Z", "2020-01-01", "2030-01-01", id="decade"),
        pytest.param("2 weeks", "2026-11-22T09:30Z", "2026-11-16", "2026-11-30", id="two-weeks"),
        pytest.param("year", "1970-01-01T00:00Z", "1970-01-01", "1971-01-01", id="first-moment"),
        pytest.param("100 years", "1970-01-01T00:00Z", "1900-01-01", "2000-01-01", id="century"),
        pytest.param("100 years", "8999-12-31T23:59Z", "8900-01-01", "9000-01-01", id="last-century"),
    ],
)
def test_periods_without_an_anchor_line_up_with_the_calendar(
    rule: str, moment: str, start: str, end: str
) -> None:
    assert parse_rule(rule).period_at(at(moment)) == Period(at(f"{start}T00:00Z"), at(f"{end}T00:00Z"))


def test_every_few_weeks_are_counted_from_a_monday() -> None:
    start = parse_rule("3 weeks").period_at(at("2026-11-22T00:00Z")).start
    assert start.isoweekday() == 1
    assert (start.date() - date(1900, 1, 1)).days % 21 == 0


# Anchored


@pytest.mark.parametrize(
    ("rule", "anchor", "moment", "start", "end"),
    [
        pytest.param("month", "2026-01-31", "2026-02-01", "2026-01-31", "2026-02-28", id="31st-to-28th"),
        pytest.param("month", "2026-01-31", "2026-02-28", "2026-02-28", "2026-03-31", id="28th-to-31st"),
        pytest.param("month", "2026-01-31", "2026-04-01", "2026-03-31", "2026-04-30", id="31st-to-30th"),
        pytest.param("month", "2026-01-31", "2026-05-30", "2026-04-30", "2026-05-31", id="30th-to-31st"),
        pytest.param("month", "2026-01-31", "2028-02-29", "2028-02-29", "2028-03-31", id="leap-29th"),
        pytest.param("month", "2026-01-31", "2024-02-28", "2024-01-31", "2024-02-29", id="before-the-anchor"),
        pytest.param("month", "2026-01-31", "2026-01-30", "2025-12-31", "2026-01-31", id="just-before"),
        pytest.param("month", "2026-01-31", "2026-01-31", "2026-01-31", "2026-02-28", id="at-the-anchor"),
        pytest.param("month", "2026-12-15", "2027-01-14", "2026-12-15", "2027-01-15", id="over-new-year"),
        pytest.param("year", "2024-02-29", "2025-02-28", "2025-02-28", "2026-02-28", id="feb-29-common"),
        pytest.param("year", "2024-02-29", "2028-02-28", "2027-02-28", "2028-02-29", id="feb-29-leap"),
        pytest.param("year", "2024-02-29", "2100-03-01", "2100-02-28", "2101-02-28", id="2100-is-common"),
        pytest.param("quarter", "2026-11-30", "2027-02-28", "2027-02-28", "2027-05-30", id="quarter"),
        pytest.param("week", "2026-11-19", "2026-11-22", "2026-11-19", "2026-11-26", id="from-a-thursday"),
        pytest.param("10 days", "2026-11-19", "2026-11-18", "2026-11-09", "2026-11-19", id="ten-days-before"),
        pytest.param("10 days", "9999-12-31", "1970-01-01", "1969-12-28", "1970-01-07", id="far-anchor"),
        pytest.param("100 years", "0001-01-31", "1970-01-01", "1901-01-31", "2001-01-31", id="early-anchor"),
    ],
)
def test_period_k_starts_k_steps_from_the_anchor(
    rule: str, anchor: str, moment: str, start: str, end: str
) -> None:
    found = parse_rule(rule, anchor=wall(anchor)).period_at(at(f"{moment}T00:00Z"))
    assert found == Period(at(f"{start}T00:00Z"), at(f"{end}T00:00Z"))


def test_the_time_of_the_anchor_is_kept_to_the_microsecond() -> None:
    rule = PeriodRule(1, "month", anchor=wall("2026-01-31T09:00:00.000001"))
    edge = at("2026-02-28T09:00:00.000001Z")
    assert rule.period_at(edge).start == edge
    assert rule.period_at(edge - MICROSECOND).end == edge


# Clocks that change


@pytest.mark.parametrize(
    ("zone", "anchor", "moment", "start", "end"),
    [
        pytest.param(
            "Europe/Berlin",
            None,
            "2026-03-29T12:00Z",
            "2026-03-28T23:00Z",
            "2026-03-29T22:00Z",
            id="berlin-23h",
        ),
        pytest.param(
            "Europe/Berlin",
            None,
            "2026-10-25T12:00Z",
            "2026-10-24T22:00Z",
            "2026-10-25T23:00Z",
            id="berlin-25h",
        ),
        pytest.param(
            "America/New_York",
            None,
            "2026-03-08T12:00Z",
            "2026-03-08T05:00Z",
            "2026-03-09T04:00Z",
            id="ny-23h",
        ),
        pytest.param(
            "America/New_York",
            None,
            "2026-11-01T12:00Z",
            "2026-11-01T04:00Z",
            "2026-11-02T05:00Z",
            id="ny-25h",
        ),
        pytest.param(
            "America/New_York",
            "2026-01-01T02:30",
            "2026-03-08T06:59:59Z",
            "2026-03-07T07:30Z",
            "2026-03-08T07:00Z",
            id="ny-0230-is-missing",
        ),
        pytest.param(
            "America/New_York",
            "2026-01-01T01:30",
            "2026-11-01T06:30Z",
            "2026-11-01T05:30Z",
            "2026-11-02T06:30Z",
            id="ny-0130-comes-twice-and-the-earlier-counts",
        ),
        pytest.param(
            "Australia/Lord_Howe",
            None,
            "2026-10-04T00:00Z",
            "2026-10-03T13:30Z",
            "2026-10-04T13:00Z",
            id="lord-howe-half-an-hour-less",
        ),
        pytest.param(
            "Australia/Lord_Howe",
            "2026-01-01T02:15",
            "2026-10-03T15:30Z",
            "2026-10-03T15:30Z",
            "2026-10-04T15:15Z",
            id="lord-howe-0215-is-missing",
        ),
        pytest.param(
            "Australia/Lord_Howe",
            "2026-01-01T01:45",
            "2026-04-04T15:20Z",
            "2026-04-04T14:45Z",
            "2026-04-05T15:15Z",
            id="lord-howe-0145-comes-twice",
        ),
        pytest.param(
            "America/Santiago",
            None,
            "2026-09-06T12:00Z",
            "2026-09-06T04:00Z",
            "2026-09-07T03:00Z",
            id="santiago",
        ),
        pytest.param(
            "Africa/Cairo", None, "2026-04-24T12:00Z", "2026-04-23T22:00Z", "2026-04-24T21:00Z", id="cairo"
        ),
        pytest.param(
            "Asia/Beirut", None, "2026-03-29T12:00Z", "2026-03-28T22:00Z", "2026-03-29T21:00Z", id="beirut"
        ),
        pytest.param(
            "America/Havana", None, "2026-03-08T12:00Z", "2026-03-08T05:00Z", "2026-03-09T04:00Z", id="havana"
        ),
        pytest.param(
            "America/Havana",
            None,
            "2026-11-01T05:00Z",
            "2026-11-01T04:00Z",
            "2026-11-02T05:00Z",
            id="havana-midnight-comes-twice",
        ),
        pytest.param(
            "America/Santiago",
            "2026-01-01T00:20:00.5",
            "2026-09-06T04:00Z",
            "2026-09-06T04:00Z",
            "2026-09-07T03:20:00.5Z",
            id="inside-the-gap",
        ),
        pytest.param(
            "America/St_Johns",
            None,
            "2010-11-07T02:45Z",
            "2010-11-07T02:30Z",
            "2010-11-08T03:30Z",
            id="st-johns-turns-back-behind-midnight",
        ),
        pytest.param(
            "Antarctica/Troll",
            "2026-01-01T02:00",
            "2026-03-29T01:00Z",
            "2026-03-29T01:00Z",
            "2026-03-30T00:00Z",
            id="troll-two-hours",
        ),
        pytest.param(
            "Asia/Kathmandu",
            None,
            "2026-03-29T12:00Z",
            "2026-03-28T18:15Z",
            "2026-03-29T18:15Z",
            id="kathmandu",
        ),
        pytest.param(
            "Pacific/Kiritimati",
            None,
            "2026-03-29T09:59Z",
            "2026-03-28T10:00Z",
            "2026-03-29T10:00Z",
            id="plus-14",
        ),
    ],
)
def test_a_day_begins_when_the_clocks_of_its_place_say_so(
    zone: str, anchor: str | None, moment: str, start: str, end: str
) -> None:
    rule = PeriodRule(1, "day", zone, wall(anchor) if anchor else None)
    assert rule.period_at(at(moment)) == Period(at(start), at(end))


@pytest.mark.parametrize(
    ("zone", "last_day", "next_day"),
    [
        pytest.param("Pacific/Apia", "2011-12-29", "2011-12-31", id="apia"),
        pytest.param("Pacific/Kwajalein", "1993-08-20", "1993-08-22", id="kwajalein"),
    ],
)
def test_a_day_that_a_place_skipped_has_no_period(zone: str, last_day: str, next_day: str) -> None:
    rule = PeriodRule(1, "day", zone)
    jump = datetime.fromisoformat(next_day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    before, after = rule.period_at(jump - MICROSECOND), rule.period_at(jump)
    assert before == Period(jump - timedelta(days=1), jump)
    assert after == Period(jump, jump + timedelta(days=1))
    assert before.start.astimezone(ZoneInfo(zone)).date().isoformat() == last_day


def test_a_month_in_new_york_is_shorter_by_an_hour_in_march() -> None:
    period = PeriodRule(1, "month", "America/New_York").period_at(at("2026-03-15T00:00Z"))
    assert period == Period(at("2026-03-01T05:00Z"), at("2026-04-01T04:00Z"))


def test_the_zone_of_the_moment_does_not_matter() -> None:
    rule = PeriodRule(1, "day", "America/New_York")
    moment = at("2026-11-22T03:00Z")
    assert rule.period_at(moment.astimezone(ZoneInfo("Asia/Tokyo"))) == rule.period_at(moment)
    assert rule.period_at(moment).start.tzinfo is UTC


# Never, and moments that are refused


def test_never_is_one_period_from_1970_without_an_end() -> None:
    assert NEVER.period_at(at("2026-11-22T09:30Z")) == Period(BEGINNING, None)
    assert NEVER.period_at(BEGINNING).contains(at("8999-12-31T23:59Z"))


@pytest.mark.parametrize("rule", [NEVER, PeriodRule(1, "month", "Asia/Tokyo")], ids=["never", "month"])
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(BEGINNING - MICROSECOND, id="before-1970"),
        pytest.param(at("9000-01-01T00:00Z"), id="from-9000"),
        pytest.param(datetime.max.replace(tzinfo=timezone(-timedelta(hours=12))), id="latest"),
        pytest.param(datetime.min.replace(tzinfo=timezone(timedelta(hours=12))), id="earliest"),
    ],
)
def test_moments_that_cannot_be_recorded_are_refused(rule: PeriodRule, moment: datetime) -> None:
    with pytest.raises(InvalidValueError, match="outside the years 1970 to 8999"):
        rule.period_at(moment)


def test_the_last_moment_is_in_a_period() -> None:
    last = at("9000-01-01T00:00Z") - MICROSECOND
    assert PeriodRule(1, "month", "Pacific/Apia").period_at(last).contains(last)


@pytest.mark.parametrize("rule", [NEVER, PeriodRule(1, "month")], ids=["never", "month"])
def test_a_moment_without_a_zone_is_refused(rule: PeriodRule) -> None:
    naive = datetime(2026, 11, 22)
    with pytest.raises(InvalidValueError, match="has no time zone"):
        rule.period_at(naive)
    with pytest.raises(InvalidValueError, match="has no time zone"):
        rule.period_at(at("2026-11-22T00:00Z")).contains(naive)


def test_a_period_contains_its_start_and_not_its_end() -> None:
    period = Period(at("2026-11-01T00:00Z"), at("2026-12-01T00:00Z"))
    assert period.contains(period.start)
    assert period.contains(at("2026-12-01T00:30+01:00"))
    assert not period.contains(period.start - MICROSECOND)
    assert not period.contains(at("2026-12-01T00:00Z"))


# Rules that are refused


@pytest.mark.parametrize(
    ("every", "unit"),
    [
        pytest.param(0, "day", id="zero"),
        pytest.param(-1, "month", id="negative"),
        pytest.param(1.0, "month", id="float"),
        pytest.param(True, "month", id="bool"),
        pytest.param(2, "never", id="two-nevers"),
        pytest.param(36_526, "day", id="days-over-a-century"),
        pytest.param(5_218, "week", id="weeks-over-a-century"),
        pytest.param(1_201, "month", id="months-over-a-century"),
        pytest.param(101, "year", id="years-over-a-century"),
    ],
)
def test_a_period_lasts_from_a_day_to_a_century(every: int, unit: str) -> None:
    with pytest.raises(InvalidValueError, match="cannot last") as refused:
        PeriodRule(every, unit)  # type: ignore[arg-type]
    assert refused.value.hint == "give a whole number from one day to a hundred years, or never"


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(InvalidValueError, match='"hour" is not a unit of time'):
        PeriodRule(1, "hour")  # type: ignore[arg-type]


def test_an_anchor_with_a_zone_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="has a time zone of its own") as refused:
        PeriodRule(1, "month", "Europe/Berlin", at("2026-01-31T00:00Z"))
    assert "Europe/Berlin" in str(refused.value.hint)


def test_never_has_no_anchor() -> None:
    with pytest.raises(InvalidValueError, match="never resets has no anchor"):
        parse_rule("never", anchor=wall("2026-01-31"))


def test_rules_are_values() -> None:
    rule = parse_rule("every 2 weeks", timezone="Europe/Berlin", anchor=wall("2026-01-31"))
    assert rule == PeriodRule(2, "week", "Europe/Berlin", wall("2026-01-31"))
    assert len({rule, parse_rule("2w", timezone="Europe/Berlin", anchor=wall("2026-01-31"))}) == 1
    with pytest.raises(FrozenInstanceError):
        rule.every = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        pytest.param("Europe/Berln", "Europe/Berlin", id="slip"),
        pytest.param("europe/berlin", "Europe/Berlin", id="capitals"),
        pytest.param("berlin", "Europe/Berlin", id="city"),
        pytest.param("new york", "America/New_York", id="city-of-two-words"),
        pytest.param("utc", "UTC", id="small-utc"),
        pytest.param("right/Europe/Berlin", "Europe/Berlin", id="leap-seconds"),
        pytest.param("Europe/Berlin/Mitte", "Europe/Berlin", id="below-a-zone"),
        pytest.param("../../etc/Europe/Berlin", "Europe/Berlin", id="path-trick"),
    ],
)
def test_a_zone_that_does_not_exist_is_answered_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(InvalidValueError, match="is not a time zone") as refused:
        PeriodRule(1, "month", name)
    assert str(refused.value.hint).startswith(f"did you mean {nearest}")
    assert refused.value.values["nearest"][0] == nearest


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Mars/Phobos",
        "../etc/passwd",
        "/etc/localtime",
        "localtime",
        "posix/UTC",
        "leapseconds",
        "zone.tab",
        "a\0b",
        "UTC+2",
        "+02:00",
        "x" * 5_000,
    ],
)
def test_what_is_no_zone_is_never_opened_as_a_file(name: str) -> None:
    with pytest.raises(InvalidValueError, match="is not a time zone") as refused:
        find_zone(name)
    assert (
        refused.value.hint == "give the IANA name of a zone, for instance Europe/Berlin or America/New_York"
    )
    assert len(refused.value.message) < 100


def test_a_folder_of_zones_is_no_zone() -> None:
    with pytest.raises(InvalidValueError, match='"Europe" is not a time zone'):
        find_zone("Europe")


def test_without_a_database_the_hint_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("budgets.periods.available_timezones", set)
    with pytest.raises(InvalidValueError) as refused:
        find_zone("Europe/Atlantis")
    assert refused.value.hint == "this system has no time zone database: pip install tzdata, or use UTC"


def test_utc_needs_no_database() -> None:
    assert find_zone("UTC") is UTC


# Words


@pytest.mark.parametrize(
    ("text", "every", "unit", "words"),
    [
        ("never", 1, "never", "never"),
        ("day", 1, "day", "day"),
        ("daily", 1, "day", "day"),
        ("1d", 1, "day", "day"),
        ("10 days", 10, "day", "10 days"),
        ("week", 1, "week", "week"),
        ("Weekly", 1, "week", "week"),
        ("2w", 2, "week", "2 weeks"),
        ("2 weeks", 2, "week", "2 weeks"),
        ("MONTH", 1, "month", "month"),
        ("monthly", 1, "month", "month"),
        ("1 month", 1, "month", "month"),
        ("every month", 1, "month", "month"),
        ("every  3 months", 3, "month", "3 months"),
        ("3mo", 3, "month", "3 months"),
        ("quarter", 3, "month", "3 months"),
        ("quarterly", 3, "month", "3 months"),
        ("2 quarters", 6, "month", "6 months"),
        ("year", 1, "year", "year"),
        ("yearly", 1, "year", "year"),
        (" annually ", 1, "year", "year"),
        ("1y", 1, "year", "year"),
        ("100 years", 100, "year", "100 years"),
    ],
)
def test_a_rule_is_read_from_words_and_written_in_words(text: str, every: int, unit: str, words: str) -> None:
    rule = parse_rule(text)
    assert (rule.every, rule.unit) == (every, unit)
    assert rule.words() == words
    assert parse_rule(words) == rule


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("hourly", "the shortest period is a day"),
        ("12 hours", "the shortest period is a day"),
        ("90 min", "the shortest period is a day"),
        ("30s", "the shortest period is a day"),
        ("3m", "write 3mo for months; the shortest period is a day"),
        ("biweekly", "give never, day"),
        ("every daily", "give never, day"),
        ("every never", "give never, day"),
        ("1.5 months", "give never, day"),
        ("-1 month", "give never, day"),
        ("10", "give never, day"),
        ("١ day", "give never, day"),
        ("", "give never, day"),
        ("9" * 5_000 + " days", "give never, day"),
    ],
)
def test_what_is_no_period_is_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(InvalidValueError, match="is not a period") as refused:
        parse_rule(text)
    assert str(refused.value.hint).startswith(hint)


@pytest.mark.parametrize("text", ["0 days", "101 years", "999999999 weeks"])
def test_periods_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(InvalidValueError, match="cannot last"):
        parse_rule(text)


# Anchors and moments from text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31", datetime(2026, 1, 31)),
        ("2026-01-31T09:00", datetime(2026, 1, 31, 9)),
        ("2026-01-31 09:00:30", datetime(2026, 1, 31, 9, 0, 30)),
        (" 2026-01-31t09:00:30.25 ", datetime(2026, 1, 31, 9, 0, 30, 250_000)),
    ],
)
def test_an_anchor_is_a_wall_time(text: str, expected: datetime) -> None:
    read = parse_anchor(text)
    assert read == expected
    assert read.tzinfo is None


@pytest.mark.parametrize("text", ["2026-01-31T09:00Z", "2026-01-31T09:00+02:00", "2026-01-31 09:00 -0500"])
def test_an_anchor_with_an_offset_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError, match="has an offset from UTC") as refused:
        parse_anchor(text)
    assert "--timezone" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        pytest.param("2026-11-22T09:00:00Z", "UTC", "2026-11-22T09:00Z", id="z"),
        pytest.param("2026-11-22t09:00z", "Asia/Tokyo", "2026-11-22T09:00Z", id="z-beats-the-zone"),
        pytest.param("2026-11-22T09:00+02:00", "UTC", "2026-11-22T07:00Z", id="offset"),
        pytest.param("2026-11-22 09:00 -0500", "UTC", "2026-11-22T14:00Z", id="spaces"),
        pytest.param("2026-11-22T09:00-05", "UTC", "2026-11-22T14:00Z", id="short-offset"),
        pytest.param("2026-11-22T09:00:00.000001Z", "UTC", "2026-11-22T09:00:00.000001Z", id="microsecond"),
        pytest.param("2026-11-22", "UTC", "2026-11-22T00:00Z", id="day"),
        pytest.param("2026-11-22", "Europe/Berlin", "2026-11-21T23:00Z", id="day-in-berlin"),
        pytest.param("2026-07-22T09:00", "Europe/Berlin", "2026-07-22T07:00Z", id="summer-time"),
        pytest.param("2026-10-25T02:30", "Europe/Berlin", "2026-10-25T00:30Z", id="comes-twice"),
        pytest.param("2026-03-29T02:30", "Europe/Berlin", "2026-03-29T01:00Z", id="is-skipped"),
        pytest.param("2026-09-06", "America/Santiago", "2026-09-06T04:00Z", id="no-midnight"),
        pytest.param("1970-01-01T05:00", "Asia/Karachi", "1970-01-01T00:00Z", id="first"),
        pytest.param("8999-12-31T23:59:59-00:00", "UTC", "8999-12-31T23:59:59Z", id="last"),
    ],
)
def test_a_moment_is_read_with_its_offset_or_in_the_zone(text: str, zone: str, expected: str) -> None:
    read = parse_moment(text, timezone=zone)
    assert read == at(expected)
    assert read.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-02-30",
        "2026-13-01",
        "0000-01-01",
        "2026-11-22T25:00",
        "2026-11-22T09:00+25:00",
        "2026-11-22Z",
        "2026-11-22T09",
        "20261122",
        "2026-W47-7",
        "22.11.2026",
        "2026-11-22T09:00:00.1234567Z",
        "1795338000",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError, match="is not a date or time"):
        parse_moment(text)
    with pytest.raises(InvalidValueError, match="is not a date or time"):
        parse_anchor(text)


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("0001-01-01", "Asia/Tokyo"),
        ("0001-01-01T00:00+14:00", "UTC"),
        ("9999-12-31T23:59", "America/New_York"),
        ("9999-12-31T23:59-12:00", "UTC"),
        ("1970-01-01T04:59", "Asia/Karachi"),
        ("9000-01-01", "UTC"),
    ],
)
def test_moments_out_of_range_are_refused(text: str, zone: str) -> None:
    with pytest.raises(InvalidValueError, match="outside the years 1970 to 8999"):
        parse_moment(text, timezone=zone)


def test_an_unknown_zone_is_refused_even_where_the_text_has_an_offset() -> None:
    with pytest.raises(InvalidValueError, match="is not a time zone"):
        parse_moment("2026-11-22T09:00Z", timezone="Mars/Phobos")
