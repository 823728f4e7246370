"""A provider on loopback: OpenAI's and Anthropic's wire formats, streamed and plain, and faults."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from budgets.errors import ProviderError
from budgets.simulated import Fault, SimulatedUpstream
from budgets.tokens.counting import count_text
from budgets.upstream import OutgoingCall

# The first event names the model; the next ones say something.
WORDS_BEFORE_PAUSE = 4


class Provider:
    """
    Answers chat completions and messages as `budgets.simulated` does, responses and embeddings in brief.

    `url` is where it listens, without a path.
    """

    def __init__(self, faults: Iterable[Fault | None] = ()) -> None:
        self._upstream = SimulatedUpstream(count_text, faults)
        # The path and the body of every call that arrived.
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._loop = asyncio.new_event_loop()
        # Streams wait for it once they have said something.
        self._gate = asyncio.Event()
        self._gate.set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    async def _start(self) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        # Streams that nobody reads must not hold up the end of the test.
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, backlog=512)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        return f"http://127.0.0.1:{port}"

    def pause(self) -> None:
        """Let streams stand still once they have said something."""
        self._loop.call_soon_threadsafe(self._gate.clear)

    def go_on(self) -> None:
        """Let them go on."""
        self._loop.call_soon_threadsafe(self._gate.set)

    async def _end(self) -> None:
        await self._runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def close(self) -> None:
        """Stop listening. Closing twice is fine."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw) if raw and request.content_type == "application/json" else {}
        self.asked.append((request.path, body))
        if request.method == "GET":
            return web.json_response({"object": "list", "data": [{"id": "gpt-4o-mini", "object": "model"}]})
        if request.path.endswith("/count_tokens"):
            return web.json_response({"input_tokens": 7})
        if request.path.endswith("/embeddings"):
            return web.json_response(_embedding(body))
        if request.path.endswith("/responses"):
            return await self._events(request, _response_events(body), stream=body.get("stream"))
        return await self._simulated(request, raw)

    async def _simulated(self, request: web.Request, raw: bytes) -> web.StreamResponse:
        call = OutgoingCall("simulated", str(request.url), {}, raw)
        try:
            async with self._upstream.send(call) as answer:
                response = web.StreamResponse(status=answer.status, headers=_own(answer.headers))
                await response.prepare(request)
                await self._hand_out(response, answer.chunks)
                await response.write_eof()
                return response
        except ProviderError:
            # The fault of a connection that breaks.
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

    async def _hand_out(self, response: web.StreamResponse, chunks: AsyncIterator[bytes]) -> None:
        number = 0
        async for chunk in chunks:
            await response.write(chunk)
            number += 1
            if number >= WORDS_BEFORE_PAUSE:
                await self._gate.wait()

    async def _events(
        self, request: web.Request, events: list[dict[str, Any]], *, stream: bool | None
    ) -> web.StreamResponse:
        if not stream:
            return web.json_response(events[-1]["response"])
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for event in events:
            await response.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        await response.write_eof()
        return response


@contextmanager
def provider(*faults: Fault | None) -> Iterator[Provider]:
    """A provider whose first calls go wrong as *faults* say."""
    found = Provider(faults)
    try:
        yield found
    finally:
        found.close()


def _own(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() != "content-length"}


def _embedding(body: dict[str, Any]) -> dict[str, Any]:
    """https://platform.openai.com/docs/api-reference/embeddings/object"""
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}],
        "model": body["model"],
        "usage": {"prompt_tokens": 5, "total_tokens": 5},
    }


def _response_events(body: dict[str, Any]) -> list[dict[str, Any]]:
    """https://platform.openai.com/docs/api-reference/responses-streaming"""
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "simulated", "annotations": []}],
    }
    begun = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "in_progress",
        "model": body["model"],
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    usage = {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 10,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 30,
    }
    done = {**begun, "status": "completed", "output": [message], "usage": usage}
    return [
        {"type": "response.created", "sequence_number": 0, "response": begun},
        {
            "type": "response.output_text.delta",
            "sequence_number": 1,
            "item_id": "msg_1",
            "output_index": 0,
            "content_index": 0,
            "delta": "simulated",
            "logprobs": [],
        },
        {"type": "response.completed", "sequence_number": 2, "response": done},
    ]
