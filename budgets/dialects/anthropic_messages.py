"""
Anthropic Messages.

https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from budgets.asks import Ask
from budgets.dialects import reading
from budgets.dialects.anthropic_messages_request import read_request, region_of
from budgets.dialects.base import NO_HEADERS, Reported, Sent
from budgets.dialects.sse import Event, SseSplitter
from budgets.usage import Usage

_VERSION = "2023-06-01"

# The least that a thinking budget may be, and it must stay below `max_tokens`.
# https://platform.claude.com/docs/en/build-with-claude/extended-thinking
_LEAST_THINKING = 1024

_COUNTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")


class AnthropicMessages:
    """The dialect `anthropic-messages`."""

    name = "anthropic-messages"
    stream_types = ("text/event-stream",)

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
        return read_request(body)

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

    def sent(self, body: Mapping[str, Any]) -> Sent:
        """*body* as it goes out."""
        return Sent("/v1/messages", body)

    def received(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The request that *body* at *path* is."""
        return dict(body) if path.partition("?")[0].endswith("/v1/messages") else None

    def ask_for_usage(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of *body*: streams carry their usage without being asked."""
        return dict(body)

    def read_reply(self, body: Mapping[str, Any], _headers: Mapping[str, str] = NO_HEADERS, /) -> Reported:
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
        # Blocks that have begun and not ended, by their index.
        self._open: set[int] = set()
        # Why the answer ended was said.
        self._stopped = False
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
        return self.take(event)

    def take(self, event: Mapping[str, Any]) -> str:
        """Take one event; give back its answer text."""
        kind = event.get("type")
        if kind == "message_start" and isinstance(event.get("message"), Mapping):
            self._message = event["message"]
            self._add_usage(self._message.get("usage"))
        elif kind == "message_delta":
            self._add_usage(event.get("usage"))
            delta = event.get("delta")
            self._stopped = isinstance(delta, Mapping) and delta.get("stop_reason") is not None
        elif kind == "message_stop":
            self._finished = True
        elif kind == "content_block_stop":
            self._open.discard(event.get("index"))
        elif kind in ("content_block_start", "content_block_delta"):
            if kind == "content_block_start" and type(index := event.get("index")) is int:
                self._open.add(index)
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

    def cut_here(self, output_tokens: int) -> list[Event] | None:
        """Open blocks are stopped, then the message is, at `max_tokens`."""
        if self._finished or self._stopped:
            return None
        ended = {"stop_reason": "max_tokens", "stop_sequence": None}
        events: list[dict[str, Any]] = [
            *({"type": "content_block_stop", "index": index} for index in sorted(self._open)),
            {"type": "message_delta", "delta": ended, "usage": {"output_tokens": output_tokens}},
            {"type": "message_stop"},
        ]
        return [Event(event["type"], reading.compact_json(event)) for event in events]


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
        region = region_of(block.get("inference_geo"))
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
            if all(found.get(name) is None for name in ("input_tokens", "output_tokens")):
                raise reading.unreadable(field, "has no counts")
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
