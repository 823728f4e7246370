"""
Which period a moment falls in: never, or every so many days, weeks, months or years of a place's calendar.

Period *k* starts at the anchor plus *k* steps, counted on the wall calendar of the rule's time zone and
only then turned into UTC. Nothing is counted from the period before, so a rule from January 31 gives
February 28 and March 31, and no mistake is carried on.
A period starts at the first instant at which the place's clocks show its wall time or a later one: the
end of the gap where midnight is missing, the earlier of two where the hour comes twice. Starts therefore
never go backwards, and periods tile time without gaps or overlaps.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from budgets.clock import aware_utc
from budgets.errors import InvalidValueError
from budgets.money import shown

Unit: TypeAlias = Literal["never", "day", "week", "month", "year"]

# The first moment that can be recorded, and the start of the period that never ends.
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
# A period lasts at most a century, so everything up to here can be reckoned without leaving `datetime`.
_TOO_LATE: Final = datetime(9000, 1, 1, tzinfo=UTC)
# A Monday and a January 1st at once: from here days, weeks, months, quarters and years, and every n of
# them, line up with the calendar. A wall time, so without a zone.
_ALIGNED: Final = datetime(1900, 1, 1)  # noqa: DTZ001
# A century of each.
_MOST: Final[dict[Unit, int]] = {"never": 1, "day": 36_525, "week": 5_217, "month": 1_200, "year": 100}


# Up to three parts of plain letters: no dots and no leading slash, so a name is never a path.
_ZONE_NAME = re.compile(r"[A-Za-z0-9_+-]{1,32}(?:/[A-Za-z0-9_+-]{1,32}){0,2}")
_OFFSET_NAME = re.compile(r"(?:utc|gmt)?\s*[+-]?[0-9].*", re.IGNORECASE)
# In the database's folder, and still no zone to count in: another one on every machine, with leap
# seconds, or a second copy.
_NO_ZONES = frozenset({"localtime", "posixrules", "right", "posix"})


@cache
def find_zone(name: str) -> tzinfo:
    """
    The time zone of an IANA name, for instance `Europe/Berlin`. Capitals matter.

    Raises:
        InvalidValueError: no such zone; the hint names the nearest ones.
    """
    if name == "UTC":
        return UTC
    if not _ZONE_NAME.fullmatch(name) or name.partition("/")[0] in _NO_ZONES:
        raise _no_zone(name)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, IsADirectoryError, NotADirectoryError):
        # No such file, a file of another kind, a folder such as `Europe`, or a name below a zone's.
        raise _no_zone(name) from None


def _no_zone(name: str) -> InvalidValueError:
    known = sorted(available_timezones() - _NO_ZONES)
    nearest = _nearest(name, known)
    if not known:
        hint = "this system has no time zone database: pip install tzdata, or use UTC"
    elif nearest:
        hint = f"did you mean {' or '.join(nearest)}?"
    else:
        hint = "give the IANA name of a zone, for instance Europe/Berlin or America/New_York"
    return InvalidValueError(f"{shown(name)} is not a time zone", hint=hint, nearest=nearest)


def _nearest(name: str, known: list[str]) -> list[str]:
    """Up to three known zones that *name* may mean: a slip of the keys, a city, other capitals."""
    # An offset is no place, and `Etc/GMT+2`, which looks most like UTC+2, is four hours away from it.
    if _OFFSET_NAME.fullmatch(name):
        return []
    from difflib import get_close_matches  # only on the way to a refusal

    spellings = {zone.rpartition("/")[2].lower(): zone for zone in reversed(known)}
    spellings |= {zone.lower(): zone for zone in known}
    wanted = name[:64].lower().replace(" ", "_")
    if wanted in spellings:
        return [spellings[wanted]]
    close = get_close_matches(wanted, spellings, n=6, cutoff=0.7)
    return list(dict.fromkeys(spellings[spelling] for spelling in close))[:3]


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open stretch of time: `start <= moment < end`."""

    # Aware, UTC.
    start: datetime
    # Aware, UTC; `None`: it never ends.
    end: datetime | None

    def contains(self, moment: datetime) -> bool:
        """
        Whether *moment*, aware, falls in this period.

        Raises:
            InvalidValueError: *moment* has no time zone.
        """
        utc = aware_utc(moment)
        return self.start <= utc and (self.end is None or utc < self.end)


@dataclass(frozen=True, slots=True)
class PeriodRule:
    """
    How time is cut into periods.

    Raises:
        InvalidValueError: an unknown unit or time zone, a period under a day or over a century, an anchor
            that has a time zone of its own, or one where there is nothing to anchor.
    """

    # How many units a period lasts: 1 up to a century of them; always 1 for `never`.
    every: int
    unit: Unit
    # An IANA name. Its calendar decides when a day begins.
    timezone: str = "UTC"
    # Where one period starts, on the wall clock of `timezone`. It is the one `datetime` here that has no
    # zone, because "the 31st at 09:00" is what it means, whatever the offset is that day.
    # `None`: aligned with the calendar; weeks begin on Monday.
    anchor: datetime | None = None

    def __post_init__(self) -> None:
        if self.unit not in _MOST:
            raise InvalidValueError(f"{shown(str(self.unit))} is not a unit of time", hint=_RULE_HINT)
        if type(self.every) is not int or not 1 <= self.every <= _MOST[self.unit]:
            raise InvalidValueError(
                f"a period cannot last {self.every!r} {self.unit}s",
                hint="give a whole number from one day to a hundred years, or never",
            )
        find_zone(self.timezone)
        if self.anchor is None:
            return
        if self.unit == "never":
            raise InvalidValueError(
                "a limit that never resets has no anchor", hint="leave out the anchor, or give a period"
            )
        if self.anchor.tzinfo is not None:
            raise InvalidValueError(
                f"the anchor {self.anchor.isoformat()} has a time zone of its own",
                hint=f"give the time on the wall clock of {self.timezone}, without an offset",
            )

    def words(self) -> str:
        """The rule as a person says it: `never`, `month`, `2 weeks`. `parse_rule` reads it back."""
        return self.unit if self.every == 1 else f"{self.every} {self.unit}s"

    def period_at(self, moment: datetime) -> Period:
        """
        The period that *moment*, aware, falls in. It is never empty.

        There are periods before the anchor too, and the earliest ones start before 1970.

        Raises:
            InvalidValueError: *moment* has no time zone, or is not between the years 1970 and 8999 (UTC).
        """
        now = _recordable(moment)
        if self.unit == "never":
            return Period(BEGINNING, None)
        # The wall calendar tells which period it is but for one or two: the hour that comes twice may
        # begin a period and turn back behind it, and a place may skip a whole day.
        k = self._guess(now.astimezone(find_zone(self.timezone)).replace(tzinfo=None))
        start, end = self._start(k), self._start(k + 1)
        while now < start:
            k -= 1
            start, end = self._start(k), start
        while end <= now:
            k += 1
            start, end = end, self._start(k + 1)
        return Period(start, end)

    def _guess(self, wall: datetime) -> int:
        anchor = self.anchor or _ALIGNED
        days, months = self._step()
        if days:
            return (wall - anchor) // timedelta(days=days)
        return ((wall.year - anchor.year) * 12 + wall.month - anchor.month) // months

    def _start(self, k: int) -> datetime:
        """The start of period *k*, in UTC. Two are the same where the zone skipped the whole period."""
        anchor = self.anchor or _ALIGNED
        days, months = self._step()
        if days:
            wall = anchor + timedelta(days=k * days)
        else:
            years, month = divmod(anchor.month - 1 + k * months, 12)
            year, month = anchor.year + years, month + 1
            wall = anchor.replace(year=year, month=month, day=min(anchor.day, _last_day(year, month)))
        return _first_instant(wall, find_zone(self.timezone))

    def _step(self) -> tuple[int, int]:
        """The length of a period as days, or else as months: the two do not convert."""
        if self.unit in ("day", "week"):
            return self.every * (7 if self.unit == "week" else 1), 0
        return 0, self.every * (12 if self.unit == "year" else 1)


# Made at import, which is why UTC needs no time zone database.
NEVER: Final = PeriodRule(1, "never")


def _last_day(year: int, month: int) -> int:
    return (datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC) - timedelta(days=1)).day


def _recordable(moment: datetime) -> datetime:
    """*moment* in UTC, if it has a zone and lies in the years that can be recorded."""
    # Compared before it is converted: converting the last hours of the year 9999 overflows.
    if moment.utcoffset() is not None and not BEGINNING <= moment < _TOO_LATE:
        raise InvalidValueError(
            f"{moment.isoformat()} is outside the years 1970 to 8999",
            hint="give a moment from 1970-01-01T00:00:00Z on, for instance 2026-11-22T09:00:00Z",
        )
    return aware_utc(moment)


def _first_instant(wall: datetime, zone: tzinfo) -> datetime:
    """The first instant, in UTC, at which the clocks of *zone* show *wall* or a later time."""
    # Where the clocks are changed around *wall*, the one reading has the offset from before the change,
    # the other the one from after it; everywhere else they are the same.
    by_old = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    by_new = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if by_old <= by_new:
        return by_old
    # The clocks jump over *wall*, after `by_new` and at `by_old` at the latest. They jump on whole
    # seconds, so halving finds the very instant.
    early, late = by_new.replace(microsecond=0), by_old.replace(microsecond=0)
    while (seconds := (late - early) // timedelta(seconds=1)) > 1:
        middle = early + timedelta(seconds=seconds // 2)
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            early = middle
        else:
            late = middle
    return late


_RULE_HINT = (
    "give never, day, week, month, quarter or year, or a number of them: 2 weeks, every 3 months, 10d"
)
_RULE = re.compile(r"(?:every )?(?:(?P<every>[0-9]{1,9}) ?)?(?P<word>[a-z]+)")
_UNITS: Final[dict[str, tuple[int, Unit]]] = {
    **dict.fromkeys(("d", "day", "days"), (1, "day")),
    **dict.fromkeys(("w", "week", "weeks"), (1, "week")),
    **dict.fromkeys(("mo", "month", "months"), (1, "month")),
    **dict.fromkeys(("q", "quarter", "quarters"), (3, "month")),
    **dict.fromkeys(("y", "year", "years"), (1, "year")),
}
_ADVERBS: Final[dict[str, tuple[int, Unit]]] = {
    "never": (1, "never"),
    "daily": (1, "day"),
    "weekly": (1, "week"),
    "monthly": (1, "month"),
    "quarterly": (3, "month"),
    "yearly": (1, "year"),
    "annually": (1, "year"),
}
_TOO_SHORT = re.compile(r"h|hrs?|hours?|hourly|mins?|minutes?|minutely|s|secs?|seconds?|ms")


def parse_rule(text: str, *, timezone: str = "UTC", anchor: datetime | None = None) -> PeriodRule:
    """
    Read how often a limit resets; capitals do not matter.

    Takes `never`, `day`, `daily`, `week`, `month`, `quarterly`, `year`, `annually`, and numbers of units:
    `2 weeks`, `every 3 months`, `10d`, `2w`, `3mo`, `1y`. *timezone* and *anchor* are `PeriodRule`'s.

    Raises:
        InvalidValueError: anything else; `m`, which may be a month or a minute, among it.
    """
    plain = " ".join(text.lower().split())
    if plain in _ADVERBS:
        every, unit = _ADVERBS[plain]
        return PeriodRule(every, unit, timezone, anchor)
    found = _RULE.fullmatch(plain)
    if found is None:
        raise InvalidValueError(f"{shown(text)} is not a period", hint=_RULE_HINT)
    every, word = int(found["every"] or 1), found["word"]
    if word not in _UNITS:
        hint = _RULE_HINT
        if word == "m":
            hint = f"write {every}mo for months; the shortest period is a day"
        elif _TOO_SHORT.fullmatch(word):
            hint = "the shortest period is a day"
        raise InvalidValueError(f"{shown(text)} is not a period", hint=hint)
    times, unit = _UNITS[word]
    return PeriodRule(every * times, unit, timezone, anchor)


_WALL = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)"
    r" ?(?P<offset>Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)


def parse_anchor(text: str) -> datetime:
    """
    Read an anchor: `2026-01-31` or `2026-01-31T09:00`, the time on the wall clock of the rule's zone.

    Returns:
        A `datetime` without a zone, as `PeriodRule.anchor` wants it.

    Raises:
        InvalidValueError: no such day or time, or a time with an offset.
    """
    wall = _parse_iso(text)
    if wall.tzinfo is not None:
        raise InvalidValueError(
            f"the anchor {shown(text)} has an offset from UTC",
            hint="leave the offset out and name the zone in --timezone: an anchor is a wall-clock time there",
        )
    return wall


def parse_moment(text: str, *, timezone: str = "UTC") -> datetime:
    """
    Read a moment: `2026-11-22T09:00:00Z`, or with an offset; without one it is read in *timezone*.

    A day alone means its beginning. A wall time that comes twice means the earlier one, and one that is
    skipped the end of the gap, as for periods.

    Returns:
        The moment, aware, in UTC.

    Raises:
        InvalidValueError: no such day, time or zone, or a moment outside the years 1970 to 8999.
    """
    read, zone = _parse_iso(text), find_zone(timezone)
    if read.tzinfo is not None:
        return _recordable(read)
    # Refused first: turning the year 1 into UTC overflows.
    _recordable(read.replace(tzinfo=zone))
    return _first_instant(read, zone)


def _parse_iso(text: str) -> datetime:
    """An ISO 8601 day or time, without a zone where the text has none."""
    found = _WALL.fullmatch(text.strip().upper())
    if found is None:
        raise _no_time(text)
    try:
        return datetime.fromisoformat(f"{found['date']}T{found['time'] or '00:00'}{found['offset'] or ''}")
    except ValueError:
        # February 30 and 25:00 have the right form.
        raise _no_time(text) from None


def _no_time(text: str) -> InvalidValueError:
    return InvalidValueError(
        f"{shown(text)} is not a date or time",
        hint="give an existing day or time, for instance 2026-01-31 or 2026-01-31T09:00",
    )
