"""
LiteLLM's `user_cost.json`: one record for each user, in floats and days.

    {"ann": {"total_budget": 10, "duration": 28, "created_at": 1.79e9, "last_updated_at": 1.79e9,
             "current_cost": 4.5e-05, "model_cost": {"gpt-4o-mini": 4.5e-05}}}

`duration` is a number of days, of which 28 means a month and 365 a year, the period began at
`last_updated_at`, and what is missing was never set (litellm 1.106.2, `litellm/budget_manager.py`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from budgets.dropin.dollars import Usd, nanos_of
from budgets.errors import InvalidValueError
from budgets.money import Nanos, shown
from budgets.periods import BEGINNING, NEVER, PeriodRule, Unit
from budgets.records import BudgetStatus

# What a month and a year are in days there.
MONTH_DAYS, YEAR_DAYS = 28, 365
_NAMED: Mapping[int, tuple[int, Unit]] = {
    7: (1, "week"),
    MONTH_DAYS: (1, "month"),
    YEAR_DAYS: (1, "year"),
}
_DAYS_OF: Mapping[Unit, int] = {"day": 1, "week": 7, "month": MONTH_DAYS, "year": YEAR_DAYS}


@dataclass(frozen=True, slots=True)
class UserCost:
    """One user of such a file, in our words."""

    user: str
    total_nanos: Nanos
    rule: PeriodRule
    # When the current period began; `None`: it never ends, or nobody wrote it down.
    since: datetime | None
    # When the first one began, or the budget was made; `None`: nobody wrote it down.
    created_at: datetime | None
    # What was spent in it by model; under the empty name what no model is known of.
    models: Mapping[str, Nanos]

    @property
    def spent_nanos(self) -> Nanos:
        """All of it."""
        return sum(self.models.values())


def record_of(status: BudgetStatus) -> dict[str, Any]:
    """
    One budget as LiteLLM's class hands it out: money as floats that know the exact amount.

    Its primary limit is the one that counts. Without one `total_budget` is infinite.
    """
    record: dict[str, Any] = {"total_budget": total_of(status)}
    primary = status.primary
    if primary is None:
        return record
    rule = primary.limit.rule
    if rule.unit != "never":
        start = primary.totals.start
        anchor = rule.anchor.replace(tzinfo=UTC) if rule.anchor and rule.timezone == "UTC" else start
        record |= {
            "duration": rule.every * _DAYS_OF[rule.unit],
            "created_at": anchor.timestamp(),
            "last_updated_at": start.timestamp(),
        }
    record["current_cost"] = Usd(primary.totals.spent_nanos)
    record["model_cost"] = {model: Usd(nanos) for model, nanos in status.models.items()}
    return record


def total_of(status: BudgetStatus) -> float:
    """The amount of the primary limit, its boost included; infinite where nothing limits the user alone."""
    primary = status.primary
    room = primary.limit.room_nanos(primary.totals) if primary is not None else None
    return math.inf if room is None else Usd(room)


def says_exactly(rule: PeriodRule) -> bool:
    """Whether the file can say how long *rule*'s periods are, and is read back so."""
    if rule.unit in ("month", "year"):
        return rule.every == 1
    return rule.unit == "never" or rule.every * _DAYS_OF[rule.unit] not in (MONTH_DAYS, YEAR_DAYS)


def read_file(text: str) -> list[UserCost]:
    """
    The users of such a file, all of them or none.

    Raises:
        InvalidValueError: it is no such file; the message names the user and the field.
    """
    try:
        users = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise InvalidValueError(
            "this is no user_cost.json: it is not JSON",
            hint="LiteLLM writes it into the folder that the program ran in; a torn file cannot be read",
        ) from error
    if not isinstance(users, dict):
        raise InvalidValueError(
            "this is no user_cost.json: it is no object with a record for each user",
            hint="give the file that LiteLLM's BudgetManager wrote",
        )
    return [user_of(user, record) for user, record in users.items()]


def user_of(user: str, record: Any) -> UserCost:
    """
    One record of such a file.

    Raises:
        InvalidValueError: it is none; the message names the user and the field.
    """
    if not isinstance(record, dict) or "total_budget" not in record:
        raise _wrong(user, "total_budget", "is missing")
    days = record.get("duration")
    if days is not None and (type(days) is not int or days < 1):
        raise _wrong(user, "duration", f"is {shown(str(days))}, not a whole number of days")
    since, created_at = (_moment(user, record, field) for field in ("last_updated_at", "created_at"))
    by_model = record.get("model_cost") or {}
    if not isinstance(by_model, dict):
        raise _wrong(user, "model_cost", "is no object")
    models = {model: _nanos(user, f"model_cost of {shown(model)}", cost) for model, cost in by_model.items()}
    # What floats have lost or made up is at most a nano for each of them.
    rest = _nanos(user, "current_cost", record.get("current_cost", 0)) - sum(models.values())
    if rest > len(models):
        models[""] = models.get("", 0) + rest
    return UserCost(
        user,
        _nanos(user, "total_budget", record["total_budget"]),
        _rule_of(days, since, created_at) if days is not None else NEVER,
        since if days is not None else None,
        created_at,
        {model: nanos for model, nanos in models.items() if nanos},
    )


def _rule_of(days: int, since: datetime | None, created_at: datetime | None) -> PeriodRule:
    every, unit = _NAMED.get(days, (days, "day"))
    if since is None:
        return PeriodRule(every, unit)
    if created_at is not None:
        # Counted from the 31st, a month that began on the 28th ends on the 31st.
        rule = PeriodRule(every, unit, anchor=created_at.replace(tzinfo=None))
        if rule.period_at(since).start == since:
            return rule
    return PeriodRule(every, unit, anchor=since.replace(tzinfo=None))


def _moment(user: str, record: Mapping[str, Any], field: str) -> datetime | None:
    seconds = record.get(field)
    if seconds is None:
        return None
    if type(seconds) not in (int, float, Decimal):
        raise _wrong(user, field, "is no time in seconds since 1970")
    try:
        found = datetime.fromtimestamp(float(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        found = None
    if found is None or found < BEGINNING or found.year >= 9000:
        raise _wrong(user, field, "is no time between the years 1970 and 8999")
    return found


def _nanos(user: str, field: str, value: Any) -> Nanos:
    # The text of a cost that a float computed may be finer than a nano, and is rounded as a float is.
    given = float(value) if isinstance(value, Decimal) else value
    if isinstance(given, float) and 0 < given < 1e-9:
        return 0
    try:
        return nanos_of(given, field)
    except InvalidValueError as error:
        raise _wrong(user, field, f"is {shown(str(value))}, not an amount", error.hint) from error


def _wrong(user: str, field: str, problem: str, hint: str | None = None) -> InvalidValueError:
    return InvalidValueError(
        f"the record of {shown(user)}: {field} {problem}",
        hint=hint or "mend it in the file; nothing was taken over",
        user=user,
        field=field,
    )
