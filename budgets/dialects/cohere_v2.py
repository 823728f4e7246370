"""
Cohere's API, version 2: chat and embeddings.

https://docs.cohere.com/reference/chat
https://docs.cohere.com/reference/embed
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from budgets.asks import Ask
from budgets.dialects import reading
from budgets.dialects.base import NO_HEADERS, Reported, Sent
from budgets.dialects.bearer import ChatDialect
from budgets.dialects.inputs import Inputs
from budgets.dialects.sse import Event, SseSplitter
from budgets.money import shown
from budgets.usage import MOST_COUNT, Usage


class CohereV2(ChatDialect):
    """The dialect `cohere-v2`."""

    name = "cohere-v2"

    def read_request(self, body: Mapping[str, Any]) -> Ask:
        """
        What *body* asks for: an answer, or vectors.

        Raises:
            InvalidValueError: it is no request of this dialect; the message names the field.
        """
        model = reading.name_of_model(body)
        inputs = _Inputs()
        embeds = _embeds(body)
        messages = inputs.add_embedded(body) if embeds else inputs.add_chat(body)
        thinking = reading.object_at(body, "thinking")
        return Ask(
            dialect=self.name,
            model=model,
            texts=tuple(inputs.texts),
            tools=tuple(inputs.tools),
            messages=messages,
            output_limit=0 if embeds else reading.whole_number_at(body, "max_tokens", least=1),
            stream=reading.flag_at(body, "stream"),
            # https://docs.cohere.com/docs/reasoning: on by default where the model can.
            reasoning=thinking.get("type") == "enabled"
            or ("-reasoning-" in model and thinking.get("type") != "disabled"),
            unbounded=inputs.reasons,
        )

    def limit_output(self, body: Mapping[str, Any], tokens: int) -> dict[str, Any]:
        """
        A copy of *body* whose `max_tokens`, thinking included, is at most *tokens*.

        Raises:
            InvalidValueError: *tokens* is below 1, or the limit that is there is no number.
        """
        if _embeds(body):
            return dict(body)
        reading.check_limit(tokens)
        own = reading.whole_number_at(body, "max_tokens", least=1)
        return {**body, "max_tokens": tokens if own is None else min(own, tokens)}

    def sent(self, body: Mapping[str, Any]) -> Sent:
        """*body* as it goes out."""
        return Sent("/v2/embed" if _embeds(body) else "/v2/chat", body)

    def received(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The request that *body* at *path* is."""
        return dict(body) if path.partition("?")[0].endswith(("/v2/chat", "/v2/embed")) else None

    def ask_for_usage(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of *body*: streams carry their usage without being asked."""
        return dict(body)

    def read_reply(self, body: Mapping[str, Any], _headers: Mapping[str, str] = NO_HEADERS, /) -> Reported:
        """
        What a plain reply reports. It does not name its model.

        Raises:
            UnreadableReplyError: it has usage that cannot be trusted; the message names the field.
        """
        answer: list[str] = []
        aside: list[str] = []
        message = body.get("message")
        if isinstance(message, Mapping):
            for part in reading.objects_in(message.get("content")):
                answer.append(reading.text_or_none(part.get("text")) or "")
                aside.append(reading.text_or_none(part.get("thinking")) or "")
            aside += _tool_texts(message)
        place = "meta" if "embeddings" in body or "meta" in body else "usage"
        return Reported(
            model=None,
            usage=_read_usage(body.get(place), place),
            reply_id=reading.text_or_none(body.get("id")),
            text="".join(answer),
            aside="".join(aside),
        )

    def read_stream(self) -> CohereV2Stream:
        """A reader for one stream."""
        return CohereV2Stream()

    def read_error(self, body: bytes) -> str:
        """The provider's own words from an error body, one line."""
        return reading.words_of_error(body)


class CohereV2Stream:
    """
    Reads one stream, from `message-start` to `message-end`, which carries the usage.

    https://docs.cohere.com/v2/docs/streaming
    """

    def __init__(self) -> None:
        self._events = SseSplitter()
        self._id: str | None = None
        self._usage: Any = None
        self._answer: list[str] = []
        self._aside: list[str] = []
        # Parts of the content that have begun and not ended, by their index.
        self._open: set[int] = set()
        self._finished = False
        self._broken = False

    def feed(self, piece: bytes) -> str:
        """Take the next bytes; give back the answer text that they complete."""
        return "".join(self._take(event.data) for event in self._events.feed(piece))

    def _take(self, data: str) -> str:
        if data.strip() == "[DONE]":
            return ""
        event = reading.parse_object(data)
        if event is None:
            self._broken = True
            return ""
        kind, delta = event.get("type"), event.get("delta")
        self._id = reading.text_or_none(event.get("id")) or self._id
        if type(index := event.get("index")) is int:
            if kind == "content-start":
                self._open.add(index)
            elif kind == "content-end":
                self._open.discard(index)
        if not isinstance(delta, Mapping):
            return ""
        if kind == "message-end":
            self._usage = delta.get("usage")
            self._finished = True
            return ""
        message = delta.get("message")
        if not isinstance(message, Mapping):
            return ""
        self._aside += _tool_texts(message)
        content = message.get("content")
        if not isinstance(content, Mapping):
            return ""
        self._aside.append(reading.text_or_none(content.get("thinking")) or "")
        text = reading.text_or_none(content.get("text")) or ""
        self._answer.append(text)
        return text

    def reported(self) -> Reported:
        """
        What the stream has said so far.

        Raises:
            UnreadableReplyError: a usage block came and cannot be trusted, or none came and part of the
                stream is not JSON.
        """
        if self._broken and self._usage is None:
            raise reading.unreadable("stream", "has a piece that is not JSON, and no usage")
        return Reported(
            model=None,
            usage=_read_usage(self._usage, "usage"),
            reply_id=self._id,
            finished=self._finished,
            text="".join(self._answer),
            aside="".join(self._aside),
        )

    def cut_here(self, output_tokens: int) -> list[Event] | None:
        """Open parts are ended, then the message is, at `MAX_TOKENS`."""
        if self._finished:
            return None
        units = {"output_tokens": output_tokens}
        ended = {"finish_reason": "MAX_TOKENS", "usage": {"billed_units": units, "tokens": units}}
        events: list[dict[str, Any]] = [
            *({"type": "content-end", "index": index} for index in sorted(self._open)),
            {"type": "message-end", "id": self._id, "delta": ended},
        ]
        return [Event(event["type"], reading.compact_json(event)) for event in events]


def _embeds(body: Mapping[str, Any]) -> bool:
    return "messages" not in body and any(key in body for key in ("texts", "images", "inputs"))


class _Inputs(Inputs):
    """What a request gives to read, as it is collected."""

    def add_chat(self, body: Mapping[str, Any]) -> int:
        """All of a chat; give back how many messages it is."""
        messages = list(reading.objects_at(body, "messages"))
        if not messages:
            raise reading.wrong("messages", "is missing or empty")
        for field, message in messages:
            if reading.text_at(message, "role", f"{field}.role") is None:
                raise reading.wrong(f"{field}.role", "is missing")
            self._add_content(message.get("content"), f"{field}.content")
            self.add_text(reading.text_at(message, "tool_plan", f"{field}.tool_plan"))
            for _, call in reading.objects_at(message, "tool_calls", f"{field}.tool_calls"):
                self.add_json(call.get("function"))
        for number, document in enumerate(reading.list_at(body, "documents")):
            if isinstance(document, str):
                self.add_text(document)
            elif isinstance(document, Mapping):
                self.add_json(document)
            else:
                raise reading.wrong(f"documents[{number}]", "is neither text nor an object")
        self.tools += [reading.compact_json(tool) for _, tool in reading.objects_at(body, "tools")]
        answer = reading.object_at(body, "response_format")
        if "json_schema" in answer:
            self.tools.append(reading.compact_json(answer["json_schema"]))
        return len(messages)

    def add_embedded(self, body: Mapping[str, Any]) -> int:
        """All that is to be embedded; give back how many things it is."""
        texts, images = reading.list_at(body, "texts"), reading.list_at(body, "images")
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise reading.wrong(f"texts[{number}]", "is not text")
            self.add_text(text)
        if images:
            self.unbounded.append("an image")
        mixed = list(reading.objects_at(body, "inputs"))
        for field, each in mixed:
            self._add_content(each.get("content"), f"{field}.content")
        return len(texts) + len(images) + len(mixed)

    def _add_content(self, content: Any, field: str) -> None:
        if content is None or isinstance(content, str):
            self.add_text(content)
            return
        for name, part in reading.objects_at({field: content}, field):
            kind = reading.text_at(part, "type", f"{name}.type") or "text"
            if kind in ("text", "thinking"):
                self.add_text(reading.text_at(part, kind, f"{name}.{kind}"))
            elif kind == "document":
                self.add_json(part.get("document"))
            elif kind == "image_url":
                self.unbounded.append("an image")
            else:
                self.unbounded.append(f"a part of type {shown(kind)}")


def _tool_texts(message: Mapping[str, Any]) -> list[str]:
    texts = [reading.text_or_none(message.get("tool_plan")) or ""]
    calls = message.get("tool_calls")
    # In a stream it is one call, in a plain reply a list of them.
    for call in [calls] if isinstance(calls, Mapping) else reading.objects_in(calls):
        function = call.get("function")
        if isinstance(function, Mapping):
            texts += [text for key in ("name", "arguments") if isinstance(text := function.get(key), str)]
    return texts


def _read_usage(block: Any, place: str) -> Usage | None:
    """
    What is billed: `billed_units`, which leave out what Cohere adds of its own; `tokens` have that as well.

    Cached tokens are told beside and have no price of their own.
    https://docs.cohere.com/v2/docs/how-does-cohere-pricing-work
    """
    if block is None:
        return None
    if not isinstance(block, Mapping):
        raise reading.unreadable(place, "is not an object")
    for name in ("billed_units", "tokens"):
        field = f"{place}.{name}"
        units = reading.block_at(block, name, field)
        keys = ("input_tokens", "output_tokens", "image_tokens", "search_units")
        read, written, seen, searches = (whole_number(units, key, f"{field}.{key}") for key in keys)
        if searches:
            raise reading.unreadable(
                f"{field}.search_units", "is a unit of reranking, which is a call of its own"
            )
        if read is not None or written is not None or seen is not None:
            return reading.usage_of({"input": read or 0, "input_image": seen or 0, "output": written or 0})
    return None


def whole_number(units: Mapping[str, Any], key: str, field: str) -> int | None:
    """
    The count under *key*; `None` when it is absent or null.

    Cohere's schema has these as numbers, so a whole one may be written with a fraction of 0.

    Raises:
        UnreadableReplyError: it is no count.
    """
    value = units.get(key)
    if isinstance(value, Decimal | float) and 0 <= value <= MOST_COUNT and value == int(value):
        return int(value)
    return reading.count_at(units, key, field)
