"""Runs the server until it is told to stop: where it listens, whom it may serve, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable

from aiohttp import web

from budgets.errors import ConfigError
from budgets.gateway.configured import Configuration
from budgets.server.app import Report, make_app
from budgets.server.engines import Engines
from budgets.server.guard import is_loopback

# What runs when the end is asked for may take so long to finish.
_GRACE_SECONDS = 10.0
# A connection that nobody uses is closed after so long; longer than clients keep theirs, so they close first.
_IDLE_SECONDS = 75.0
# Agents send long headers; providers take about as much.
_LONGEST_LINE_BYTES = 32 * 1024

OPENAPI = "/openapi.json"


async def serve(
    engines: Engines,
    *,
    host: str,
    port: int,
    listening: Callable[[str, str | None], None],
    report: Report | None = None,
    upstreams: Configuration | None = None,
) -> None:
    """
    Serve until SIGTERM or SIGINT, then finish what runs and close *engines*.

    Args:
        port: 0: any that is free.
        listening: Is told the server's address, and that of its OpenAPI document, once it can be reached.
        report: Gets a line for each request.
        upstreams: Where the gateway may call; `None`: there is no gateway.

    Raises:
        ConfigError: others than this machine could reach a server without keys, or it cannot listen there.
    """
    local = is_loopback(host)
    if not local and not await asyncio.to_thread(engines.store.keys):
        raise ConfigError(
            f"without a key, a server on {host} would be open to everybody who reaches it",
            hint="make one with `budget key create --role admin`, or listen on 127.0.0.1",
        )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = make_app(engines, local=local, report=report, upstreams=upstreams)
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_silent(),
        # Packed requests are read by whoever answers, which can refuse them in its own words.
        auto_decompress=False,
        shutdown_timeout=_GRACE_SECONDS,
        keepalive_timeout=_IDLE_SECONDS,
        max_line_size=_LONGEST_LINE_BYTES,
        max_field_size=_LONGEST_LINE_BYTES,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            raise ConfigError(
                f"it cannot listen on {host}, port {port}: {error.strerror or error}",
                hint="take another --port, or 0 for any that is free",
            ) from error
        address = f"http://{_bracketed(host)}:{runner.addresses[0][1]}"
        pages = {resource.canonical for resource in app.router.resources()}
        listening(address, address + OPENAPI if OPENAPI in pages else None)
        await stop.wait()
    finally:
        await runner.cleanup()


def _silent() -> logging.Logger:
    """aiohttp logs what it cannot read with all its bytes, and keys may be among them."""
    logger = logging.getLogger("budgets.server.http")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    return logger


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
