"""A gateway of its own, on a port of this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from budgets.gateway.app import MOST_REQUEST_BYTES, GatewayHandler
from budgets.gateway.callers import Caller
from budgets.gateway.passing import House

# An agent's conversation may come with long cookies and headers of its own; providers take about this much.
_MOST_HEADER_BYTES = 32 * 1024


@asynccontextmanager
async def listening(
    house: House,
    find_caller: Callable[[str], Caller | None],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    finish_seconds: float = 30,
) -> AsyncIterator[int]:
    """
    Answer calls while the block runs; gives the port.

    Args:
        find_caller: Whose key that is; `None`: nobody's.
        port: 0: any that is free.
        finish_seconds: How long running calls may take to end when the block has ended; after that they are
            broken off, and charged for what came.

    Raises:
        OSError: the port is taken.
    """
    app = web.Application(client_max_size=MOST_REQUEST_BYTES)
    app.router.add_route("*", "/{path:.*}", GatewayHandler(house, find_caller).answer)
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=finish_seconds,
        max_line_size=_MOST_HEADER_BYTES,
        max_field_size=_MOST_HEADER_BYTES,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
