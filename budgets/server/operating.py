"""The engine's operations one by one, for `RemoteEngine`: POST /v1/engine/{operation}."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from budgets import rules
from budgets.awaiting import AwaitedEngine
from budgets.engine import Engine
from budgets.engine.reporting import PAGE
from budgets.errors import BudgetError, InvalidValueError
from budgets.operations import HOLDER, NAMES, Holder, Operation, operation
from budgets.server.access import allow_operation, allow_project, seen, sees_all
from budgets.server.doors import call
from budgets.server.principals import Principal
from budgets.server.requests import ENGINES, METRICS, PRINCIPAL, body_of
from budgets.writer import Writer

# Counts and ids: a call's terms are a few hundred bytes.
_MOST_BYTES: Final = 1024 * 1024

# Engines that speak for a client are kept for so many; one that is made again only renews its lease sooner.
_MOST_CLIENTS: Final = 10_000


# The steps of a call. They need not wait for a thread: the loop hands them to the writer itself.
_STEPS: Final = frozenset({"hold", "settle", "release", "doubt", "charge"})


def routes() -> list[web.RouteDef]:
    """The routes of this file."""
    clients = Clients()
    awaited: dict[str, AwaitedEngine] = {}

    async def operate(request: web.Request) -> web.Response:
        name = request.match_info["operation"]
        if name not in NAMES:
            raise web.HTTPNotFound
        asked = operation(name)
        arguments = _arguments(asked, await body_of(request, at_most=_MOST_BYTES))
        project = rules.check_name(request.query.get("project", "default"), "a project's name")
        principal = request[PRINCIPAL]
        allow_project(principal, project)
        engine = (
            awaited[project].engine if project in awaited else await call(request.app[ENGINES].of, project)
        )
        if name in _STEPS and sees_all(principal) and isinstance(engine.runner, Writer):
            allow_operation(principal, asked, arguments, engine)
            if project not in awaited:
                awaited[project] = AwaitedEngine(engine)
            speaking, rest = clients.speaking(engine, arguments, principal)
            found = await awaited[project].take(asked.carry_out(speaking.steps, rest))
        else:
            found = await call(_found, engine, clients, principal, asked, arguments)
        request.app[METRICS].booked(found)
        return _response(asked, found)

    return [web.post("/v1/engine/{operation}", operate)]


class Clients:
    """
    An engine for each client, so that its holds live as long as the client renews its own lease.

    Safe to use from any thread.
    """

    def __init__(self) -> None:
        self._engines: OrderedDict[tuple[str, str], Engine] = OrderedDict()
        self._lock = threading.Lock()

    def engine(self, engine: Engine, holder: Holder, principal: Principal) -> Engine:
        """The engine that speaks for that client. Keys cannot renew or end each other's leases."""
        lease_id = f"{principal.id}.{holder.lease_id}" if principal.id else holder.lease_id
        key = (engine.project, rules.check_name(lease_id, "a lease's id"))
        with self._lock:
            found = self._engines.pop(key, None)
            if found is None:
                found = engine.on_behalf_of(holder.process, lease_id=lease_id)
            self._engines[key] = found
            if len(self._engines) > _MOST_CLIENTS:
                self._engines.popitem(last=False)
        return found

    def speaking(
        self, engine: Engine, arguments: Mapping[str, Any], principal: Principal
    ) -> tuple[Engine, Mapping[str, Any]]:
        """Who carries an operation out: where it names a holder, whoever speaks for that; and the rest."""
        if HOLDER.name not in arguments:
            return engine, arguments
        rest = dict(arguments)
        return self.engine(engine, rest.pop(HOLDER.name), principal), rest

    def forget(self, engine: Engine) -> None:
        """Its lease has ended; should the client come back, the lease begins again under the same id."""
        with self._lock:
            for key in [key for key, found in self._engines.items() if found is engine]:
                del self._engines[key]


def _arguments(asked: Operation, body: bytes) -> dict[str, Any]:
    try:
        arguments = asked.read(json.loads(body))
    except BudgetError:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidValueError(
            f"the request cannot be meant: {error}", hint="/openapi.json says what each one takes"
        ) from error
    if not 1 <= arguments.get("count", 1) <= PAGE:
        raise InvalidValueError(f"count is from 1 to {PAGE}", hint="ask for one page after the other")
    return arguments


def _found(
    engine: Engine, clients: Clients, principal: Principal, asked: Operation, arguments: Mapping[str, Any]
) -> Any:
    allow_operation(principal, asked, arguments, engine)
    speaking, rest = clients.speaking(engine, arguments, principal)
    found = asked.carry_out(speaking, rest)
    if asked.name == "end_lease":
        clients.forget(speaking)
    return seen(principal, asked, found, engine)


def _response(asked: Operation, found: Any) -> web.Response:
    text = json.dumps({"result": asked.result.encode(found)}, ensure_ascii=False)
    return web.Response(body=text.encode("utf-8", "replace"), content_type="application/json")
