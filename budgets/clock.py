"""
Time comes in here and nowhere else.

Inside, a moment is an aware `datetime` in UTC; stored, it is an integer count of microseconds since
1970-01-01T00:00:00Z, so that it sorts and compares as what it is.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from budgets.errors import InvalidValueError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def utc_now() -> datetime:
    """The system's time, aware, in UTC. The only place that asks for it."""
    return datetime.now(UTC)


class FixedClock:
    """A clock that moves only when told to. Call it for the time."""

    def __init__(self, now: datetime) -> None:
        self.now = aware_utc(now)

    def __call__(self) -> datetime:
        return self.now

    def set(self, now: datetime) -> None:
        """Move to *now*, forward or back."""
        self.now = aware_utc(now)

    def advance(self, **units: float) -> None:
        """Move by a `timedelta` of these units, for instance `advance(hours=1)`."""
        self.now += timedelta(**units)


def aware_utc(moment: datetime) -> datetime:
    """
    The same moment in UTC.

    Raises:
        InvalidValueError: *moment* has no time zone, so nobody knows when it is.
    """
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise InvalidValueError(
            f"{moment.isoformat()} has no time zone",
            hint="add one, for instance 2026-11-22T09:00:00Z",
        )
    return moment.astimezone(UTC)


def to_micros(moment: datetime) -> int:
    """Whole microseconds since 1970 in UTC. *moment* must be aware."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC moment of `to_micros`."""
    return _EPOCH + timedelta(microseconds=micros)


def iso(moment: datetime) -> str:
    """The form that JSON carries: `2026-11-22T09:00:00Z`, with a fraction only where there is one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
