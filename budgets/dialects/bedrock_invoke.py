"""
Bedrock's InvokeModel, plain and streamed: bodies are the vendor's own, recognised by their shape.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from budgets.asks import Ask
from budgets.dialects import bedrock_converse, openai_usage, reading
from budgets.dialects.anthropic_messages import AnthropicMessages, AnthropicMessagesStream
from budgets.dialects.base import NO_HEADERS, Reported, Sent
from budgets.dialects.bedrock_converse import BedrockConverse, ConverseEvents
from budgets.dialects.bedrock_invoke_request import limit_output, read_request
from budgets.dialects.eventstream import FrameSplitter
from budgets.dialects.openai_chat import OpenAIChat
from budgets.dialects.sse import Event
from budgets.errors import UnreadableReplyError
from budgets.usage import Usage

_ADDRESS = re.compile(r"(?:^|/)model/(.+)/invoke(-with-response-stream)?$")

_VERSION = "bedrock-2023-05-31"

# Where a body counts nothing, Bedrock's own headers do, and in a stream the last piece.
_HEADERS = {
    "input": "x-amzn-bedrock-input-token-count",
    "output": "x-amzn-bedrock-output-token-count",
    "cached_input": "x-amzn-bedrock-cache-read-input-token-count",
    "cache_write": "x-amzn-bedrock-cache-write-input-token-count",
}
_METRICS = "amazon-bedrock-invocationMetrics"
_METRICS_COUNTS = {
    "input": "inputTokenCount",
    "output": "outputTokenCount",
    "cached_input": "cacheReadInputTokenCount",
    "cache_write": "cacheWriteInputTokenCount",
}


class BedrockInvoke:
    """The dialect `bedrock-invoke`."""

    name = "bedrock-invoke"
    stream_types = ("application/vnd.amazon.eventstream",)

    def headers(self, key: str | None) -> dict[str, str]:
        """
        The headers of a call with a Bedrock API key; calls signed otherwise bring their own.

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
        """
        A request for an Anthropic model.

        Raises:
            InvalidValueError: the model is another vendor's, whose bodies differ by model.
        """
        if "anthropic." not in model:
            raise reading.wrong(
                "model", "has a body of its vendor's own", "call it through Converse, which is one for all"
            )
        body = AnthropicMessages().build_request(
            model=model, messages=messages, system=system, temperature=temperature, stream=stream
        )
        return {"anthropic_version": _VERSION, **body}

    def read_request(self, body: Mapping[str, Any]) -> Ask:
        """
        What *body* asks for.

        Raises:
            InvalidValueError: it is no body that is known here; the message names the field.
        """
        return replace(read_request(body), dialect=self.name)

    def limit_output(self, body: Mapping[str, Any], tokens: int) -> dict[str, Any]:
        """
        A copy of *body* with at most *tokens* tokens of output, in the vendor's own field.

        Raises:
            InvalidValueError: *tokens* is below 1, or lowering would make the request invalid.
        """
        return limit_output(body, tokens)

    def sent(self, body: Mapping[str, Any]) -> Sent:
        """The model and the way of answering go into the address."""
        return bedrock_converse.address(body, "invoke", "invoke-with-response-stream")

    def received(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The request that *body* at *path* is, the model taken from there."""
        return bedrock_converse.from_address(_ADDRESS, path, body)

    def ask_for_usage(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of *body*: streams carry their usage without being asked."""
        return dict(body)

    def read_reply(self, body: Mapping[str, Any], headers: Mapping[str, str] = NO_HEADERS, /) -> Reported:
        """
        What a plain reply reports, in its body or else in its headers.

        Raises:
            UnreadableReplyError: it has usage that cannot be trusted; the message names the field.
        """
        reported = _read_body(body)
        if reported.usage is None:
            reported = replace(reported, usage=_counted_in(headers))
        tier = headers.get("x-amzn-bedrock-service-tier")
        return reported if tier is None else replace(reported, service_tier=tier.lower())

    def read_stream(self) -> BedrockInvokeStream:
        """A reader for one stream."""
        return BedrockInvokeStream()

    def read_error(self, body: bytes) -> str:
        """The provider's own words from an error body, one line."""
        return reading.words_of_error(body)


class BedrockInvokeStream:
    """Reads one stream of frames, each a piece of the vendor's own stream in base64."""

    def __init__(self) -> None:
        self._frames = FrameSplitter()
        self._anthropic = AnthropicMessagesStream()
        self._is_anthropic = False
        self._nova = ConverseEvents()
        self._answer: list[str] = []
        self._usage: Usage | None = None
        self._distrusted: Exception | None = None
        self._finished = False
        self._broken = False

    def feed(self, piece: bytes) -> str:
        """Take the next bytes; give back the answer text that they complete."""
        return "".join(
            self._take(frame.payload)
            for frame in self._frames.feed(piece)
            if frame.headers.get(":message-type") == "event"
        )

    def _take(self, payload: bytes) -> str:
        outer = reading.parse_object(payload) or {}
        try:
            inner = base64.b64decode(str(outer.get("bytes")), validate=True)
        except binascii.Error:
            inner = b""
        event = reading.parse_object(inner)
        if event is None:
            self._broken = True
            return ""
        if isinstance(event.get(_METRICS), Mapping):
            self._finished = True
            self._count(event[_METRICS], _METRICS_COUNTS, _METRICS)
        if str(event.get("type")).startswith(("message_", "content_block_")):
            self._is_anthropic = True
            return self._anthropic.take(event)
        text = "".join(
            self._nova.take(kind, value)
            for kind, value in event.items()
            if kind in ("contentBlockStart", "contentBlockDelta", "metadata") and isinstance(value, Mapping)
        )
        text += _text_of(event)
        self._answer.append(text)
        if "inputTextTokenCount" in event:
            # Titan counts in its last piece.
            counts = {"input": "inputTextTokenCount", "output": "totalOutputTextTokenCount"}
            self._count(event, counts, "stream")
        elif "prompt_token_count" in event:
            self._count(event, _LLAMA, "stream")
        return text

    def _count(self, block: Mapping[str, Any], names: Mapping[str, str], field: str) -> None:
        try:
            self._usage = _usage(block, names, field)
        except UnreadableReplyError as error:
            # Told when somebody asks: the rest of the answer still goes on.
            self._distrusted = error

    def reported(self) -> Reported:
        """
        What the stream has said so far: in the vendor's words where it has some, else in Bedrock's.

        Raises:
            UnreadableReplyError: a frame is damaged, a usage block came and cannot be trusted, or none came
                and part of the stream is not JSON.
        """
        if self._frames.damage is not None:
            raise reading.unreadable("stream", self._frames.damage)
        if self._distrusted is not None:
            raise self._distrusted
        if self._is_anthropic:
            found = self._anthropic.reported()
            return found if found.usage is not None else replace(found, usage=self._usage)
        usage = bedrock_converse.read_usage(self._nova.metadata.get("usage"))
        if self._broken and usage is None and self._usage is None:
            raise reading.unreadable("stream", "has a piece that is not JSON, and no usage")
        return Reported(
            model=None,
            usage=usage if usage is not None else self._usage,
            finished=self._finished or bool(self._nova.metadata),
            text="".join(self._answer),
            aside="".join(self._nova.written.aside),
        )

    def cut_here(self, output_tokens: int) -> list[Event] | None:  # noqa: ARG002 - nothing is written
        """Frames are not events that anybody else writes: only the connection can be broken off."""
        return None if self._finished else []


# https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-meta.html
_LLAMA = {"input": "prompt_token_count", "output": "generation_token_count"}


def _read_body(body: Mapping[str, Any]) -> Reported:
    usage = body.get("usage")
    if body.get("type") == "message" or (isinstance(usage, Mapping) and "input_tokens" in usage):
        return AnthropicMessages().read_reply(body)
    if "output" in body or (isinstance(usage, Mapping) and "inputTokens" in usage):
        return BedrockConverse().read_reply(body)
    if "choices" in body:
        return OpenAIChat().read_reply(body)
    text = _text_of(body)
    if "inputTextTokenCount" in body:
        return Reported(model=None, usage=_titan(body), text=text)
    if "prompt_token_count" in body:
        return Reported(model=None, usage=_usage(body, _LLAMA, "reply"), text=text)
    return Reported(model=None, usage=openai_usage.read_usage(usage), text=text)


def _titan(body: Mapping[str, Any]) -> Usage:
    """https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-text.html"""
    written = 0
    for number, result in enumerate(reading.objects_in(body.get("results"))):
        written += reading.count_at(result, "tokenCount", f"results[{number}].tokenCount") or 0
    read = reading.count_at(body, "inputTextTokenCount", "inputTextTokenCount")
    if read is None:
        raise reading.unreadable("inputTextTokenCount", "is missing")
    return reading.usage_of({"input": read, "output": written})


def _text_of(body: Mapping[str, Any]) -> str:
    """The answer in one of the forms that vendors without a message format have."""
    found = [body.get(key) for key in ("outputText", "generation", "text", "completion")]
    for key in ("results", "outputs", "generations", "choices"):
        for part in reading.objects_in(body.get(key)):
            delta = part.get("delta") or part.get("message")
            inner = delta.get("content") if isinstance(delta, Mapping) else None
            found += [part.get("outputText"), part.get("text"), inner]
    return "".join(text for text in found if isinstance(text, str))


def _usage(block: Mapping[str, Any], names: Mapping[str, str], field: str) -> Usage | None:
    counts = {unit: reading.count_at(block, name, f"{field}.{name}") for unit, name in names.items()}
    if all(count is None for count in counts.values()):
        return None
    if counts["input"] is None:
        raise reading.unreadable(f"{field}.{names['input']}", "is missing")
    return reading.usage_of({unit: count or 0 for unit, count in counts.items()})


def _counted_in(headers: Mapping[str, str]) -> Usage | None:
    counts: dict[str, Any] = {}
    for name in _HEADERS.values():
        if (text := headers.get(name)) is not None:
            # Anything but digits stays the text that it is, and is refused as a count.
            counts[name] = int(text) if re.fullmatch(r"[0-9]{1,13}", text, re.ASCII) else text
    return _usage(counts, _HEADERS, "header")
