"""
`/get_budget` and `/set_budget`, as LiteLLM's own `BudgetManager(client_type="hosted")` speaks them.

The client is at https://github.com/BerriAI/litellm/blob/main/litellm/budget_manager.py: it raises whatever
has another status than 200, so a project that is not there is 200 and `{"status": "error"}`. It joins
its base address and the path, so there may be two slashes. Figures are JSON numbers here and only here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import partial
from typing import Any

from aiohttp import web

from budgets import rules
from budgets.clock import from_micros, to_micros
from budgets.engine.merging import Said, Told
from budgets.errors import BudgetError, InvalidValueError
from budgets.money import MOST_NANOS, NANOS_PER_USD, Nanos, shown
from budgets.server.access import allow_project
from budgets.server.clients import client_of
from budgets.server.doors import call
from budgets.server.problems import problem, status_of
from budgets.server.requests import ENGINES, METRICS, json_object, principal

_MICROS_PER_SECOND = 1_000_000
# Of a moment that a client names; a period's start can be no later.
_LAST = to_micros(datetime(9000, 1, 1, tzinfo=UTC))
_LONGEST_DAYS = 36_500


def routes() -> list[web.RouteDef]:
    """The routes of this file."""
    return [web.post("/{slash:/*}get_budget", get_budget), web.post("/{slash:/*}set_budget", set_budget)]


async def get_budget(request: web.Request) -> web.Response:
    """A project's whole dictionary, as far as the key may see it."""
    project = _project(await json_object(request))
    who = principal(request)
    allow_project(who, project)
    engine = await call(request.app[ENGINES].known, project)
    told = None
    if engine is not None:
        client = client_of(request, asks=True)
        told = await call(engine.tell, client, may_see=partial(who.may, "read"))
    if told is None:
        return web.json_response({"status": "error", "message": f"there is no project {project}"})
    return web.json_response({"status": "success", "data": {each.user: _record(each) for each in told}})


async def set_budget(request: web.Request) -> web.Response:
    """Takes a whole dictionary in; what it says of one user does not hinder the others."""
    body = await json_object(request)
    project = _project(body)
    who = principal(request)
    allow_project(who, project)
    records = body.get("user_dict")
    if not isinstance(records, dict):
        raise InvalidValueError("there is no user_dict", hint="send every user's record by name")
    users: dict[str, Said] = {}
    refused: dict[str, BudgetError] = {}
    for user, record in records.items():
        try:
            users[rules.check_name(user)] = said(record)
        except InvalidValueError as error:
            refused[user] = error
    engine = await call(request.app[ENGINES].of, project)
    merged = await call(
        engine.merge,
        client_of(request),
        users,
        may_shape=partial(who.may, "admin"),
        may_charge=partial(who.may, "meter"),
    )
    for receipt in merged.receipts:
        request.app[METRICS].booked(receipt)
    refused |= merged.refused
    if not refused:
        return web.json_response({"status": "success"})
    first = next(iter(refused.values()))
    return problem(
        status_of(first),
        first.code,
        first.message,
        hint=first.hint,
        refused={user: error.message for user, error in refused.items()},
    )


def said(record: Any) -> Said:
    """
    What one user's record says; a field that is missing says nothing.

    Raises:
        InvalidValueError: a field cannot be meant.
    """
    if not isinstance(record, Mapping):
        raise InvalidValueError(
            "a user's record is not a JSON object", hint='for instance {"total_budget": 10}'
        )
    models = record.get("model_cost")
    if models is not None and not isinstance(models, Mapping):
        raise InvalidValueError("model_cost is not a JSON object", hint='for instance {"gpt-4o-mini": 0.01}')
    since = _moment(record, "last_updated_at")
    created_at = _moment(record, "created_at")
    return Said(
        total_nanos=_nanos(record, "total_budget"),
        days=_days(record.get("duration")),
        created_at=created_at if created_at is not None else since,
        since=to_micros(since) if since is not None else 0,
        spent_nanos=_nanos(record, "current_cost"),
        models=None
        if models is None
        else {
            rules.check_name(model, "a model's name"): _nanos(models, model) or 0 for model in models if model
        },
    )


def _record(told: Told) -> dict[str, Any]:
    """A user's record with the fields that the client writes itself, and no others: it sends them back."""
    record: dict[str, Any] = {"total_budget": _usd(told.total_nanos)}
    if told.days is not None:
        record["duration"] = told.days
        record["created_at"] = to_micros(told.created_at) / _MICROS_PER_SECOND
        record["last_updated_at"] = to_micros(told.since) / _MICROS_PER_SECOND
    if told.spent_nanos:
        record["current_cost"] = _usd(told.spent_nanos)
        record["model_cost"] = {model: _usd(nanos) for model, nanos in told.models.items()}
    return record


def _usd(nanos: Nanos) -> int | float:
    """The nearest JSON number; whole dollars without a point, as the client writes them."""
    return nanos // NANOS_PER_USD if nanos % NANOS_PER_USD == 0 else nanos / NANOS_PER_USD


def _project(body: Mapping[str, Any]) -> str:
    name = body.get("project_name")
    if not isinstance(name, str):
        raise InvalidValueError("there is no project_name", hint='for instance {"project_name": "website"}')
    return rules.check_name(name, "a project's name")


def _nanos(record: Mapping[str, Any], name: str) -> Nanos | None:
    """
    A figure to the nearest nano; `None` where it is missing.

    The client adds floats up, so the last digits of a sum are chance. A whole sum is rounded each time it
    comes, and never a part of it, so no error adds up.
    """
    value = record.get(name)
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | Decimal)
        or not 0 <= value * NANOS_PER_USD <= MOST_NANOS
    ):
        raise InvalidValueError(
            f"{shown(name)} is not an amount in US dollars",
            hint="give a number from 0 to 1,000,000,000",
        )
    return int((Decimal(value) * NANOS_PER_USD).to_integral_value(ROUND_HALF_EVEN))


def _moment(record: Mapping[str, Any], name: str) -> datetime | None:
    value = record.get(name)
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | Decimal)
        or not 0 <= value * _MICROS_PER_SECOND <= _LAST
    ):
        raise InvalidValueError(
            f"{name} is not a moment", hint="give seconds since 1970, for instance 1795322895.5"
        )
    return from_micros(int((Decimal(value) * _MICROS_PER_SECOND).to_integral_value(ROUND_HALF_EVEN)))


def _days(value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= _LONGEST_DAYS:
        raise InvalidValueError(
            "duration is not a number of days", hint=f"give a whole number from 1 to {_LONGEST_DAYS:,}"
        )
    return value
