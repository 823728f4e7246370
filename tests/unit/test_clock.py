"""Moments are aware and in UTC, kept as whole microseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets.clock import FixedClock, aware_utc, from_micros, iso, to_micros, utc_now
from budgets.errors import InvalidValueError

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_the_system_time_is_aware_and_in_utc() -> None:
    assert utc_now().tzinfo is UTC


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="no time zone"):
        aware_utc(datetime(2026, 11, 22))
    with pytest.raises(InvalidValueError):
        FixedClock(datetime(2026, 11, 22))


def test_a_moment_elsewhere_is_the_same_moment() -> None:
    there = datetime(2026, 11, 22, 13, tzinfo=ZoneInfo("Europe/Berlin"))
    assert aware_utc(there) == NOON
    assert aware_utc(there).tzinfo is UTC


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(9000, 1, 1), timezones=st.just(UTC)))
def test_microseconds_lose_nothing_and_keep_the_order(moment: datetime) -> None:
    assert from_micros(to_micros(moment)) == moment
    assert to_micros(moment + timedelta(microseconds=1)) == to_micros(moment) + 1


def test_the_count_begins_in_1970() -> None:
    assert to_micros(datetime(1970, 1, 1, tzinfo=UTC)) == 0
    assert to_micros(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOON, "2026-11-22T12:00:00Z"),
        (NOON + timedelta(microseconds=5), "2026-11-22T12:00:00.000005Z"),
        (datetime(2026, 11, 22, 13, tzinfo=timezone(timedelta(hours=1))), "2026-11-22T12:00:00Z"),
    ],
)
def test_json_has_moments_in_utc(moment: datetime, text: str) -> None:
    assert iso(moment) == text
    assert datetime.fromisoformat(text) == moment


def test_a_fixed_clock_moves_only_when_told_to() -> None:
    clock = FixedClock(NOON)
    assert clock() == clock() == NOON
    clock.advance(days=1, seconds=-1)
    assert clock() == NOON + timedelta(hours=23, minutes=59, seconds=59)
    clock.set(NOON - timedelta(days=1))
    assert clock() == NOON - timedelta(days=1)
