"""A server that stores what it gets: LiteLLM's two endpoints, as its client needs them, and nothing else."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web


class DictionaryServer:
    """One dictionary for each project, replaced by whatever comes."""

    def __init__(self) -> None:
        self.url = ""
        self.projects: dict[str, dict[str, Any]] = {}
        # Of every request: its method and path, its headers (names in lower case), its body.
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        # What the next requests get in place of an answer: status, type, and body.
        self.instead: list[tuple[int, str, str]] = []

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[self._observed])
        app.add_routes([web.post("/get_budget", self._get), web.post("/set_budget", self._set)])
        return app

    @web.middleware
    async def _observed(self, request: web.Request, handler: Any) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append((f"{request.method} {request.path}", headers, await request.read()))
        if self.instead:
            status, kind, text = self.instead.pop(0)
            return web.Response(status=status, content_type=kind, text=text)
        found: web.StreamResponse = await handler(request)
        return found

    async def _get(self, request: web.Request) -> web.Response:
        project = (await request.json())["project_name"]
        if project not in self.projects:
            return web.json_response({"status": "error", "message": "no such project"})
        return web.json_response({"status": "success", "data": self.projects[project]})

    async def _set(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.projects[body["project_name"]] = body["user_dict"]
        return web.json_response({"status": "success"})

    @property
    def paths(self) -> list[str]:
        """What was asked for, and how."""
        return [path for path, _, _ in self.asked]

    def body(self, index: int) -> Any:
        """What one request said."""
        return json.loads(self.asked[index][2])


@contextmanager
def dictionary_server() -> Iterator[DictionaryServer]:
    """Such a server on loopback, until the block ends."""
    server = DictionaryServer()
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(server.app())
    loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
