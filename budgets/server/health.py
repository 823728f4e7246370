"""Whether the process lives, and whether its store answers."""

from __future__ import annotations

from aiohttp import web

from budgets.server.doors import call
from budgets.server.requests import ENGINES


def routes() -> list[web.RouteDef]:
    """The routes of this file."""
    return [web.get("/healthz", healthz), web.get("/readyz", readyz)]


async def healthz(_request: web.Request) -> web.Response:
    """The process answers."""
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """
    The store answers too.

    Raises:
        StoreError: it does not; the problem says why.
    """
    await call(request.app[ENGINES].store.info)
    return web.json_response({"status": "ok"})
