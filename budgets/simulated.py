"""
An upstream that answers itself, in the true wire format: for the demo and for tests.

Answers are made up and say so; usage is counted with the counter that it is given, so that every cost
that follows from it is real arithmetic on simulated tokens.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from budgets.asks import Ask
from budgets.dialects import by_name, reading
from budgets.errors import InvalidValueError, ProviderError
from budgets.upstream import Answer, OutgoingCall

_OPENING = "This answer is simulated: no model was asked and no money was spent."
_SENTENCES = (
    "A provider would have read your request and answered it here.",
    "The tokens are counted as if it had been.",
    "The same request always gets the same answer.",
    "Longer requests get longer answers, up to the limit that was set.",
)
# A whole answer is at most this many sentences after the opening one.
_MOST_SENTENCES = 12
# 2026-01-01T00:00:00Z: a made-up answer has no time of its own.
_CREATED = 1_767_225_600
# The chat format's own tokens, as OpenAI counts them.
# https://github.com/openai/openai-cookbook/blob/main/examples/How_to_count_tokens_with_tiktoken.ipynb
_TOKENS_PER_MESSAGE = 3
_TOKENS_PER_REPLY = 3

_PIECES = re.compile(r"\s*\S+")


@dataclass(frozen=True, slots=True)
class Fault:
    """How one call goes wrong."""

    # Answer with this status and the dialect's error body, for instance 429 or 500.
    status: int | None = None
    # Refuse the connection: nothing can have been charged.
    unreachable: bool = False
    # Break the connection after so many bytes of the answer.
    cut_after_bytes: int | None = None
    # Hand the answer out byte by byte.
    one_byte_pieces: bool = False
    # Leave the usage block out.
    omit_usage: bool = False


@dataclass(frozen=True, slots=True)
class _Reply:
    texts: tuple[str, ...]
    cut_short: bool
    prompt_tokens: int
    completion_tokens: int
    id: str


class SimulatedUpstream:
    """
    Answers both dialects, by the end of the URL's path.

    Args:
        count: How many tokens a text is.
        faults: One for each of the first calls, in order; `None` for a call that goes well.
    """

    def __init__(self, count: Callable[[str], int], faults: Iterable[Fault | None] = ()) -> None:
        self._count = count
        self._faults = iter(faults)
        # How many calls have reached it, refused connections left out.
        self.calls = 0

    @asynccontextmanager
    async def send(self, call: OutgoingCall) -> AsyncIterator[Answer]:
        """
        Answer *call*.

        Raises:
            ProviderError: a `Fault` wants it so.
        """
        fault = next(self._faults, None) or Fault()
        if fault.unreachable:
            raise _failure(call, "could not be reached: connection refused", charged_possible=False)
        self.calls += 1
        status, streamed, body = self._answer(call, fault)
        kind = "text/event-stream; charset=utf-8" if streamed else "application/json"
        pieces = _chopped(body, fault)
        yield Answer(status, _headers(call, kind, status, self.calls), _delivered(call, pieces))

    def _answer(self, call: OutgoingCall, fault: Fault) -> tuple[int, bool, list[bytes]]:
        anthropic = call.url.endswith("/messages")
        if not anthropic and not call.url.endswith("/chat/completions"):
            return 404, False, [_error(404, f"no such path: {call.url}", anthropic)]
        if fault.status is not None:
            return fault.status, False, [_error(fault.status, "this failure is simulated", anthropic)]
        try:
            ask, wants_usage = _read(call.body, anthropic)
        except InvalidValueError as error:
            return 400, False, [_error(400, error.message, anthropic)]
        reply = self._reply(ask, call.body)
        usage = not fault.omit_usage
        if anthropic:
            events = _anthropic_events(ask, reply, usage=usage)
            body = list(events) if ask.stream else [_json(_anthropic_message(ask, reply, usage=usage))]
        else:
            chunks = _openai_chunks(ask, reply, usage=usage and wants_usage)
            body = list(chunks) if ask.stream else [_json(_openai_completion(ask, reply, usage=usage))]
        return 200, ask.stream, body

    def _reply(self, ask: Ask, body: bytes) -> _Reply:
        prompt = sum(map(self._count, (*ask.texts, *ask.tools)))
        prompt += _TOKENS_PER_MESSAGE * ask.messages + _TOKENS_PER_REPLY
        sentences = 1 + min(_MOST_SENTENCES - 1, prompt // 50)
        whole = " ".join((_OPENING, *(_SENTENCES[n % len(_SENTENCES)] for n in range(sentences))))
        text = self._cut(whole, ask.output_limit)
        return _Reply(
            texts=(text,) * ask.answers,
            cut_short=text != whole,
            prompt_tokens=prompt,
            completion_tokens=ask.answers * self._count(text),
            id=hashlib.sha256(b"%d " % self.calls + body).hexdigest()[:24],
        )

    def _cut(self, text: str, limit: int | None) -> str:
        """As much of *text*, by words, as has at most *limit* tokens."""
        if limit is None or self._count(text) <= limit:
            return text
        words = _PIECES.findall(text)
        while words and self._count("".join(words)) > limit:
            words.pop()
        return "".join(words)


def _read(body: bytes, anthropic: bool) -> tuple[Ask, bool]:
    """What *body* asks for, and whether it wants the usage of its stream; refused as the real one would."""
    request = reading.parse_object(body)
    if request is None:
        raise InvalidValueError("the body is not a JSON object")
    ask = by_name("anthropic-messages" if anthropic else "openai-chat").read_request(request)
    if anthropic and ask.output_limit is None:
        raise InvalidValueError("max_tokens: Field required")
    return ask, reading.object_at(request, "stream_options").get("include_usage") is True


def _openai_completion(ask: Ask, reply: _Reply, *, usage: bool) -> dict[str, Any]:
    """https://platform.openai.com/docs/api-reference/chat/object"""
    return {
        "id": f"chatcmpl-{reply.id}",
        "object": "chat.completion",
        "created": _CREATED,
        "model": ask.model,
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": text, "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "length" if reply.cut_short else "stop",
            }
            for index, text in enumerate(reply.texts)
        ],
        **({"usage": _openai_usage(reply)} if usage else {}),
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }


def _openai_usage(reply: _Reply) -> dict[str, Any]:
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _openai_chunks(ask: Ask, reply: _Reply, *, usage: bool) -> Iterator[bytes]:
    """https://platform.openai.com/docs/api-reference/chat-streaming"""

    def chunk(choices: list[dict[str, Any]], counts: dict[str, Any] | None) -> bytes:
        return _event(
            {
                "id": f"chatcmpl-{reply.id}",
                "object": "chat.completion.chunk",
                "created": _CREATED,
                "model": ask.model,
                "service_tier": "default",
                "system_fingerprint": "fp_simulated",
                "choices": choices,
                # Asked for usage, OpenAI has the field in every chunk, null in all but the last.
                **({"usage": counts} if usage else {}),
            }
        )

    def choice(index: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}

    for index, text in enumerate(reply.texts):
        yield chunk([choice(index, {"role": "assistant", "content": "", "refusal": None})], None)
        for word in _PIECES.findall(text):
            yield chunk([choice(index, {"content": word})], None)
        yield chunk([choice(index, {}, "length" if reply.cut_short else "stop")], None)
    if usage:
        yield chunk([], _openai_usage(reply))
    yield b"data: [DONE]\n\n"


def _anthropic_message(ask: Ask, reply: _Reply, *, usage: bool) -> dict[str, Any]:
    """https://platform.claude.com/docs/en/api/messages"""
    return {
        "model": ask.model,
        "id": f"msg_{reply.id}",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": reply.texts[0]}],
        "stop_reason": "max_tokens" if reply.cut_short else "end_turn",
        "stop_sequence": None,
        **({"usage": _anthropic_usage(reply, reply.completion_tokens)} if usage else {}),
    }


def _anthropic_usage(reply: _Reply, output_tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": reply.prompt_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def _anthropic_events(ask: Ask, reply: _Reply, *, usage: bool) -> Iterator[bytes]:
    """https://platform.claude.com/docs/en/build-with-claude/streaming"""
    message = _anthropic_message(ask, reply, usage=False)
    message |= {"content": [], "stop_reason": None}
    if usage:
        message["usage"] = _anthropic_usage(reply, 1)
    yield _named_event({"type": "message_start", "message": message})
    yield _named_event(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    )
    yield _named_event({"type": "ping"})
    for word in _PIECES.findall(reply.texts[0]):
        yield _named_event(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
        )
    yield _named_event({"type": "content_block_stop", "index": 0})
    reason = "max_tokens" if reply.cut_short else "end_turn"
    last: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}}
    if usage:
        last["usage"] = {"output_tokens": reply.completion_tokens}
    yield _named_event(last)
    yield _named_event({"type": "message_stop"})


def _error(status: int, words: str, anthropic: bool) -> bytes:
    kinds = {400: "invalid_request_error", 404: "not_found_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "api_error")
    if anthropic:
        return _json({"type": "error", "error": {"type": kind, "message": words}})
    return _json({"error": {"message": words, "type": kind, "param": None, "code": None}})


def _headers(call: OutgoingCall, kind: str, status: int, number: int) -> dict[str, str]:
    request_id = f"req_simulated_{number:06d}"
    name = "request-id" if call.url.endswith("/messages") else "x-request-id"
    waits = {"retry-after": "1"} if status == 429 else {}
    return {"content-type": kind, name: request_id, "x-simulated": "true", **waits}


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _event(value: Mapping[str, Any]) -> bytes:
    return b"data: " + _json(value) + b"\n\n"


def _named_event(value: Mapping[str, Any]) -> bytes:
    return b"event: " + str(value["type"]).encode() + b"\n" + _event(value)


def _chopped(pieces: Iterable[bytes], fault: Fault) -> Iterator[bytes | None]:
    """The pieces as *fault* wants them; a `None` at the end is a cut."""
    sent = 0
    for piece in pieces:
        rest = piece
        if fault.cut_after_bytes is not None:
            rest = piece[: max(0, fault.cut_after_bytes - sent)]
        sent += len(rest)
        yield from (rest[n : n + 1] for n in range(len(rest))) if fault.one_byte_pieces else (rest,)
        if len(rest) < len(piece):
            yield None
            return


async def _delivered(call: OutgoingCall, pieces: Iterator[bytes | None]) -> AsyncIterator[bytes]:
    for piece in pieces:
        # Other calls get their turn, as they would while a provider thinks.
        await asyncio.sleep(0)
        if piece is None:
            raise _failure(call, "broke off its answer: the connection was cut", charged_possible=True)
        if piece:
            yield piece


def _failure(call: OutgoingCall, what: str, *, charged_possible: bool) -> ProviderError:
    return ProviderError(
        f"{call.provider} {what}",
        hint="this failure is simulated",
        provider=call.provider,
        status=None,
        charged_possible=charged_possible,
    )
