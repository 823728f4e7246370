"""
Bedrock's Converse API, the same for every vendor's models, plain and as a binary event stream.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from budgets.asks import Ask
from budgets.dialects import reading
from budgets.dialects.base import NO_HEADERS, Reported, Sent
from budgets.dialects.bedrock_converse_request import lowered, read_request
from budgets.dialects.eventstream import FrameSplitter
from budgets.dialects.sse import Event
from budgets.usage import Usage

_ADDRESS = re.compile(r"(?:^|/)model/(.+)/converse(-stream)?$")


class BedrockConverse:
    """The dialect `bedrock-converse`."""

    name = "bedrock-converse"
    stream_types = ("application/vnd.amazon.eventstream",)

    def headers(self, key: str | None) -> dict[str, str]:
        """
        The headers of a call with a Bedrock API key; calls signed otherwise bring their own.

        https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html

        Raises:
            InvalidValueError: no header can carry *key*.
        """
        return reading.bearer_headers(key)

    def build_request(
        self,
        *,
        model: str,
        messages: list[dict[str, Any]],
        system: str | None,
        temperature: float | None,
        stream: bool,
    ) -> dict[str, Any]:
        """A request, with the model and whether to stream beside what is sent."""
        body: dict[str, Any] = {
            "model": model,
            "messages": [
                {"role": message["role"], "content": [{"text": message["content"]}]} for message in messages
            ],
        }
        if system is not None:
            body["system"] = [{"text": system}]
        if temperature is not None:
            body["inferenceConfig"] = {"temperature": temperature}
        if stream:
            body["stream"] = True
        return body

    def read_request(self, body: Mapping[str, Any]) -> Ask:
        """
        What *body* asks for.

        Raises:
            InvalidValueError: it is no request of this dialect; the message names the field.
        """
        return read_request(body, dialect=self.name)

    def limit_output(self, body: Mapping[str, Any], tokens: int) -> dict[str, Any]:
        """
        A copy of *body* whose `inferenceConfig.maxTokens` is at most *tokens*.

        Raises:
            InvalidValueError: *tokens* is below 1, or leaves no room beside a thinking budget.
        """
        return lowered(body, tokens, "maxTokens")

    def sent(self, body: Mapping[str, Any]) -> Sent:
        """The model and the way of answering go into the address."""
        return address(body, "converse", "converse-stream")

    def received(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The request that *body* at *path* is, the model taken from there."""
        return from_address(_ADDRESS, path, body)

    def ask_for_usage(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of *body*: streams carry their usage without being asked."""
        return dict(body)

    def read_reply(self, body: Mapping[str, Any], _headers: Mapping[str, str] = NO_HEADERS, /) -> Reported:
        """
        What a plain reply reports. It does not name its model.

        Raises:
            UnreadableReplyError: it has usage that cannot be trusted; the message names the field.
        """
        written = Written()
        output = body.get("output")
        message = output.get("message") if isinstance(output, Mapping) else None
        for block in reading.objects_in(message.get("content") if isinstance(message, Mapping) else None):
            written.add(block)
        return reported(body, written, finished=True, stopped=body.get("stopReason"))

    def read_stream(self) -> BedrockConverseStream:
        """A reader for one stream."""
        return BedrockConverseStream()

    def read_error(self, body: bytes) -> str:
        """The provider's own words from an error body, one line."""
        return reading.words_of_error(body)


class BedrockConverseStream:
    """Reads one stream of frames, up to the `metadata` that ends it with the usage."""

    def __init__(self) -> None:
        self._frames = FrameSplitter()
        self._events = ConverseEvents()
        self._broken = False

    def feed(self, piece: bytes) -> str:
        """Take the next bytes; give back the answer text that they complete."""
        said = []
        for frame in self._frames.feed(piece):
            event = reading.parse_object(frame.payload)
            if event is None:
                self._broken = True
            elif frame.headers.get(":message-type") == "event":
                said.append(self._events.take(frame.headers.get(":event-type", ""), event))
        return "".join(said)

    def reported(self) -> Reported:
        """
        What the stream has said so far.

        Raises:
            UnreadableReplyError: a frame is damaged, a usage block came and cannot be trusted, or none came
                and part of the stream is not JSON.
        """
        if self._frames.damage is not None:
            raise reading.unreadable("stream", self._frames.damage)
        if self._broken and not self._events.metadata:
            raise reading.unreadable("stream", "has a piece that is not JSON, and no usage")
        events = self._events
        return reported(
            events.metadata, events.written, finished=bool(events.metadata), stopped=events.stopped
        )

    def cut_here(self, output_tokens: int) -> list[Event] | None:  # noqa: ARG002 - nothing is written
        """Frames are not events that anybody else writes: only the connection can be broken off."""
        return None if self._events.metadata else []


class ConverseEvents:
    """The events of a converse stream, however they arrive."""

    def __init__(self) -> None:
        self.written = Written()
        self.metadata: Mapping[str, Any] = {}
        # Why the answer ended.
        self.stopped: Any = None

    def take(self, kind: str, event: Mapping[str, Any]) -> str:
        """Take one event; give back its answer text."""
        if kind == "metadata":
            self.metadata = event
        elif kind == "messageStop":
            self.stopped = event.get("stopReason")
        elif kind in ("contentBlockDelta", "contentBlockStart"):
            block = event.get("delta") or event.get("start")
            if isinstance(block, Mapping):
                return self.written.add(block)
        return ""


class Written:
    """The texts of an answer, apart from what was written beside it."""

    def __init__(self) -> None:
        self.answer: list[str] = []
        self.aside: list[str] = []

    def add(self, block: Mapping[str, Any]) -> str:
        """Take a block of content, or a part of one; give back its answer text."""
        text = reading.text_or_none(block.get("text")) or ""
        self.answer.append(text)
        tool = block.get("toolUse")
        if isinstance(tool, Mapping):
            self.aside.append(reading.text_or_none(tool.get("name")) or "")
            given = tool.get("input")
            if given is not None:
                self.aside.append(given if isinstance(given, str) else reading.compact_json(given))
        thought = block.get("reasoningContent")
        if isinstance(thought, Mapping):
            whole = thought.get("reasoningText")
            found = whole.get("text") if isinstance(whole, Mapping) else thought.get("text")
            self.aside.append(reading.text_or_none(found) or "")
        return text


def address(body: Mapping[str, Any], plain: str, streamed: str) -> Sent:
    """The request *body* at the address that names its model, colons and slashes escaped."""
    model = reading.escaped(reading.name_of_model(body)).replace("/", "%2F")
    method = streamed if reading.flag_at(body, "stream") else plain
    inner = {key: value for key, value in body.items() if key not in ("model", "stream")}
    return Sent(f"/model/{model}/{method}", inner)


def from_address(pattern: re.Pattern[str], path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The request that *body* at *path* is; `None` where the path is not of that form."""
    found = pattern.search(path.partition("?")[0])
    if found is None:
        return None
    request = {**body, "model": reading.unescaped(found[1])}
    if found[2]:
        request["stream"] = True
    return request


def reported(reply: Mapping[str, Any], written: Written, *, finished: bool, stopped: Any) -> Reported:
    """What a reply, or the metadata of a stream, reports; *stopped* is why the answer ended."""
    tier = reading.text_or_none(_inner(reply, "serviceTier").get("type"))
    # Faster hardware has prices of its own, as a tier has.
    # https://docs.aws.amazon.com/bedrock/latest/userguide/latency-optimized-inference.html
    if _inner(reply, "performanceConfig").get("latency") == "optimized":
        tier = "optimized"
    return Reported(
        model=None,
        usage=read_usage(reply.get("usage")),
        service_tier=tier,
        finished=finished,
        text="".join(written.answer),
        aside="".join(written.aside),
        # https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-how.html
        guarded=stopped == "guardrail_intervened",
    )


def _inner(reply: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = reply.get(key)
    return found if isinstance(found, Mapping) else {}


def read_usage(block: Any) -> Usage | None:
    """
    A usage block as disjoint counts: cached tokens and cache writes stand beside `inputTokens`.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html

    Raises:
        UnreadableReplyError: it cannot be trusted; the message names the field.
    """
    if block is None:
        return None
    if not isinstance(block, Mapping):
        raise reading.unreadable("usage", "is not an object")
    read = reading.count_at(block, "inputTokens", "usage.inputTokens")
    written = reading.count_at(block, "outputTokens", "usage.outputTokens")
    cached = _either(block, "cacheReadInputTokens", "cacheReadInputTokenCount")
    stored = _either(block, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    if read is None and written is None and not cached and not stored:
        return None
    if read is None and not cached and not stored:
        raise reading.unreadable("usage.inputTokens", "is missing")
    long = _written_for_an_hour(block)
    reading.must_fit("usage.cacheDetails", long, stored)
    return reading.usage_of(
        {
            "input": read or 0,
            "cached_input": cached,
            "cache_write": stored - long,
            "cache_write_1h": long,
            "output": written or 0,
        }
    )


def _either(block: Mapping[str, Any], *keys: str) -> int:
    """The count under the first key that has one: Bedrock says these under two names."""
    for key in keys:
        count = reading.count_at(block, key, f"usage.{key}")
        if count is not None:
            return count
    return 0


def _written_for_an_hour(block: Mapping[str, Any]) -> int:
    """https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CacheDetail.html"""
    return sum(
        reading.count_at(each, "inputTokens", f"usage.cacheDetails[{number}].inputTokens") or 0
        for number, each in enumerate(reading.objects_in(block.get("cacheDetails")))
        if each.get("ttl") == "1h"
    )
