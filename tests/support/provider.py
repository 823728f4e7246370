"""A provider on loopback in its true wire format, and what it would bill, to the nano."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from budgets.errors import ProviderError
from budgets.simulated import Fault, SimulatedUpstream
from budgets.tokens.counting import count_text
from budgets.upstream import OutgoingCall


class LoopbackProvider:
    """
    `SimulatedUpstream` behind a real socket.

    Args:
        count: How many tokens a text is.
        seconds: How long each call works before it answers.
        gap_seconds: How long a stream pauses between its pieces.
    """

    def __init__(
        self,
        count: Callable[[str], int] = lambda text: len(text.split()),
        *,
        seconds: float = 0,
        gap_seconds: float = 0,
    ) -> None:
        self.seconds = seconds
        self.gap_seconds = gap_seconds
        # Whether it can; else a request for a stream is answered as any other.
        self.streams = True
        # How the next calls go wrong; one for each.
        self.faults: deque[Fault | None] = deque()
        # Of every call that came: its path, its headers (names in lower case), its body.
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.asked: list[dict[str, Any]] = []
        # What it bills: the usage of every answer that it began to send.
        self.bills: list[dict[str, Any]] = []
        self.running = 0
        self.most_running = 0
        self._count = count
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    async def _start(self) -> str:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, max_field_size=64 * 1024)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.paths.append(request.path_qs)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.asked.append(json.loads(raw) if raw else {})
        if request.method == "GET":
            return web.json_response({"object": "list", "data": []})
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            return await self._simulated(request, raw)
        finally:
            self.running -= 1

    async def _simulated(self, request: web.Request, raw: bytes) -> web.StreamResponse:
        await asyncio.sleep(self.seconds)
        fault = self.faults.popleft() if self.faults else None
        upstream = SimulatedUpstream(self._count, [fault])
        path = request.path
        asked = raw if self.streams else json.dumps(_unstreamed(raw)).encode()
        call = OutgoingCall("loopback", path, dict(request.headers), asked)
        async with upstream.send(call) as answer:
            response = web.StreamResponse(status=answer.status, headers=answer.headers)
            await response.prepare(request)
            sent = bytearray()
            try:
                async for piece in answer.chunks:
                    if answer.status < 400 and not sent:
                        self.bills.append(await self._bill(path, raw))
                    sent += piece
                    await response.write(piece)
                    await asyncio.sleep(self.gap_seconds)
            except (ProviderError, ConnectionError):
                if request.transport is not None:
                    request.transport.close()
                return response
            await response.write_eof()
            return response

    async def _bill(self, path: str, raw: bytes) -> dict[str, Any]:
        """What the whole answer to this request uses, as the plain form of it says."""
        call = OutgoingCall("loopback", path, {}, json.dumps(_unstreamed(raw)).encode())
        async with SimulatedUpstream(self._count).send(call) as answer:
            reply = json.loads(await answer.read())
        return {"model": reply["model"], **reply["usage"]}

    def close(self) -> None:
        """Close the port and end the thread."""

        async def end() -> None:
            assert self._runner is not None
            await self._runner.cleanup()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def _unstreamed(raw: bytes) -> dict[str, Any]:
    asked = json.loads(raw)
    return {name: value for name, value in asked.items() if name not in ("stream", "stream_options")}


@contextmanager
def loopback_provider(*faults: Fault | None) -> Iterator[LoopbackProvider]:
    """A provider that counts as OpenAI does, and is there for as long as the block runs."""
    provider = LoopbackProvider(count_text)
    provider.faults.extend(faults)
    try:
        yield provider
    finally:
        provider.close()
