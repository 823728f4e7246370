"""The server that `test_server_race.py` kills: `server_worker.py STORE PORT`; says when it listens."""

from __future__ import annotations

import asyncio
import os
import sys

from aiohttp import web

from budgets.config import load_settings
from budgets.server.app import make_app
from budgets.server.engines import Engines


async def serve(store: str, port: int) -> None:
    """Until the process is killed."""
    runner = web.AppRunner(make_app(Engines(load_settings(os.environ, store=store))))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    sys.stdout.write(f"ready {runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
