"""Answers in the shape of OpenAI's chat completions: fields as items and as attributes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from budgets.dialects.sse import SseSplitter
from budgets.usage import Usage


class Reply(dict[str, Any]):
    """
    An object of an answer: `reply["choices"][0]["message"]` and `reply.choices[0].message` are the same.

    It is a dictionary, so `json.dumps` takes it. The field `budget` says what it cost.
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        super().__init__({name: _opened(value) for name, value in fields.items()})

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the answer has no field {name}") from None

    def __reduce__(self) -> tuple[Any, ...]:
        return Reply, (dict(self),)

    def model_dump(self) -> dict[str, Any]:
        """The same as plain dictionaries and lists."""
        dumped: dict[str, Any] = json.loads(self.model_dump_json())
        return dumped

    def model_dump_json(self) -> str:
        """The same as JSON."""
        return json.dumps(self)


def _opened(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Reply(value)
    if isinstance(value, list):
        return [_opened(each) for each in value]
    return value


# What others say of why an answer ended -> what OpenAI says.
# https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons
_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def openai_reply(body: Mapping[str, Any]) -> dict[str, Any]:
    """A chat completion, with the fields that may be missing and are asked for."""
    choices = [
        {**choice, "message": {"role": "assistant", "content": None, "tool_calls": None, **choice["message"]}}
        for choice in body.get("choices", [])
    ]
    return {**body, "choices": choices}


def anthropic_reply(body: Mapping[str, Any], usage: Usage, *, created: int) -> dict[str, Any]:
    """A chat completion of Anthropic's message."""
    text = "".join(part.get("text", "") for part in body.get("content", []) if part.get("type") == "text")
    message = {"role": "assistant", "content": text, "tool_calls": None}
    reason = str(body.get("stop_reason"))
    return {
        "id": body.get("id"),
        "object": "chat.completion",
        "created": created,
        "model": body.get("model"),
        "choices": [{"index": 0, "message": message, "finish_reason": _REASONS.get(reason, reason)}],
        "usage": usage_fields(usage),
    }


def whole_chunks(reply: Mapping[str, Any], usage: Usage | None) -> Iterator[Reply]:
    """A chat completion that came at once, as the stream of one chunk that it stands for."""
    head = {
        **{name: reply.get(name) for name in ("id", "model", "created")},
        "object": "chat.completion.chunk",
    }
    choices = []
    for choice in reply["choices"]:
        rest = {name: value for name, value in choice.items() if name != "message"}
        calls = choice["message"]["tool_calls"]
        numbered = calls and [{"index": index, **call} for index, call in enumerate(calls)]
        choices.append({**rest, "delta": {**choice["message"], "tool_calls": numbered}})
    yield Reply({**head, "choices": choices})
    if usage is not None:
        yield Reply({**head, "choices": [], "usage": usage_fields(usage)})


def usage_fields(usage: Usage) -> dict[str, Any]:
    """The usage block of a chat completion."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage["cached_input"]},
        "completion_tokens_details": {"reasoning_tokens": usage["reasoning"]},
    }


class OpenAIChunks:
    """
    The chunks of an OpenAI stream, out of bytes in pieces of any size.

    Args:
        usage: The caller asked for usage; else what the budget asked for is taken out again.
    """

    def __init__(self, *, usage: bool) -> None:
        self._events = SseSplitter()
        self._usage = usage

    def feed(self, piece: bytes) -> Iterator[Reply]:
        """The chunks that *piece* completes."""
        for event in self._events.feed(piece):
            chunk = _object(event.data)
            if chunk is None or (not self._usage and not chunk.get("choices")):
                continue
            if not self._usage and chunk.get("usage") is None:
                chunk.pop("usage", None)
            for choice in chunk.get("choices") or ():
                choice["delta"] = {"role": None, "content": None, "tool_calls": None, **choice["delta"]}
            yield Reply(chunk)

    def ended(self, _usage: Usage) -> Iterator[Reply]:
        """What comes once all has arrived: nothing more."""
        return iter(())


class AnthropicChunks:
    """The same of an Anthropic stream, as OpenAI would have sent it."""

    def __init__(self, *, usage: bool, created: int) -> None:
        self._events = SseSplitter()
        self._usage = usage
        self._created = created
        self._names: dict[str, Any] = {"id": None, "model": None}

    def feed(self, piece: bytes) -> Iterator[Reply]:
        """The chunks that *piece* completes."""
        for event in self._events.feed(piece):
            said = _object(event.data) or {}
            delta = said.get("delta") or {}
            if said.get("type") == "message_start":
                self._names = {name: said["message"].get(name) for name in self._names}
                yield self._chunk({"role": "assistant", "content": ""})
            elif delta.get("type") == "text_delta":
                yield self._chunk({"content": delta.get("text")})
            elif delta.get("stop_reason") is not None:
                yield self._chunk({}, _REASONS.get(delta["stop_reason"], delta["stop_reason"]))

    def ended(self, usage: Usage) -> Iterator[Reply]:
        """What comes once all has arrived: the usage, where the caller asked for it."""
        if self._usage:
            yield Reply({**self._head(), "choices": [], "usage": usage_fields(usage)})

    def _chunk(self, delta: Mapping[str, Any], reason: str | None = None) -> Reply:
        whole = {"role": None, "content": None, "tool_calls": None, **delta}
        return Reply({**self._head(), "choices": [{"index": 0, "delta": whole, "finish_reason": reason}]})

    def _head(self) -> dict[str, Any]:
        return {**self._names, "object": "chat.completion.chunk", "created": self._created}


def _object(data: str) -> dict[str, Any] | None:
    """The JSON object of an event; `None` for the mark of the end, and for damage, which metering judges."""
    try:
        found = json.loads(data)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
