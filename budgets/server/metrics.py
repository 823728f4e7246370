"""What this process has done, for Prometheus."""

from __future__ import annotations

from aiohttp import web

from budgets.errors import AccessDeniedError
from budgets.records import ROOT
from budgets.server.requests import METRICS, principal


def routes() -> list[web.RouteDef]:
    """The routes of this file."""
    return [web.get("/metrics", metrics)]


async def metrics(request: web.Request) -> web.Response:
    """
    What this process has done, in all projects together.

    Raises:
        AccessDeniedError: the key is for a part of a project.
    """
    if not principal(request).may("read", (ROOT,)):
        raise AccessDeniedError("metrics are about everybody", hint="use a key that is bound to nobody")
    text = "".join(f"{line}\n" for line in request.app[METRICS].lines())
    return web.Response(
        body=text.encode(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    )
