"""
Anthropic Messages.

https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from budgets.asks import Ask
from budgets.dialects import reading
from budgets.dialects.base import Reported
from budgets.dialects.sse import SseSplitter
from budgets.money import shown
from budgets.usage import Usage

_VERSION = "2023-06-01"

# The least that a thinking budget may be, and it must stay below `max_tokens`.
# https://platform.claude.com/docs/en/build-with-claude/extended-thinking
_LEAST_THINKING = 1024

# Tools that Anthropic defines and the caller runs: what they read comes back as an ordinary message.
# Every other tool with a type of its own runs at Anthropic's.
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview
_CALLER_RUNS = re.compile(r"(?:bash|text_editor|computer|memory)_[0-9]{8}")
_DATE = re.compile(r"_[0-9]{8}$")

_COUNTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")


class AnthropicMessages:
    """The dialect `anthropic-messages`."""

    name = "anthropic-messages"
    path = "/v1/messages"

    def headers(self, key: str | None) -> dict[str, str]:
        """
        The headers of a call.

        Raises:
            InvalidValueError: no header can carry *key*.
        """
        headers = {"content-type": "application/json", "anthropic-version": _VERSION}
        if key is not None:
            headers["x-api-key"] = reading.usable_key(key)
        return headers

    def build_request(
        self,
        *,
        model: str,
        messages: list[dict[str, Any]],
        system: str | None,
        temperature: float | None,
        stream: bool,
    ) -> dict[str, Any]:
        """
        A request body, still without the `max_tokens` that the API requires.

        Every call gets its limit from `limit_output`.
        """
        body: dict[str, Any] = {"model": model, "messages": list(messages)}
        if system is not None:
            body["system"] = system
        if temperature is not None:
            body["temperature"] = temperature
        if stream:
            body["stream"] = True
        return body

    def read_request(self, body: Mapping[str, Any]) -> Ask:
        """
        What *body* asks for.

        Raises:
            InvalidValueError: it is no request of this dialect; the message names the field.
        """
        model = reading.name_of_model(body)
        inputs = _Inputs()
        if not reading.list_at(body, "messages"):
            raise reading.wrong("messages", "is missing or empty")
        messages = list(reading.objects_at(body, "messages"))
        inputs.add_content(body.get("system"), "system")
        for field, message in messages:
            if reading.text_at(message, "role", f"{field}.role") is None:
                raise reading.wrong(f"{field}.role", "is missing")
            inputs.add_content(message.get("content"), f"{field}.content")
        _add_tools(body, inputs)
        _add_unbounded(body, inputs)
        thinking = reading.object_at(body, "thinking")
        # Fast mode has prices of its own, as a tier has.
        # https://platform.claude.com/docs/en/build-with-claude/fast-mode
        fast = reading.text_at(body, "speed") == "fast"
        return Ask(
            dialect=self.name,
            model=model,
            texts=tuple(inputs.texts),
            tools=tuple(inputs.tools),
            messages=len(messages) + (body.get("system") is not None),
            output_limit=reading.whole_number_at(body, "max_tokens", least=1),
            stream=reading.flag_at(body, "stream"),
            reasoning=thinking.get("type") in ("enabled", "adaptive"),
            cache_write=_dearest_cache_write(body),
            service_tier="fast" if fast else reading.text_at(body, "service_tier"),
            # https://platform.claude.com/docs/en/build-with-claude/data-residency
            region=reading.text_at(body, "inference_geo"),
            unbounded=tuple(dict.fromkeys(inputs.unbounded)),
        )

    def limit_output(self, body: Mapping[str, Any], tokens: int) -> dict[str, Any]:
        """
        A copy of *body* whose `max_tokens` is at most *tokens*.

        The caller's thinking budget is theirs and stays as it is.

        Raises:
            InvalidValueError: *tokens* is below 1, or leaves no room beside the thinking budget.
        """
        reading.check_limit(tokens)
        own = reading.whole_number_at(body, "max_tokens", least=1)
        limit = tokens if own is None else min(own, tokens)
        thinking = reading.object_at(body, "thinking")
        budget = reading.whole_number_at(
            thinking, "budget_tokens", least=_LEAST_THINKING, field="thinking.budget_tokens"
        )
        # With interleaved thinking the budget may stand above `max_tokens`: what the caller asked for is
        # as valid as it was, so only a limit that we bring below the budget is refused.
        if budget is not None and limit <= budget and (own is None or own > budget):
            raise reading.wrong(
                "thinking.budget_tokens",
                f"is {budget}, which does not fit into an answer of {limit} tokens",
                f"think in fewer tokens (from {_LEAST_THINKING} up), or allow a longer answer",
            )
        return {**body, "max_tokens": limit}

    def ask_for_usage(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of *body*: streams carry their usage without being asked."""
        return dict(body)

    def read_reply(self, body: Mapping[str, Any]) -> Reported:
        """
        What a plain reply reports.

        Raises:
            UnreadableReplyError: it has usage that cannot be trusted; the message names the field.
        """
        answer: list[str] = []
        aside: list[str] = []
        for block in reading.objects_in(body.get("content")):
            if block.get("type") == "text":
                answer.append(reading.text_or_none(block.get("text")) or "")
            else:
                aside += _written_beside(block)
        return _reported(body, body.get("usage"), finished=True, answer=answer, aside=aside)

    def read_stream(self) -> AnthropicMessagesStream:
        """A reader for one stream."""
        return AnthropicMessagesStream()

    def read_error(self, body: bytes) -> str:
        """The provider's own words from an error body, one line."""
        return reading.words_of_error(body)


class AnthropicMessagesStream:
    """
    Reads one stream, from `message_start` to `message_stop`.

    https://platform.claude.com/docs/en/build-with-claude/streaming
    """

    def __init__(self) -> None:
        self._events = SseSplitter()
        self._message: Mapping[str, Any] = {}
        self._usage: Any = None
        self._answer: list[str] = []
        self._aside: list[str] = []
        self._finished = False
        self._broken = False

    def feed(self, piece: bytes) -> str:
        """Take the next bytes; give back the answer text that they complete."""
        return "".join(self._take(event.data) for event in self._events.feed(piece))

    def _take(self, data: str) -> str:
        event = reading.parse_object(data)
        if event is None:
            self._broken = True
            return ""
        kind = event.get("type")
        if kind == "message_start" and isinstance(event.get("message"), Mapping):
            self._message = event["message"]
            self._add_usage(self._message.get("usage"))
        elif kind == "message_delta":
            self._add_usage(event.get("usage"))
        elif kind == "message_stop":
            self._finished = True
        elif kind in ("content_block_start", "content_block_delta"):
            return self._add_block(event.get("content_block") or event.get("delta"))
        return ""

    def _add_usage(self, usage: Any) -> None:
        if usage is None or (self._usage is not None and not isinstance(self._usage, Mapping)):
            # What was no usage block once stays to be told: a later one could leave out what it had.
            return
        if self._usage is None or not isinstance(usage, Mapping):
            self._usage = usage
            return
        later = {field: value for field, value in usage.items() if value is not None}
        merged = {**self._usage, **later}
        # A later total without its split makes an earlier split that no longer fits void.
        if "cache_creation_input_tokens" in later and "cache_creation" not in later:
            split, total = merged.get("cache_creation"), merged["cache_creation_input_tokens"]
            if isinstance(split, Mapping) and isinstance(total, int) and _split_sum(split) > total:
                del merged["cache_creation"]
        self._usage = merged

    def _add_block(self, block: Any) -> str:
        if not isinstance(block, Mapping):
            return ""
        if block.get("type") in ("text", "text_delta"):
            text = reading.text_or_none(block.get("text")) or ""
            self._answer.append(text)
            return text
        self._aside += _written_beside(block)
        return ""

    def reported(self) -> Reported:
        """
        What the stream has said so far: each field of usage as it was said last.

        Raises:
            UnreadableReplyError: a usage block came and cannot be trusted, or none came and part of the
                stream is not JSON.
        """
        if self._broken and self._usage is None:
            raise reading.unreadable("stream", "has a piece that is not JSON, and no usage")
        return _reported(
            self._message, self._usage, finished=self._finished, answer=self._answer, aside=self._aside
        )


class _Inputs:
    """What a request gives to read, as it is collected."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.tools: list[str] = []
        self.unbounded: list[str] = []

    def add_content(self, content: Any, field: str) -> None:
        if content is None:
            return
        if isinstance(content, str):
            self._add_text(content)
            return
        if not isinstance(content, list):
            raise reading.wrong(field, "is neither text nor a list of blocks")
        for name, block in reading.objects_at({field: content}, field):
            self._add_block(block, name)

    def _add_text(self, text: str | None) -> None:
        if text:
            self.texts.append(text)

    def _add_block(self, block: Mapping[str, Any], field: str) -> None:
        kind = reading.text_at(block, "type", f"{field}.type") or ""
        if kind in ("text", "thinking"):
            self._add_text(reading.text_at(block, kind, f"{field}.{kind}"))
        elif kind == "redacted_thinking":
            self._add_text(reading.text_at(block, "data", f"{field}.data"))
        elif kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
            self._add_text(reading.text_at(block, "name", f"{field}.name"))
            self._add_text(reading.compact_json(block.get("input", {})))
        elif kind in ("tool_result", "compaction"):
            self.add_content(block.get("content"), f"{field}.content")
        elif kind == "search_result":
            self._add_text(reading.text_at(block, "title", f"{field}.title"))
            self._add_text(reading.text_at(block, "source", f"{field}.source"))
            self.add_content(block.get("content"), f"{field}.content")
        elif kind == "document":
            self._add_document(block, field)
        elif kind == "image":
            self.unbounded.append("an image")
        elif kind == "container_upload":
            self.unbounded.append("a file")
        elif kind == "tool_reference":
            # The definition that is pulled in stands in `tools` already.
            self._add_text(reading.text_at(block, "tool_name", f"{field}.tool_name"))
        elif kind.endswith("_tool_result"):
            # What a server tool of an earlier turn found, sent back as it came.
            self._add_text(reading.compact_json(block.get("content")))
        else:
            self.unbounded.append(f"a block of type {shown(kind)}")

    def _add_document(self, block: Mapping[str, Any], field: str) -> None:
        self._add_text(reading.text_at(block, "title", f"{field}.title"))
        self._add_text(reading.text_at(block, "context", f"{field}.context"))
        source = reading.object_at(block, "source", f"{field}.source")
        if source.get("type") == "text":
            self._add_text(reading.text_at(source, "data", f"{field}.source.data"))
        elif source.get("type") == "content":
            self.add_content(source.get("content"), f"{field}.source.content")
        else:
            self.unbounded.append("a document")


def _add_tools(body: Mapping[str, Any], inputs: _Inputs) -> None:
    for field, tool in reading.objects_at(body, "tools"):
        inputs.tools.append(reading.compact_json(tool))
        kind = reading.text_at(tool, "type", f"{field}.type") or "custom"
        if kind != "custom" and not _CALLER_RUNS.fullmatch(kind):
            inputs.unbounded.append(f"the server tool {shown(_DATE.sub('', kind))}")
    # https://platform.claude.com/docs/en/build-with-claude/structured-outputs
    config = reading.object_at(body, "output_config")
    formats = (
        reading.object_at(config, "format", "output_config.format"),
        reading.object_at(body, "output_format"),
    )
    inputs.tools += [reading.compact_json(found["schema"]) for found in formats if "schema" in found]


def _add_unbounded(body: Mapping[str, Any], inputs: _Inputs) -> None:
    if reading.list_at(body, "mcp_servers"):
        inputs.unbounded.append("MCP servers")
    if body.get("container") is not None:
        inputs.unbounded.append("a container")
    management = reading.object_at(body, "context_management")
    for field, edit in reading.objects_at(management, "edits", "context_management.edits"):
        kind = reading.text_at(edit, "type", f"{field}.type") or ""
        # Compaction reads everything once more to sum it up; the other edits only leave things out.
        # https://platform.claude.com/docs/en/build-with-claude/compaction
        if not kind.startswith("clear_"):
            inputs.unbounded.append("compaction")


def _dearest_cache_write(body: Mapping[str, Any]) -> str | None:
    """https://platform.claude.com/docs/en/build-with-claude/prompt-caching"""
    found = None
    for mark in _cache_marks(body):
        if isinstance(mark, Mapping) and mark.get("ttl") == "1h":
            return "1h"
        found = "5m" if mark is not None else found
    return found


def _cache_marks(body: Mapping[str, Any]) -> Iterator[Any]:
    # A stack instead of recursion: how deep a request nests is the caller's choice.
    rooms: list[Any] = [body.get("system"), body.get("messages"), body.get("tools")]
    yield body.get("cache_control")
    while rooms:
        room = rooms.pop()
        if isinstance(room, Mapping):
            yield room.get("cache_control")
            rooms += room.values()
        elif isinstance(room, list):
            rooms += room


def _written_beside(block: Mapping[str, Any]) -> Iterator[str]:
    """Texts of a block, or a delta of one, that the model wrote beside its answer."""
    kind = block.get("type")
    if kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
        yield reading.text_or_none(block.get("name")) or ""
        if block.get("input"):
            yield reading.compact_json(block["input"])
    fields = {
        "thinking": "thinking",
        "thinking_delta": "thinking",
        "input_json_delta": "partial_json",
        "compaction": "content",
        "compaction_delta": "content",
    }
    text = block.get(fields.get(str(kind), ""))
    if isinstance(text, str):
        yield text


def _reported(
    message: Mapping[str, Any], block: Any, *, finished: bool, answer: list[str], aside: list[str]
) -> Reported:
    usage: Usage | None = None
    others: tuple[tuple[str, Usage], ...] = ()
    tier = region = None
    if block is not None:
        if not isinstance(block, Mapping):
            raise reading.unreadable("usage", "is not an object")
        fast = block.get("speed") == "fast"
        tier = "fast" if fast else reading.text_or_none(block.get("service_tier"))
        region = reading.text_or_none(block.get("inference_geo"))
        usage, others = _read_usage(block)
    return Reported(
        model=reading.text_or_none(message.get("model")),
        usage=usage,
        reply_id=reading.text_or_none(message.get("id")),
        service_tier=tier,
        region=region,
        finished=finished,
        text="".join(answer),
        aside="".join(aside),
        others=others,
    )


def _read_usage(block: Mapping[str, Any]) -> tuple[Usage | None, tuple[tuple[str, Usage], ...]]:
    """
    A usage block as disjoint counts, and what other models used.

    Cached tokens stand beside `input_tokens`, thinking inside `output_tokens`.
    https://platform.claude.com/docs/en/api/messages#usage
    """
    if all(block.get(field) is None for field in _COUNTS):
        return None, ()
    own = _read_counts(block, "usage")
    others: dict[str, dict[str, int]] = {}
    passes = block.get("iterations") or []
    if not isinstance(passes, list):
        raise reading.unreadable("usage.iterations", "is not a list")
    if passes:
        # The top level leaves compaction out, and the advisor, which is billed as the model that it is.
        # https://platform.claude.com/docs/en/build-with-claude/compaction#understanding-usage
        # https://platform.claude.com/docs/en/agents-and-tools/tool-use/advisor-tool
        own = {}
        for number, found in enumerate(passes):
            field = f"usage.iterations[{number}]"
            if not isinstance(found, Mapping):
                raise reading.unreadable(field, "is not an object")
            sums = own
            if found.get("type") == "advisor_message":
                adviser = reading.text_or_none(found.get("model"))
                if adviser is None:
                    raise reading.unreadable(f"{field}.model", "is missing")
                sums = others.setdefault(adviser, {})
            for unit, count in _read_counts(found, field).items():
                sums[unit] = sums.get(unit, 0) + count
    details = reading.block_at(block, "output_tokens_details", "usage.output_tokens_details")
    field = "usage.output_tokens_details.thinking_tokens"
    thinking = reading.count_at(details, "thinking_tokens", field) or 0
    if thinking > own.get("output", 0):
        raise reading.unreadable(field, f"does not fit into the output ({thinking} > {own.get('output', 0)})")
    tools = reading.block_at(block, "server_tool_use", "usage.server_tool_use")
    field = "usage.server_tool_use.web_search_requests"
    searches = reading.count_at(tools, "web_search_requests", field) or 0
    own |= {"output": own.get("output", 0) - thinking, "reasoning": thinking, "web_searches": searches}
    return reading.usage_of(own), tuple((model, reading.usage_of(used)) for model, used in others.items())


def _read_counts(block: Mapping[str, Any], field: str) -> dict[str, int]:
    counts = {name: reading.count_at(block, name, f"{field}.{name}") for name in _COUNTS}
    split = reading.block_at(block, "cache_creation", f"{field}.cache_creation")
    short, long = (
        reading.count_at(split, name, f"{field}.cache_creation.{name}") or 0
        for name in ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
    )
    written = counts["cache_creation_input_tokens"]
    if written is None:
        written = short + long
    rest = written - short - long
    if rest < 0:
        raise reading.unreadable(
            f"{field}.cache_creation", f"does not fit into its total ({short + long} > {written})"
        )
    # A rest that the split leaves out takes the dearer rate where that one was used at all.
    if long:
        long += rest
    else:
        short += rest
    return {
        "input": counts["input_tokens"] or 0,
        "cached_input": counts["cache_read_input_tokens"] or 0,
        "cache_write": short,
        "cache_write_1h": long,
        "output": counts["output_tokens"] or 0,
    }


def _split_sum(split: Mapping[str, Any]) -> int:
    return sum(count for count in split.values() if isinstance(count, int))
