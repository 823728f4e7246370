"""What a server does by itself: it renews leases, writes down what the clock has opened, and tidies up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta

from aiohttp import web

from budgets.engine import RENEW_SECONDS
from budgets.errors import StoreError
from budgets.server.doors import call
from budgets.server.engines import Engines
from budgets.server.requests import ENGINES

_ROLL_SECONDS = 60.0
_TIDY_SECONDS = 24 * 60 * 60.0
# How long a client may be silent before it counts as a new one.
_REMEMBERED = timedelta(days=90)


async def running(app: web.Application) -> AsyncIterator[None]:
    """Do it for as long as the application runs."""
    engines = app[ENGINES]
    tasks = [
        asyncio.create_task(_again_and_again(RENEW_SECONDS, renew, engines)),
        asyncio.create_task(_again_and_again(_ROLL_SECONDS, roll, engines)),
        asyncio.create_task(_again_and_again(_TIDY_SECONDS, tidy, engines)),
    ]
    yield
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def renew(engines: Engines) -> None:
    """Keep the holds of the engines alive that have made some."""
    for engine in engines.opened():
        if engine.steps.has_lease:
            engine.renew_lease()


def roll(engines: Engines) -> None:
    """Write down the periods that the clock has opened, in every project. Safe to repeat."""
    for project in engines.projects():
        with engines.store.reading(project) as view:
            due = view.due(engines.clock())
        if due:
            engines.of(project).reset_due()


def tidy(engines: Engines) -> None:
    """Forget the marks of clients that are gone."""
    for project in engines.projects():
        with engines.store.transaction(project) as txn:
            txn.remove_marks(engines.clock() - _REMEMBERED)


async def _again_and_again(seconds: float, work: Callable[[Engines], None], engines: Engines) -> None:
    while True:
        try:
            await call(work, engines)
        except StoreError as error:
            # Limits are right without it, and it is done at the next turn.
            logging.getLogger("budgets").warning("upkeep has to wait: %s", error)
        await asyncio.sleep(seconds)
