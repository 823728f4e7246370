"""
A provider on loopback that speaks five wire formats, plain and streamed, and writes its own bill.

The prices in it are the list prices of the models that it serves, written down here, so that a charge is
checked against a sum that no code of ours has made.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from aiohttp import web

# What a whole answer says. Every word is one token, as this provider bills it: one that billed less than is
# counted here would have its streams ended at what was held for them.
ANSWER = "The long river that you ask for and two more all rise in the middle of land"
WORDS = ANSWER.split()

# Nano-dollars for each token read and each token written, by the providers' pages of November 2026.
# https://platform.openai.com/docs/pricing, https://claude.com/pricing, https://ai.google.dev/pricing
PRICES = {
    "gpt-4o-mini": (150, 600),
    "text-embedding-3-small": (20, 0),
    "claude-haiku-4-5": (1_000, 5_000),
    "gemini-2.5-flash": (300, 2_500),
}


@dataclass(frozen=True, slots=True)
class Manner:
    """How answers come."""

    # In place of an answer.
    status: int | None = None
    one_byte_pieces: bool = False
    # Between two pieces of a stream.
    gap_seconds: float = 0
    # Before the first byte.
    work_seconds: float = 0
    # Break the connection after so many pieces.
    cut_after: int | None = None


class Call(NamedTuple):
    """One call that came: where, with what, and in which words."""

    path: str
    # Names in lower case.
    headers: dict[str, str]
    body: dict[str, Any]


class Bill(NamedTuple):
    """What one answer costs."""

    model: str
    input_tokens: int
    output_tokens: int

    @property
    def nanos(self) -> int:
        reading, writing = PRICES[self.model]
        return self.input_tokens * reading + self.output_tokens * writing


class WireProvider:
    """Every word is a token; an answer is the same words, up to the limit that the request sets."""

    def __init__(self) -> None:
        self.manner = Manner()
        self.calls: list[Call] = []
        # An answer is billed when its first byte is sent, in full: what a client does not read was written.
        self.bills: list[Bill] = []
        self._numbers = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    @property
    def billed_nanos(self) -> int:
        return sum(bill.nanos for bill in self.bills)

    async def _start(self) -> str:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Call(request.path_qs, headers, json.loads(raw) if raw else {})
        self.calls.append(call)
        manner = self.manner
        await asyncio.sleep(manner.work_seconds)
        if manner.status is not None:
            said = {"error": {"type": "overloaded_error", "message": "this failure is simulated"}}
            return web.json_response(said, status=manner.status)
        if request.path.endswith("/models"):
            return web.json_response({"object": "list", "data": []})
        if request.path.endswith("/count_tokens"):
            return web.json_response({"input_tokens": _words(call.body)})
        bill, streamed, pieces = spoken(request.path, call.body, next(self._numbers))
        self.bills.append(bill)
        kind = "text/event-stream" if streamed else "application/json"
        response = web.StreamResponse(headers={"content-type": kind, "x-request-id": "req_wire"})
        await response.prepare(request)
        try:
            for number, piece in enumerate(pieces):
                if number == manner.cut_after:
                    assert request.transport is not None
                    request.transport.close()
                    return response
                for part in (
                    [piece[n : n + 1] for n in range(len(piece))] if manner.one_byte_pieces else [piece]
                ):
                    await response.write(part)
                if manner.gap_seconds:
                    await asyncio.sleep(manner.gap_seconds)
            await response.write_eof()
        except ConnectionError:
            # Whoever called has gone; the bill stays.
            pass
        return response

    def slowly(self, gap_seconds: float) -> None:
        """From now on, pause so long between the pieces of a stream."""
        self.manner = replace(self.manner, gap_seconds=gap_seconds)

    def close(self) -> None:
        """Close the port and end the thread."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def spoken(path: str, body: dict[str, Any], number: int) -> tuple[Bill, bool, list[bytes]]:
    """The bill for a request, whether its answer is streamed, and the pieces of that."""
    if path.endswith("/chat/completions"):
        return _chat(body, number)
    if path.endswith("/responses"):
        return _responses(body, number)
    if path.endswith("/embeddings"):
        return _embeddings(body)
    if path.endswith("/messages"):
        return _messages(body, number)
    found = re.search(r"/models/([^/]+):(generateContent|streamGenerateContent)$", path)
    assert found is not None, f"nobody should ask for {path}"
    return _gemini(found[1], body, number, streamed=found[2].startswith("stream"))


def _words(value: Any) -> int:
    """The words of every text in a request."""
    if isinstance(value, str):
        return len(value.split())
    if isinstance(value, list):
        return sum(map(_words, value))
    if isinstance(value, dict):
        texts = ("messages", "content", "text", "input", "instructions", "system", "contents", "parts")
        return sum(_words(value[name]) for name in texts if name in value)
    return 0


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _event(value: Any, *, named: bool = False) -> bytes:
    name = b"event: " + value["type"].encode() + b"\n" if named else b""
    return name + b"data: " + _json(value) + b"\n\n"


def _written(limit: int | None) -> tuple[list[str], bool]:
    """The words of an answer, and whether its limit ended it."""
    words = WORDS if limit is None else WORDS[:limit]
    return [word if n == 0 else f" {word}" for n, word in enumerate(words)], len(words) < len(WORDS)


def _chat(body: dict[str, Any], number: int) -> tuple[Bill, bool, list[bytes]]:
    """https://platform.openai.com/docs/api-reference/chat"""
    words, cut = _written(body.get("max_completion_tokens", body.get("max_tokens")))
    bill = Bill(body["model"], _words(body), len(words))
    usage = {
        "prompt_tokens": bill.input_tokens,
        "completion_tokens": bill.output_tokens,
        "total_tokens": bill.input_tokens + bill.output_tokens,
    }
    head = {"id": f"chatcmpl-{number}", "created": 1_767_225_600, "model": body["model"]}
    reason = "length" if cut else "stop"
    if not body.get("stream"):
        message = {"role": "assistant", "content": "".join(words), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        return (
            bill,
            False,
            [_json({**head, "object": "chat.completion", "choices": [choice], "usage": usage})],
        )

    wants_usage = (body.get("stream_options") or {}).get("include_usage")

    def chunk(choices: list[dict[str, Any]], counts: dict[str, int] | None = None) -> bytes:
        more = {"usage": counts} if wants_usage else {}
        return _event({**head, "object": "chat.completion.chunk", "choices": choices, **more})

    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in words)]
    pieces = [chunk([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
    pieces.append(chunk([{"index": 0, "delta": {}, "finish_reason": reason}]))
    if wants_usage:
        pieces.append(chunk([], usage))
    return bill, True, [*pieces, b"data: [DONE]\n\n"]


def _responses(body: dict[str, Any], number: int) -> tuple[Bill, bool, list[bytes]]:
    """https://platform.openai.com/docs/api-reference/responses and .../responses-streaming"""
    words, cut = _written(body.get("max_output_tokens"))
    bill = Bill(body["model"], _words(body), len(words))
    text = {"type": "output_text", "text": "".join(words), "annotations": []}
    item = {"id": f"msg_{number}", "type": "message", "role": "assistant", "status": "completed"}
    head = {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1_767_225_600,
        "model": body["model"],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    done = {
        **head,
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": [{**item, "content": [text]}],
        "usage": {
            "input_tokens": bill.input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": bill.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": bill.input_tokens + bill.output_tokens,
        },
    }
    if not body.get("stream"):
        return bill, False, [_json(done)]
    begun = {**head, "status": "in_progress", "output": [], "usage": None}
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **place, "part": {**text, "text": ""}},
        *({"type": "response.output_text.delta", **place, "delta": word, "logprobs": []} for word in words),
        {"type": "response.output_text.done", **place, "text": text["text"], "logprobs": []},
        {"type": "response.content_part.done", **place, "part": text},
        {"type": "response.output_item.done", "output_index": 0, "item": {**item, "content": [text]}},
        {"type": "response.incomplete" if cut else "response.completed", "response": done},
    ]
    numbered = ({**event, "sequence_number": n} for n, event in enumerate(events))
    return bill, True, [_event(event, named=True) for event in numbered]


def _embeddings(body: dict[str, Any]) -> tuple[Bill, bool, list[bytes]]:
    """https://platform.openai.com/docs/api-reference/embeddings"""
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    bill = Bill(body["model"], _words(texts), 0)
    vector: Any = [0.25, -0.5]
    if body.get("encoding_format") == "base64":
        # The same two numbers as little-endian floats of four bytes.
        vector = "AACAPgAAAL8="
    reply = {
        "object": "list",
        "model": body["model"],
        "data": [{"object": "embedding", "index": n, "embedding": vector} for n in range(len(texts))],
        "usage": {"prompt_tokens": bill.input_tokens, "total_tokens": bill.input_tokens},
    }
    return bill, False, [_json(reply)]


def _messages(body: dict[str, Any], number: int) -> tuple[Bill, bool, list[bytes]]:
    """https://platform.claude.com/docs/en/api/messages and .../build-with-claude/streaming"""
    words, cut = _written(body["max_tokens"])
    bill = Bill(body["model"], _words(body), len(words))
    usage = {
        "input_tokens": bill.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": bill.output_tokens,
    }
    message = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": "".join(words)}],
        "stop_reason": "max_tokens" if cut else "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }
    if not body.get("stream"):
        return bill, False, [_json(message)]
    begun = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
            for word in words
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": bill.output_tokens}},
        {"type": "message_stop"},
    ]
    return bill, True, [_event(event, named=True) for event in events]


def _gemini(
    model: str, body: dict[str, Any], number: int, *, streamed: bool
) -> tuple[Bill, bool, list[bytes]]:
    """https://ai.google.dev/api/generate-content"""
    words, cut = _written((body.get("generationConfig") or {}).get("maxOutputTokens"))
    bill = Bill(model, _words(body), len(words))

    def chunk(text: str, written: int, reason: str | None) -> dict[str, Any]:
        ended = {} if reason is None else {"finishReason": reason}
        candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0, **ended}
        return {
            "candidates": [candidate],
            "usageMetadata": {
                "promptTokenCount": bill.input_tokens,
                "candidatesTokenCount": written,
                "totalTokenCount": bill.input_tokens + written,
            },
            "modelVersion": model,
            "responseId": f"gemini-{number}",
        }

    reason = "MAX_TOKENS" if cut else "STOP"
    if not streamed:
        return bill, False, [_json(chunk("".join(words), len(words), reason))]
    chunks: Iterator[dict[str, Any]] = (
        chunk(word, n, reason if n == len(words) else None) for n, word in enumerate(words, 1)
    )
    # Google's lines end as those of old networks did.
    return bill, True, [b"data: " + _json(each) + b"\r\n\r\n" for each in chunks]
