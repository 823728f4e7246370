"""The gateway in the server: a user's key makes calls, and they go where the owner has said."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

from aiohttp import web

from budgets.awaiting import AwaitedEngine
from budgets.errors import AccessDeniedError, BudgetError
from budgets.gateway.app import MOST_REQUEST_BYTES, GatewayHandler
from budgets.gateway.callers import Caller, presented_key
from budgets.gateway.configured import Configuration
from budgets.gateway.incoming import Report
from budgets.gateway.passing import House, Patience
from budgets.gateway.routing import Routes
from budgets.prices import open_book
from budgets.server.counters import Metrics
from budgets.server.doors import call
from budgets.server.engines import Engines
from budgets.server.guard import Guard
from budgets.upstream import HttpUpstream

# Its routes take keys in every form that providers' clients have, so it looks at them itself.
_BY_NAME, _BY_MODEL = "gateway-by-name", "gateway-by-model"
NAMES = frozenset((_BY_NAME, _BY_MODEL))

# How the addresses begin that clients have when they are told only the server. What is not forwarded is
# among them where clients may ask for it, so that they are told why.
_VERSIONS = "v1|v1beta|v2"
_CALLS = (
    "chat|completions|responses|embeddings|messages|models|rerank|images|audio|files|batches|moderations"
    "|assistants|threads|conversations|realtime|fine_tuning|uploads|vector_stores|containers|videos"
)

# A request of the largest size, over a slow line.
_LONGEST_BODY_SECONDS = 300.0


class Proxy:
    """
    The gateway of every project of a store.

    Args:
        engines: Where money is held.
        guard: Knows whose a key is.
        found: Where calls may go.
        counters: Count holds and charges.
    """

    def __init__(self, engines: Engines, guard: Guard, found: Configuration, counters: Metrics) -> None:
        self._engines = engines
        self._guard = guard
        self._found = found
        self._counters = counters
        self._routes = Routes(found, sold=self._sold)
        self._upstream = HttpUpstream()
        self._houses: dict[str, House] = {}

    def routes(self) -> list[web.RouteDef]:
        """The routes of this file; they come after those of all others."""
        names = "|".join(re.escape(each.name) for each in self._found.upstreams)
        return [
            web.route("*", f"/{{upstream:{names}}}/{{path:.+}}", self.answer, name=_BY_NAME),
            web.route(
                "*", f"/{{version:{_VERSIONS}}}/{{call:(?:{_CALLS})(?:/.*)?}}", self.answer, name=_BY_MODEL
            ),
        ]

    async def running(self, _app: web.Application) -> AsyncIterator[None]:
        """When the server ends, leave in doubt what is written in the background, and let connections go."""
        yield
        for house in self._houses.values():
            await house.background.close()
        await self._upstream.close()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One call, whoever makes it."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        key, _ = presented_key(headers, request.rel_url.raw_query_string)
        project = self._engines.settings.project
        found: Caller | BudgetError | None = None
        if key is not None:
            try:
                project, found = await self._caller(key)
            except BudgetError as error:
                found = error

        def find_caller(_key: str) -> Caller | None:
            # The gateway says it in the dialect of the call.
            if isinstance(found, BudgetError):
                raise found
            return found

        handler = GatewayHandler(await self._house(project), find_caller)
        patience = asyncio.get_running_loop().call_later(_LONGEST_BODY_SECONDS, _give_up, request)
        try:
            return await handler.answer(request.clone(client_max_size=MOST_REQUEST_BYTES))
        except ConnectionError:
            # Nobody is there to be answered; nothing was sent before the body was whole.
            return web.Response(status=408)
        finally:
            patience.cancel()

    async def _caller(self, key: str) -> tuple[str, Caller]:
        holder = await self._guard.holder(key)
        if holder.user is None or not holder.may("meter", (holder.user,)):
            raise AccessDeniedError(
                f"the key {holder.id} is not one to make calls with: it has the role {holder.role}"
                f"{'' if holder.user is not None else ' and is for no single user, so no budget would pay'}",
                hint="make one with `budget key create --role meter --user NAME`",
            )
        assert holder.project is not None, "a key is of one project"
        return holder.project, Caller(holder.user, holder.id, self._found.allowed.get(holder.user))

    async def _house(self, project: str) -> House:
        found = self._houses.get(project)
        if found is None:
            engine = await call(self._engines.of, project)
            # Two calls may have come this far.
            found = self._houses.setdefault(
                project,
                House(
                    AwaitedEngine(engine),
                    self._routes,
                    self._upstream,
                    patience=Patience(hold_seconds=self._engines.settings.patience_seconds),
                    report=self._count,
                    cut=self._engines.settings.cut,
                    allow_background=self._engines.settings.allow_background,
                ),
            )
        return found

    def _count(self, report: Report) -> None:
        if report.outcome != "refused":
            self._counters.called(report.receipt)

    def _sold(self) -> Iterator[tuple[str, str]]:
        settings = self._engines.settings
        for each in open_book(settings.prices).current(self._engines.clock()):
            yield each.provider, each.model


def _give_up(request: web.Request) -> None:
    """Hang up on a request that is still not whole, however little of it comes."""
    if not request.content.is_eof() and request.transport is not None:
        request.transport.close()
