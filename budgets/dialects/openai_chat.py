"""
OpenAI Chat Completions, and the many APIs that copy it.

https://platform.openai.com/docs/api-reference/chat
The copies differ in small ways; each difference stands below beside the page that describes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from budgets.asks import Ask
from budgets.dialects import reading
from budgets.dialects.base import NO_HEADERS, Reported, Sent
from budgets.dialects.bearer import ChatDialect
from budgets.dialects.openai_chat_request import LIMITS, own_limits, read_request, searches
from budgets.dialects.openai_usage import read_bill, read_usage
from budgets.dialects.sse import Event, SseSplitter
from budgets.usage import Usage

# OpenAI's own reasoning models refuse `max_tokens`; most copies know nothing else.
# https://platform.openai.com/docs/api-reference/chat/create#chat-create-max_tokens
_REFUSES_MAX_TOKENS = re.compile(r"(?:openai/)?(?:ft:)?(?:o[1-9]|gpt-[5-9])(?![0-9a-z])")


# https://learn.microsoft.com/azure/ai-services/openai/reference#chat-completions
_DEPLOYMENT = re.compile(r"/deployments/([^/]+)/chat/completions$")


class OpenAIChat(ChatDialect):
    """The dialect `openai-chat`."""

    name = "openai-chat"

    def read_request(self, body: Mapping[str, Any]) -> Ask:
        """
        What *body* asks for.

        Raises:
            InvalidValueError: it is no request of this dialect; the message names the field.
        """
        return read_request(body)

    def limit_output(self, body: Mapping[str, Any], tokens: int) -> dict[str, Any]:
        """
        A copy of *body* with at most *tokens* tokens for each answer, in the field that the caller used.

        Where the caller used none it is `max_completion_tokens` for OpenAI's reasoning models, which
        refuse the other one, and `max_tokens` for the rest: Mistral, for one, refuses the former.

        Raises:
            InvalidValueError: *tokens* is below 1, or the limit that is there is no number.
        """
        reading.check_limit(tokens)
        lowered = {field: min(limit, tokens) for field, limit in own_limits(body).items()}
        if not lowered:
            refuses = _REFUSES_MAX_TOKENS.match(reading.name_of_model(body))
            lowered = {LIMITS[0] if refuses else LIMITS[1]: tokens}
        # What is left out here is a limit of null or -1, which is none.
        return {**{field: value for field, value in body.items() if field not in LIMITS}, **lowered}

    def sent(self, body: Mapping[str, Any]) -> Sent:
        """*body* as it goes out."""
        return Sent("/chat/completions", body)

    def received(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The request that *body* at *path* is. Azure names the model in the path, as a deployment."""
        place, _, _ = path.partition("?")
        if not place.endswith("/chat/completions"):
            return None
        deployment = _DEPLOYMENT.search(place)
        named = {"model": reading.unescaped(deployment[1])} if deployment else {}
        return {**named, **body}

    def ask_for_usage(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """
        A copy of *body* whose stream ends with its usage.

        Not for every copy: `Provider.stream_usage_on_request` says who needs it and who refuses it.
        https://platform.openai.com/docs/api-reference/chat/create#chat-create-stream_options
        """
        if not reading.flag_at(body, "stream"):
            return dict(body)
        options = reading.object_at(body, "stream_options")
        return {**body, "stream_options": {**options, "include_usage": True}}

    def read_reply(self, body: Mapping[str, Any], _headers: Mapping[str, str] = NO_HEADERS, /) -> Reported:
        """
        What a plain reply reports.

        Raises:
            UnreadableReplyError: it has usage that cannot be trusted; the message names the field.
        """
        written = _Written()
        for choice in reading.objects_in(body.get("choices")):
            written.add(choice.get("message"))
        return Reported(
            model=reading.text_or_none(body.get("model")),
            usage=_with_searches(read_usage(body.get("usage")), body.get("model")),
            billed_picos=read_bill(body.get("usage")),
            reply_id=reading.text_or_none(body.get("id")),
            service_tier=reading.text_or_none(body.get("service_tier")),
            text="".join(written.answer),
            aside="".join(written.aside),
        )

    def read_stream(self) -> OpenAIChatStream:
        """A reader for one stream."""
        return OpenAIChatStream()

    def read_error(self, body: bytes) -> str:
        """The provider's own words from an error body, one line."""
        return reading.words_of_error(body)


class OpenAIChatStream:
    """Reads one stream of `chat.completion.chunk` events; `[DONE]` is its end."""

    # What a chunk is, and a choice of it in which nothing more is written.
    object_name = "chat.completion.chunk"
    nothing_more: ClassVar[Mapping[str, Any]] = {"delta": {}}

    def __init__(self) -> None:
        self._events = SseSplitter()
        self._written = _Written()
        self._usage: Any = None
        self._names: dict[str, str] = {}
        self._created = 0
        # Choice -> why it ended; `None`: it has not.
        self._choices: dict[int, str | None] = {}
        self._finished = False
        self._broken = False

    def feed(self, piece: bytes) -> str:
        """Take the next bytes; give back the answer text that they complete."""
        return "".join(self._take(event.data) for event in self._events.feed(piece))

    def _take(self, data: str) -> str:
        if data.strip() == "[DONE]":
            self._finished = True
            return ""
        chunk = reading.parse_object(data)
        if chunk is None:
            self._broken = True
            return ""
        for name in ("model", "id", "service_tier"):
            # The last one wins: some copies fill these in only after the first chunk.
            if value := reading.text_or_none(chunk.get(name)):
                self._names[name] = value
        # Usage comes with the last chunk, or grows from chunk to chunk: either way the last one holds.
        # Groq has it under `x_groq`, with and without being asked. https://console.groq.com/docs/api-reference
        groq = chunk.get("x_groq")
        for usage in (groq.get("usage") if isinstance(groq, Mapping) else None, chunk.get("usage")):
            if usage is not None:
                self._usage = usage
        if type(created := chunk.get("created")) is int:
            self._created = created
        return "".join(self._take_choice(choice) for choice in reading.objects_in(chunk.get("choices")))

    def _take_choice(self, choice: Mapping[str, Any]) -> str:
        if type(index := choice.get("index", 0)) is int:
            ended = reading.text_or_none(choice.get("finish_reason"))
            self._choices[index] = ended or self._choices.get(index)
        return self._written.add(self.written_in(choice))

    def written_in(self, choice: Mapping[str, Any]) -> Any:
        """What a chunk's choice has of its message."""
        return choice.get("delta")

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
            model=self._names.get("model"),
            usage=_with_searches(read_usage(self._usage), self._names.get("model")),
            billed_picos=read_bill(self._usage),
            reply_id=self._names.get("id"),
            service_tier=self._names.get("service_tier"),
            finished=self._finished,
            text="".join(self._written.answer),
            aside="".join(self._written.aside),
        )

    def cut_here(self, output_tokens: int) -> list[Event] | None:  # noqa: ARG002 - a chunk does not say it
        """A chunk with `finish_reason: length` for each choice that is open, then `[DONE]`."""
        running = [index for index, ended in sorted(self._choices.items()) if ended is None]
        if self._finished or (self._choices and not running):
            return None
        return [*(self._last_chunk(index) for index in running or [0]), Event("message", "[DONE]")]

    def _last_chunk(self, index: int) -> Event:
        chunk = {
            "id": self._names.get("id", ""),
            "object": self.object_name,
            "created": self._created,
            "model": self._names.get("model", ""),
            "choices": [{"index": index, **self.nothing_more, "logprobs": None, "finish_reason": "length"}],
        }
        return Event("message", reading.compact_json(chunk))


def _with_searches(usage: Usage | None, model: Any) -> Usage | None:
    """The usage with the searches that its model makes for every answer: no field counts them."""
    made = searches(model) if isinstance(model, str) else 0
    if usage is None or not made:
        return usage
    return reading.usage_of({**dict(usage.counts), "web_searches": made})


class _Written:
    """The texts of an answer, apart from what was written beside it."""

    def __init__(self) -> None:
        self.answer: list[str] = []
        self.aside: list[str] = []

    def add(self, message: Any) -> str:
        """Take a message or a delta; give back its answer text."""
        if not isinstance(message, Mapping):
            return ""
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(self._part(part) for part in reading.objects_in(content))
        text = content if isinstance(content, str) else ""
        self.answer.append(text)
        # DeepSeek says `reasoning_content`, Groq and OpenRouter `reasoning`; a reply that has both
        # says the same twice.
        reasoning = message.get("reasoning_content") or message.get("reasoning")
        calls = [call.get("function") for call in reading.objects_in(message.get("tool_calls"))]
        for call in (*calls, message.get("function_call")):
            if isinstance(call, Mapping):
                self._beside(call.get("name"), call.get("arguments"))
        self._beside(reasoning, message.get("refusal"))
        return text

    def _part(self, part: Mapping[str, Any]) -> str:
        for inner in reading.objects_in(part.get("thinking")):
            self._beside(inner.get("text"))
        return reading.text_or_none(part.get("text")) or ""

    def _beside(self, *texts: Any) -> None:
        self.aside += [text for text in texts if isinstance(text, str)]
