"""A gateway of its own, on a port of this machine."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from budgets.gateway.app import MOST_REQUEST_BYTES, GatewayHandler
from budgets.gateway.callers import Caller
from budgets.gateway.passing import House

# An agent's conversation may come with long cookies and headers of its own; providers take about this much.
_MOST_HEADER_BYTES = 32 * 1024


class _WithoutWords(logging.Filter):
    """Says what kind of error it was and where, without its words: those may quote a header, and a key."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            last = traceback.extract_tb(error.__traceback__)[-1:]
            at = "".join(f" at {Path(frame.filename).name}:{frame.lineno}" for frame in last)
            record.msg = f"{record.getMessage()}: {type(error).__name__}{at}"
            record.args = record.exc_info = record.exc_text = None
        return True


def _logger() -> logging.Logger:
    logger = logging.getLogger("budgets.gateway")
    if not logger.filters:
        logger.addFilter(_WithoutWords())
    return logger


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
        find_caller: Whose key that is; empty: the call has none; `None`: nobody's.
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
        logger=_logger(),
        handle_signals=False,
        # Packed requests are read by the handler, which can refuse them in the words of the call.
        auto_decompress=False,
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
        await house.background.close()
