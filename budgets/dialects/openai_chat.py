"""
OpenAI Chat Completions, and the many APIs that copy it.

https://platform.openai.com/docs/api-reference/chat
The copies differ in small ways; each difference stands below beside the page that describes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from budgets.asks import Ask
from budgets.dialects import reading
from budgets.dialects.base import Reported
from budgets.dialects.sse import SseSplitter
from budgets.money import shown
from budgets.usage import Usage

_LIMITS = ("max_completion_tokens", "max_tokens")

# OpenAI's own reasoning models refuse `max_tokens`; most copies know nothing else.
# https://platform.openai.com/docs/api-reference/chat/create#chat-create-max_tokens
_REFUSES_MAX_TOKENS = re.compile(r"(?:openai/)?(?:ft:)?(?:o[1-9]|gpt-[5-9])(?![0-9a-z])")

# Models that reason without being asked to, by the last part of their name.
_REASONS = re.compile(
    r"(?:ft:)?(?:"
    r"o[1-9](?![0-9a-z])"  # https://platform.openai.com/docs/guides/reasoning
    r"|gpt-[5-9](?![0-9a-z])(?!.*-chat)|gpt-oss-"
    r"|deepseek-(?:reasoner|r1)(?![0-9a-z])"  # https://api-docs.deepseek.com/guides/reasoning_model
    r"|magistral-"  # https://docs.mistral.ai/capabilities/reasoning/
    r"|grok-(?:3-mini|[4-9])(?![0-9a-z])(?!.*non-reasoning)"  # https://docs.x.ai/docs/guides/reasoning
    r"|gemini-(?:2\.5-(?:pro|flash(?!-lite))|[3-9])"  # https://ai.google.dev/gemini-api/docs/thinking
    r"|qwq-|.*:thinking$|.*-thinking(?:-|$)"
    r")"
)

# Parts whose tokens depend on what they show, not on how long they are.
_PARTS = {
    "image_url": "an image",
    "input_audio": "audio",
    "file": "a file",
    "video_url": "a video",
    "document_url": "a document",  # https://docs.mistral.ai/capabilities/document_ai/document_qna/
}


class OpenAIChat:
    """The dialect `openai-chat`."""

    name = "openai-chat"
    path = "/chat/completions"

    def headers(self, key: str | None) -> dict[str, str]:
        """
        The headers of a call; without *key* for servers that want none.

        Raises:
            InvalidValueError: no header can carry *key*.
        """
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["authorization"] = f"Bearer {reading.usable_key(key)}"
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
        """A request body, the system prompt as its first message."""
        first = [] if system is None else [{"role": "system", "content": system}]
        body: dict[str, Any] = {"model": model, "messages": [*first, *messages]}
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
        for field, message in messages:
            inputs.add_message(message, field)
        _add_tools(body, inputs)
        _add_unbounded(body, model, inputs)
        return Ask(
            dialect=self.name,
            model=model,
            texts=tuple(inputs.texts),
            tools=tuple(inputs.tools),
            messages=len(messages),
            output_limit=max(_own_limits(body).values(), default=None),
            answers=reading.whole_number_at(body, "n", least=1) or 1,
            stream=reading.flag_at(body, "stream"),
            reasoning=_reasons(body, model),
            cache_write=inputs.cache_write,
            service_tier=reading.text_at(body, "service_tier"),
            unbounded=tuple(dict.fromkeys(inputs.unbounded)),
        )

    def limit_output(self, body: Mapping[str, Any], tokens: int) -> dict[str, Any]:
        """
        A copy of *body* with at most *tokens* tokens for each answer, in the field that the caller used.

        Where the caller used none it is `max_completion_tokens` for OpenAI's reasoning models, which
        refuse the other one, and `max_tokens` for the rest: Mistral, for one, refuses the former.

        Raises:
            InvalidValueError: *tokens* is below 1, or the limit that is there is no number.
        """
        reading.check_limit(tokens)
        lowered = {field: min(limit, tokens) for field, limit in _own_limits(body).items()}
        if not lowered:
            refuses = _REFUSES_MAX_TOKENS.match(reading.name_of_model(body))
            lowered = {_LIMITS[0] if refuses else _LIMITS[1]: tokens}
        # What is left out here is a limit of null or -1, which is none.
        return {**{field: value for field, value in body.items() if field not in _LIMITS}, **lowered}

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

    def read_reply(self, body: Mapping[str, Any]) -> Reported:
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
            usage=_read_usage(body.get("usage")),
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

    def __init__(self) -> None:
        self._events = SseSplitter()
        self._written = _Written()
        self._usage: Any = None
        self._names: dict[str, str] = {}
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
        return "".join(
            self._written.add(choice.get("delta")) for choice in reading.objects_in(chunk.get("choices"))
        )

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
            usage=_read_usage(self._usage),
            reply_id=self._names.get("id"),
            service_tier=self._names.get("service_tier"),
            finished=self._finished,
            text="".join(self._written.answer),
            aside="".join(self._written.aside),
        )


def _own_limits(body: Mapping[str, Any]) -> dict[str, int]:
    """The caller's own output limits. Local servers take -1 for "no limit", which is none."""
    limits = {field: reading.whole_number_at(body, field, least=-1) for field in _LIMITS}
    for field, limit in limits.items():
        if limit == 0:
            raise reading.wrong(field, "is 0, so no answer fits", "give 1 or more")
    return {field: limit for field, limit in limits.items() if limit is not None and limit > 0}


def _reasons(body: Mapping[str, Any], model: str) -> bool:
    effort = reading.text_at(body, "reasoning_effort")
    # OpenRouter: {"effort": "high"} or {"enabled": true}.
    # https://openrouter.ai/docs/use-cases/reasoning-tokens
    reasoning = reading.object_at(body, "reasoning")
    # DeepSeek, Z.AI: {"type": "enabled"}. https://docs.z.ai/guides/capabilities/thinking-mode
    thinking = reading.object_at(body, "thinking")
    effort = effort or reading.text_at(reasoning, "effort", "reasoning.effort")
    if effort is not None:
        return effort != "none"
    if reasoning.get("enabled") is False or thinking.get("type") == "disabled":
        return False
    return bool(reasoning or thinking) or _REASONS.match(model.rpartition("/")[2]) is not None


class _Inputs:
    """What a request gives to read, as it is collected."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.tools: list[str] = []
        self.unbounded: list[str] = []
        self.cache_write: str | None = None

    def add_message(self, message: Mapping[str, Any], field: str) -> None:
        if reading.text_at(message, "role", f"{field}.role") is None:
            raise reading.wrong(f"{field}.role", "is missing")
        # The copies send earlier reasoning back under one of two names; it is read again where it is kept.
        for key in ("name", "refusal", "reasoning_content", "reasoning"):
            self._add_text(reading.text_at(message, key, f"{field}.{key}"))
        self._add_content(message.get("content"), f"{field}.content")
        for name, call in reading.objects_at(message, "tool_calls", f"{field}.tool_calls"):
            self._add_call(call, "function", name)
            self._add_call(call, "custom", name)
        self._add_call(message, "function_call", field)
        if message.get("audio") is not None:
            self.unbounded.append("an earlier audio answer")

    def _add_text(self, text: str | None) -> None:
        if text:
            self.texts.append(text)

    def _add_call(self, call: Mapping[str, Any], key: str, field: str) -> None:
        function = reading.object_at(call, key, f"{field}.{key}")
        self._add_text(reading.text_at(function, "name", f"{field}.{key}.name"))
        for part in ("arguments", "input"):
            given = function.get(part)
            # Ollama and Mistral take the arguments as an object, too.
            self._add_text(given if isinstance(given, str | None) else reading.compact_json(given))

    def _add_content(self, content: Any, field: str) -> None:
        if content is None:
            return
        if isinstance(content, str):
            self._add_text(content)
            return
        if not isinstance(content, list):
            raise reading.wrong(field, "is neither text nor a list of parts")
        for name, part in reading.objects_at({field: content}, field):
            self._add_part(part, name)

    def _add_part(self, part: Mapping[str, Any], field: str) -> None:
        kind = reading.text_at(part, "type", f"{field}.type")
        if kind in ("text", "refusal"):
            self._add_text(reading.text_at(part, kind, f"{field}.{kind}"))
        elif kind == "thinking":
            # Mistral's reasoning, itself a list of parts. https://docs.mistral.ai/capabilities/reasoning/
            self._add_content(part.get("thinking"), f"{field}.thinking")
        elif kind in _PARTS:
            self.unbounded.append(_PARTS[kind])
        else:
            self.unbounded.append(f"a part of type {shown(str(kind))}")
        # OpenRouter hands caching marks on to the vendors that want them.
        # https://openrouter.ai/docs/features/prompt-caching
        mark = reading.object_at(part, "cache_control", f"{field}.cache_control")
        if mark:
            self.cache_write = "1h" if "1h" in (mark.get("ttl"), self.cache_write) else "5m"


def _add_tools(body: Mapping[str, Any], inputs: _Inputs) -> None:
    for field, tool in reading.objects_at(body, "tools"):
        inputs.tools.append(reading.compact_json(tool))
        kind = reading.text_at(tool, "type", f"{field}.type") or "function"
        if kind not in ("function", "custom"):
            # Groq's browser search, xAI's live search and the like run at the provider's.
            inputs.unbounded.append(f"the server tool {shown(kind)}")
    inputs.tools += [reading.compact_json(function) for _, function in reading.objects_at(body, "functions")]
    answer = reading.object_at(body, "response_format")
    # OpenAI has the schema under `json_schema`, with its name; Together and llama.cpp under `schema`.
    for key in ("json_schema", "schema"):
        if schema := reading.object_at(answer, key, f"response_format.{key}"):
            inputs.tools.append(reading.compact_json(schema))


def _add_unbounded(body: Mapping[str, Any], model: str, inputs: _Inputs) -> None:
    reasons = {
        # https://platform.openai.com/docs/guides/tools-web-search
        "a web search": body.get("web_search_options") is not None or "-search-preview" in model,
        # Rejected tokens of a prediction are billed as output on top of the answer.
        # https://platform.openai.com/docs/guides/predicted-outputs
        "a predicted output": body.get("prediction") is not None,
        # https://docs.x.ai/docs/guides/live-search
        "a live search": body.get("search_parameters") is not None,
        # https://openrouter.ai/docs/features/web-search
        "plugins": bool(body.get("plugins")) or model.endswith(":online"),
        # https://openrouter.ai/docs/features/model-routing
        "fallback models": bool(body.get("models")),
    }
    inputs.unbounded += [reason for reason, found in reasons.items() if found]
    for modality in reading.list_at(body, "modalities"):
        if modality != "text":
            inputs.unbounded.append(f"an answer as {shown(str(modality))}")


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


def _read_usage(block: Any) -> Usage | None:
    """
    A usage block as disjoint counts.

    https://platform.openai.com/docs/api-reference/chat/object#chat-object-usage
    """
    if block is None:
        return None
    if not isinstance(block, Mapping):
        raise reading.unreadable("usage", "is not an object")
    prompt = reading.count_at(block, "prompt_tokens", "usage.prompt_tokens")
    completion = reading.count_at(block, "completion_tokens", "usage.completion_tokens")
    if prompt is None and completion is None:
        # Some copies send an empty block where they have nothing to say.
        return None
    if prompt is None:
        raise reading.unreadable("usage.prompt_tokens", "is missing")
    return reading.usage_of({**_read_input(block, prompt), **_read_output(block, prompt, completion or 0)})


def _read_input(block: Mapping[str, Any], prompt: int) -> dict[str, int]:
    field = "usage.prompt_tokens_details"
    details = reading.block_at(block, "prompt_tokens_details", field)
    cached = _cached(block, details)
    # OpenAI and OpenRouter have writes inside `prompt_tokens`.
    # https://openrouter.ai/docs/use-cases/usage-accounting
    written = reading.count_at(details, "cache_write_tokens", f"{field}.cache_write_tokens") or 0
    audio = reading.count_at(details, "audio_tokens", f"{field}.audio_tokens") or 0
    _must_fit(f"{field}.audio_tokens", audio, prompt)
    _must_fit(f"{field}.cached_tokens", cached + written, prompt)
    # Nothing says how much of the cached part is audio, so it is text as far as the text reaches.
    cached_audio = max(0, cached + written + audio - prompt)
    _must_fit(f"{field}.audio_tokens", cached_audio, cached)
    return {
        "input": prompt - written - audio - (cached - cached_audio),
        "cached_input": cached - cached_audio,
        "cache_write": written,
        "input_audio": audio - cached_audio,
        "cached_input_audio": cached_audio,
    }


def _cached(block: Mapping[str, Any], details: Mapping[str, Any]) -> int:
    places = (
        (details, "cached_tokens", "usage.prompt_tokens_details.cached_tokens"),
        # https://api-docs.deepseek.com/guides/kv_cache
        (block, "prompt_cache_hit_tokens", "usage.prompt_cache_hit_tokens"),
        # Mistral: https://docs.mistral.ai/api/endpoint/chat
        (block, "num_cached_tokens", "usage.num_cached_tokens"),
        # Moonshot: https://platform.moonshot.ai/docs/api/chat
        (block, "cached_tokens", "usage.cached_tokens"),
    )
    for place, key, field in places:
        count = reading.count_at(place, key, field)
        if count is not None:
            return count
    return 0


def _read_output(block: Mapping[str, Any], prompt: int, completion: int) -> dict[str, int]:
    field = "usage.completion_tokens_details"
    details = reading.block_at(block, "completion_tokens_details", field)
    reasoning = reading.count_at(details, "reasoning_tokens", f"{field}.reasoning_tokens") or 0
    audio = reading.count_at(details, "audio_tokens", f"{field}.audio_tokens") or 0
    image = reading.count_at(details, "image_tokens", f"{field}.image_tokens") or 0
    total = reading.count_at(block, "total_tokens", "usage.total_tokens") or 0
    # OpenAI has reasoning inside `completion_tokens`. Where the total is more than prompt and completion,
    # the rest was thought outside of it: xAI says so beside it, Gemini's compatible endpoint does not.
    # https://docs.x.ai/docs/guides/reasoning
    # A total below its parts says nothing: the parts are what is billed.
    outside = max(0, total - prompt - completion)
    inside = max(0, reasoning - outside)
    _must_fit(f"{field}.reasoning_tokens", inside, completion)
    _must_fit(f"{field}.audio_tokens", inside + audio, completion)
    _must_fit(f"{field}.image_tokens", inside + audio + image, completion)
    return {
        "output": completion - inside - audio - image,
        "reasoning": inside + outside,
        "output_audio": audio,
        "output_image": image,
    }


def _must_fit(field: str, count: int, whole: int) -> None:
    if count > whole:
        raise reading.unreadable(field, f"does not fit into its total ({count} > {whole})")
