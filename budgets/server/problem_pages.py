"""GET /problems/{code}: what the `type` of a problem document leads to."""

from __future__ import annotations

import inspect

from aiohttp import web

from budgets.errors import by_code
from budgets.server.problems import PROBLEMS_PATH, type_of


def routes() -> list[web.RouteDef]:
    """The routes of this file."""
    return [web.get(PROBLEMS_PATH + "{code}", explained)]


async def explained(request: web.Request) -> web.Response:
    """What the errors of one code mean."""
    kind = by_code().get(request.match_info["code"])
    if kind is None:
        raise web.HTTPNotFound
    says = inspect.getdoc(kind) or ""
    return web.json_response(
        {"type": type_of(kind.code), "code": kind.code, "says": says.partition("\n\n")[0]}
    )
