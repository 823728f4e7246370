"""Puts the rooms of the server together: what all requests share, and the routes of each file."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from budgets.errors import BudgetError
from budgets.gateway.configured import Configuration
from budgets.server import (
    health,
    litellm,
    metrics,
    openapi,
    operating,
    problem_pages,
    proxy,
    rest,
    upkeep,
)
from budgets.server.clients import VISITORS, Visitors
from budgets.server.counters import Metrics
from budgets.server.engines import Engines
from budgets.server.guard import Guard, guarded
from budgets.server.problems import problem, problem_of
from budgets.server.requests import ENGINES, METRICS, MOST_BODY_BYTES

# Is told of each request in one line, without names, keys, or contents.
Report: TypeAlias = Callable[[str], None]

# How a route has it that slashes may be doubled.
_SLASHES = re.compile(r"^/\{slash\}")

# Each file gives its routes; a new one joins with one word.
_ROOMS = (health, metrics, openapi, operating, rest, litellm, problem_pages)

_HINT = "/openapi.json says what there is, and what each request takes"

# Requests that wait for the store at the same time; what they write is written together.
_DOORS = 64


def make_app(
    engines: Engines,
    *,
    local: bool = True,
    report: Report | None = None,
    upstreams: Configuration | None = None,
) -> web.Application:
    """
    The whole server, ready to be run. It closes *engines* when it is cleaned up.

    Args:
        local: Only this machine can reach it, so that it may be asked without a key where there is none.
        report: Gets a line for each request; `None`: nobody wants to know.
        upstreams: Where the gateway may call; `None`: there is no gateway.
    """
    counters = Metrics()
    guard = Guard(engines.store, engines.clock, local=local)
    app = web.Application(
        middlewares=[_observed(counters, report), _answered, guarded(guard, but=proxy.NAMES)],
        client_max_size=MOST_BODY_BYTES,
    )
    app[ENGINES], app[METRICS], app[VISITORS] = engines, counters, Visitors()
    for room in _ROOMS:
        app.add_routes(room.routes())
    gateway = None if upstreams is None else proxy.Proxy(engines, guard, upstreams, counters)
    if gateway is not None:
        # Last, so that no upstream stands in the way of the server's own.
        app.add_routes(gateway.routes())
    app.cleanup_ctx.append(_doors)
    if gateway is not None:
        # It ends before the engines are closed: what it knows of running calls is written down.
        app.cleanup_ctx.append(gateway.running)
    app.cleanup_ctx.append(upkeep.running)
    return app


async def _doors(app: web.Application) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_DOORS, "budgets-door"))
    yield
    await loop.run_in_executor(None, app[ENGINES].close)


def route_of(request: web.Request) -> str:
    """The route that a request took, without the names in it."""
    resource = request.match_info.route.resource
    return _SLASHES.sub("/", resource.canonical) if resource is not None else "unknown"


def _observed(counters: Metrics, report: Report | None) -> Middleware:
    @web.middleware
    async def observed(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        response = await handler(request)
        seconds = time.perf_counter() - began
        counters.answered(request.method, route_of(request), response.status, seconds)
        if report is not None:
            report(f"{request.method} {route_of(request)} {response.status} {seconds * 1_000:.1f} ms")
        return response

    return observed


@web.middleware
async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong is answered with a problem document, and never with a traceback."""
    try:
        return await handler(request)
    except BudgetError as error:
        return problem_of(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        code = {404: "no_such_page", 405: "no_such_method", 413: "too_large"}.get(error.status, "bad_request")
        allowed = {name: value for name, value in error.headers.items() if name == "Allow"}
        return problem(error.status, code, error.reason.lower(), hint=_HINT, headers=allowed)
    except Exception as error:  # noqa: BLE001 - its words may hold a prompt or a key, so they are kept back
        return problem(500, "bug", f"{type(error).__name__} (a bug; please report it)")
