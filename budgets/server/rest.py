"""
The REST API, for `curl` and for programs in any language: one table of routes.

The table registers the routes, and OpenAPI and the reference page are written from it, so they cannot drift.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from aiohttp import web

from budgets import rules, wire
from budgets.engine import Change, Engine, LimitTerms
from budgets.errors import InvalidValueError
from budgets.operations import Action, Holder
from budgets.periods import PeriodRule, parse_rule
from budgets.records import ROOT, Charge, Path, Process
from budgets.server.access import allow, allow_project, sees_all
from budgets.server.documents import (
    BudgetDocument,
    BudgetPage,
    BudgetTerms,
    ChargeDocument,
    ChargeTerms,
    EntryDocument,
    EntryPage,
    HoldDocument,
    HoldTerms,
    NewLimitTerms,
    ReleaseTerms,
    ResetTerms,
    SettleTerms,
)
from budgets.server.doors import call
from budgets.server.operating import Clients
from budgets.server.principals import Principal
from budgets.server.requests import ENGINES, METRICS, PRINCIPAL, body_of

_MOST_BYTES: Final = 1024 * 1024
_USUAL_COUNT, _MOST_COUNT = 100, 500

Method: TypeAlias = Literal["GET", "PUT", "POST", "DELETE"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, read."""

    engine: Engine
    principal: Principal
    clients: Clients
    # The name in the path: a user's, or a call's id; empty for the project.
    name: str
    # The limit that the path names; empty where it names none.
    limit: str
    # The body, as the route's `takes` has it.
    terms: Any
    query: Mapping[str, str]

    def allow(self, action: Action, user: str) -> None:
        """
        Let pass who may do that to the user's budget.

        Raises:
            AccessDeniedError: the key may not.
            UnknownUserError: the user has no budget.
        """
        if user == ROOT:
            path: Path = (ROOT,)
        else:
            path = (user, ROOT) if sees_all(self.principal) else self.engine.path(user)
        allow(self.principal, action, path)

    def allow_call(self, action: Action) -> None:
        """The same for whose call the path names."""
        self.allow(action, self.engine.path_of(self.name)[0])

    def count(self) -> int:
        """
        How many the caller wants.

        Raises:
            InvalidValueError: it is no number, or too many.
        """
        text = self.query.get("count", str(_USUAL_COUNT))
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MOST_COUNT):
            raise InvalidValueError(
                f"count is from 1 to {_MOST_COUNT}", hint="ask for one page after the other"
            )
        return int(text)


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path."""

    method: Method
    path: str
    # Its id in OpenAPI.
    name: str
    # What it does, in one sentence.
    says: str
    # What a key must allow.
    action: Action
    handle: Callable[[Asked], Any]
    # Records: of the answer, and of the body where there is one.
    answers: Any
    takes: Any = None
    # Beside `project`: name -> what it is.
    query: tuple[tuple[str, str], ...] = ()


def _budgets(asked: Asked) -> BudgetPage:
    asked_for, after = asked.count(), asked.query.get("after", "")
    names = [name for name in asked.engine.users() if name > after]
    if not sees_all(asked.principal):
        names = [name for name in names if asked.principal.may("read", asked.engine.path(name))]
    page = names[:asked_for]
    return BudgetPage(
        tuple(BudgetDocument.of(asked.engine.status(name)) for name in page),
        page[-1] if len(names) > len(page) else None,
    )


def _budget(asked: Asked) -> BudgetDocument:
    asked.allow("read", asked.name)
    return BudgetDocument.of(asked.engine.status(asked.name))


def _put(asked: Asked) -> BudgetDocument:
    engine, user, terms = asked.engine, asked.name, asked.terms
    if terms.parent is not None:
        asked.allow("admin", terms.parent)
    existing = engine.budget(user)
    if existing is None and user != ROOT:
        allow(asked.principal, "admin", (user, *(engine.path(terms.parent) if terms.parent else (ROOT,))))
        if terms.total_nanos is None and (terms.every or terms.timezone):
            raise InvalidValueError("there is no limit whose period that could be", hint="give total_usd too")
        rule = parse_rule(terms.every or "never", timezone=terms.timezone or "UTC")
        limits = () if terms.total_nanos is None else (LimitTerms(terms.total_nanos, rule),)
        # Another request may have made it meanwhile; then this one changes it.
        engine.create(user, *limits, parent=terms.parent or ROOT, if_missing=True)
    else:
        asked.allow("admin", user)
    current = existing.primary.rule if existing is not None and existing.primary is not None else None
    engine.change(
        user,
        Change(
            total_nanos=terms.total_nanos,
            rule=_rule(terms, current),
            parent=terms.parent,
            frozen=terms.frozen,
            archived=terms.archived,
            timezone=terms.timezone if existing is not None else None,
        ),
    )
    return BudgetDocument.of(engine.status(user))


def _rule(terms: BudgetTerms, current: PeriodRule | None) -> PeriodRule | None:
    """The rule that is wanted; `None`: it stays, with its anchor where it has one."""
    if terms.every is None:
        return None
    if current is None:
        return parse_rule(terms.every, timezone=terms.timezone or "UTC")
    wanted = parse_rule(terms.every, timezone=terms.timezone or current.timezone)
    return None if wanted.words() == current.words() else wanted


def _add_limit(asked: Asked) -> BudgetDocument:
    asked.allow("admin", asked.name)
    terms = asked.terms
    limit = LimitTerms(terms.total_nanos, parse_rule(terms.every, timezone=terms.timezone))
    asked.engine.change(asked.name, Change(add=(limit,)), change_id=terms.id)
    return BudgetDocument.of(asked.engine.status(asked.name))


def _drop_limit(asked: Asked) -> BudgetDocument:
    asked.allow("admin", asked.name)
    asked.engine.change(asked.name, Change(drop=(asked.limit,)))
    return BudgetDocument.of(asked.engine.status(asked.name))


def _reset(asked: Asked) -> BudgetDocument:
    asked.allow("admin", asked.name)
    asked.engine.reset(asked.name, change_id=asked.terms.id)
    return BudgetDocument.of(asked.engine.status(asked.name))


def _charge(asked: Asked) -> ChargeDocument:
    asked.allow("meter", asked.name)
    terms = asked.terms
    cost = Charge(terms.nanos, terms.model, how="amount", note=terms.note)
    return ChargeDocument.of(asked.engine.charge(asked.name, cost, charge_id=terms.id, at=terms.at))


def _hold(asked: Asked) -> HoldDocument:
    asked.allow("meter", asked.name)
    terms = asked.terms
    call_id = terms.id or asked.engine.new_id("call")
    # Nobody renews it but the same request made again, so each hold has a lease of its own.
    holder = Holder(f"http.{call_id}", Process("a client over HTTP", 0, ""))
    engine = asked.clients.engine(asked.engine, holder, asked.principal)
    held = engine.hold(asked.name, terms.nanos, model=terms.model, hold_id=call_id)
    if terms.id is not None:
        engine.renew_lease()
    return HoldDocument.of(held)


def _settle(asked: Asked) -> ChargeDocument:
    asked.allow_call("meter")
    return ChargeDocument.of(asked.engine.settle_amount(asked.name, asked.terms.nanos, note=asked.terms.note))


def _release(asked: Asked) -> EntryDocument:
    asked.allow_call("meter")
    return EntryDocument.of(asked.engine.release(asked.name, reason=asked.terms.reason))


def _entries(asked: Asked) -> EntryPage:
    asked.allow("read", asked.name)
    count = asked.count()
    found = asked.engine.history(asked.name, before=asked.query.get("before"), count=count + 1)
    page = found[:count]
    return EntryPage(tuple(map(EntryDocument.of, page)), page[-1].id if len(found) > len(page) else None)


_COUNT = ("count", f"How many, from 1 to {_MOST_COUNT}; {_USUAL_COUNT} where it is not said.")

_OF_BUDGETS: Final[tuple[Route, ...]] = (
    Route(
        "GET",
        "/v1/budgets/{user}",
        "get_budget",
        "One budget: its limits now, and what is left over its whole path.",
        "read",
        _budget,
        BudgetDocument,
    ),
    Route(
        "PUT",
        "/v1/budgets/{user}",
        "put_budget",
        "Make a budget, or change the one that is there. Safe to repeat.",
        "admin",
        _put,
        BudgetDocument,
        BudgetTerms,
    ),
    Route(
        "POST",
        "/v1/budgets/{user}/reset",
        "reset_budget",
        "Open a new period of every limit of the budget now. With an id it is safe to repeat.",
        "admin",
        _reset,
        BudgetDocument,
        ResetTerms,
    ),
    Route(
        "POST",
        "/v1/budgets/{user}/limits",
        "add_limit",
        "Add a limit beside those that are there. With an id it is safe to repeat.",
        "admin",
        _add_limit,
        BudgetDocument,
        NewLimitTerms,
    ),
    Route(
        "DELETE",
        "/v1/budgets/{user}/limits/{limit}",
        "drop_limit",
        "Take a limit away; what was charged stays.",
        "admin",
        _drop_limit,
        BudgetDocument,
    ),
    Route(
        "GET",
        "/v1/budgets/{user}/entries",
        "list_entries",
        "What was written down for the user and those below, the latest first.",
        "read",
        _entries,
        EntryPage,
        query=(("before", "Only entries written before the one of this id."), _COUNT),
    ),
)


def _of_project(route: Route) -> Route:
    """The same of the project's own budget, which every call of the project must fit."""
    return replace(
        route,
        path=route.path.replace("/v1/budgets/{user}", "/v1/project"),
        name=f"project_{route.name}",
        says=f"The project's own budget: {route.says[0].lower()}{route.says[1:]}",
    )


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "GET",
        "/v1/budgets",
        "list_budgets",
        "Every user's budget that the key may see, by name.",
        "read",
        _budgets,
        BudgetPage,
        query=(("after", "Only users whose names come after this one."), _COUNT),
    ),
    *_OF_BUDGETS,
    *map(_of_project, _OF_BUDGETS),
    Route(
        "POST",
        "/v1/budgets/{user}/charges",
        "charge",
        "Record a cost after the fact. With an id it is safe to repeat.",
        "meter",
        _charge,
        ChargeDocument,
        ChargeTerms,
    ),
    Route(
        "POST",
        "/v1/budgets/{user}/holds",
        "hold",
        "Set aside the most that a call can cost, or refuse it. The hold lasts two minutes unless it is asked"
        " for again with its id; then it counts on as unconfirmed.",
        "meter",
        _hold,
        HoldDocument,
        HoldTerms,
    ),
    Route(
        "POST",
        "/v1/holds/{id}/settle",
        "settle",
        "Charge what a held call did cost, however much, and let its hold go. Safe to repeat.",
        "meter",
        _settle,
        ChargeDocument,
        SettleTerms,
    ),
    Route(
        "POST",
        "/v1/holds/{id}/release",
        "release",
        "Let a hold go because its call cost nothing. Safe to repeat.",
        "meter",
        _release,
        EntryDocument,
        ReleaseTerms,
    ),
)


def routes() -> list[web.RouteDef]:
    """The routes of this file."""
    clients = Clients()
    return [web.route(each.method, each.path, _handler(each, clients)) for each in ROUTES]


def _handler(route: Route, clients: Clients) -> Callable[[web.Request], Any]:
    async def handle(request: web.Request) -> web.Response:
        terms = None
        if route.takes is not None:
            terms = _terms(route.takes, await body_of(request, at_most=_MOST_BYTES))
        unknown = sorted(set(request.query) - {"project", *(name for name, _ in route.query)})
        if unknown:
            raise InvalidValueError(f"there is no parameter {unknown[0]}", hint="see /openapi.json")
        project = rules.check_name(request.query.get("project", "default"), "a project's name")
        principal = request[PRINCIPAL]
        allow_project(principal, project)
        named = request.match_info
        name, limit = named.get("user") or named.get("id", ""), named.get("limit", "")

        def answer() -> tuple[bytes, Any]:
            engine = request.app[ENGINES].of(project)
            found = route.handle(Asked(engine, principal, clients, name, limit, terms, request.query))
            return json.dumps(wire.encode(route.answers, found)).encode(), found

        body, found = await call(answer)
        request.app[METRICS].booked(found)
        return web.Response(body=body, content_type="application/json")

    return handle


def _terms(kind: Any, body: bytes) -> Any:
    """
    The body as a record. An empty one says nothing, which is enough where nothing has to be said.

    Raises:
        InvalidValueError: it cannot be meant.
    """
    try:
        return wire.decode(kind, json.loads(body or b"{}"), strict=True)
    except InvalidValueError:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidValueError(
            f"the body cannot be meant: {error}", hint="/openapi.json says what each request takes"
        ) from error
