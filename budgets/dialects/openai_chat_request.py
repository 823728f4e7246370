"""What an OpenAI chat completion asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from budgets.asks import Ask
from budgets.dialects import reading
from budgets.dialects.inputs import Inputs
from budgets.dialects.pictures import image_at
from budgets.money import shown

LIMITS = ("max_completion_tokens", "max_tokens")

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

# OpenAI's models that search the web before every answer. A search is billed and not reported.
# https://platform.openai.com/docs/guides/tools-web-search?api-mode=chat
_SEARCHES = re.compile(r"(?:gpt-4o(?:-mini)?-search-preview|gpt-5-search-api)(?:-\d{4}-\d{2}-\d{2})?")

# Parts whose tokens depend on what they show, not on how long they are.
_PARTS = {
    "input_audio": "audio",
    "file": "a file",
    "video_url": "a video",
    "document_url": "a document",  # https://docs.mistral.ai/capabilities/document_ai/document_qna/
}
# What of them may be billed at prices of its own. A video has sound.
_MEDIA = {"input_audio": ("audio",), "video_url": ("audio", "video")}


def read_request(body: Mapping[str, Any]) -> Ask:
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
    together = _called_together(messages)
    for field, message in messages:
        inputs.add_message(message, field)
        if message.get("tool_call_id") in together:
            inputs.together += _texts_of(message.get("content"))
    _add_tools(body, inputs)
    _add_unbounded(body, model, inputs)
    return inputs.ask(
        dialect="openai-chat",
        model=model,
        messages=len(messages),
        output_limit=max(own_limits(body).values(), default=None),
        answers=reading.whole_number_at(body, "n", least=1) or 1,
        stream=reading.flag_at(body, "stream"),
        reasoning=_reasons(body, model),
        searches=searches(model),
        service_tier=reading.text_at(body, "service_tier"),
    )


def own_limits(body: Mapping[str, Any]) -> dict[str, int]:
    """The caller's own output limits. Local servers take -1 for "no limit", which is none."""
    limits = {field: reading.whole_number_at(body, field, least=-1) for field in LIMITS}
    for field, limit in limits.items():
        if limit == 0:
            raise reading.wrong(field, "is 0, so no answer fits", "give 1 or more")
    return {field: limit for field, limit in limits.items() if limit is not None and limit > 0}


def reasons_by_name(model: str) -> bool:
    """Whether *model* is known to reason without being asked to."""
    return _REASONS.match(model.rpartition("/")[2]) is not None


def searches(model: str) -> int:
    """How many web searches *model* makes for every answer, whatever is asked: 1 or none."""
    return int(_SEARCHES.fullmatch(model) is not None)


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
    return bool(reasoning or thinking) or reasons_by_name(model)


class _Inputs(Inputs):
    """What a request gives to read, as it is collected."""

    def add_message(self, message: Mapping[str, Any], field: str) -> None:
        if reading.text_at(message, "role", f"{field}.role") is None:
            raise reading.wrong(f"{field}.role", "is missing")
        # The copies send earlier reasoning back under one of two names; it is read again where it is kept.
        for key in ("name", "refusal", "reasoning_content", "reasoning"):
            self.add_text(reading.text_at(message, key, f"{field}.{key}"))
        self._add_content(message.get("content"), f"{field}.content")
        for name, call in reading.objects_at(message, "tool_calls", f"{field}.tool_calls"):
            self._add_call(call, "function", name)
            self._add_call(call, "custom", name)
            self.calls += 1
        self._add_call(message, "function_call", field)
        if message.get("audio") is not None:
            self.unbounded.append("an earlier audio answer")
            self.media.append("audio")

    def _add_call(self, call: Mapping[str, Any], key: str, field: str) -> None:
        function = reading.object_at(call, key, f"{field}.{key}")
        self.add_text(reading.text_at(function, "name", f"{field}.{key}.name"))
        for part in ("arguments", "input"):
            given = function.get(part)
            # Ollama and Mistral take the arguments as an object, too.
            self.add_text(given if isinstance(given, str | None) else reading.compact_json(given))

    def _add_content(self, content: Any, field: str) -> None:
        if content is None:
            return
        if isinstance(content, str):
            self.add_text(content)
            return
        if not isinstance(content, list):
            raise reading.wrong(field, "is neither text nor a list of parts")
        for name, part in reading.objects_at({field: content}, field):
            self._add_part(part, name)

    def _add_part(self, part: Mapping[str, Any], field: str) -> None:
        kind = reading.text_at(part, "type", f"{field}.type")
        if kind in ("text", "refusal"):
            self.add_text(reading.text_at(part, kind, f"{field}.{kind}"))
        elif kind == "thinking":
            # Mistral's reasoning, itself a list of parts. https://docs.mistral.ai/capabilities/reasoning/
            self._add_content(part.get("thinking"), f"{field}.thinking")
        elif kind == "image_url":
            self._add_image(part)
        elif kind in _PARTS:
            self.unbounded.append(_PARTS[kind])
            self.media += _MEDIA.get(kind, ())
        else:
            self.unbounded.append(f"a part of type {shown(str(kind))}")
        # OpenRouter hands caching marks on to the vendors that want them.
        # https://openrouter.ai/docs/features/prompt-caching
        mark = reading.object_at(part, "cache_control", f"{field}.cache_control")
        if mark:
            self.add_cache_mark(mark.get("ttl"))

    def _add_image(self, part: Mapping[str, Any]) -> None:
        given = part.get("image_url")
        # Mistral takes the address by itself, too. https://docs.mistral.ai/capabilities/vision/
        url, detail = (given.get("url"), given.get("detail")) if isinstance(given, Mapping) else (given, None)
        self.images.append(image_at(url, detail))


def _called_together(messages: Sequence[tuple[str, Mapping[str, Any]]]) -> frozenset[str]:
    """
    The ids of calls that one answer made at once.

    https://platform.openai.com/docs/guides/function-calling#parallel-function-calling
    """
    groups = (list(reading.objects_in(message.get("tool_calls"))) for _, message in messages)
    return frozenset(
        call["id"]
        for group in groups
        if len(group) > 1
        for call in group
        if isinstance(call.get("id"), str) and call["id"]
    )


def _texts_of(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in reading.objects_in(content) if isinstance(part.get("text"), str)]


def _add_tools(body: Mapping[str, Any], inputs: _Inputs) -> None:
    choice = body.get("tool_choice")
    inputs.must_call = choice == "required" or isinstance(choice, Mapping)
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
            inputs.schemas.append(reading.compact_json(schema))


def _add_unbounded(body: Mapping[str, Any], model: str, inputs: _Inputs) -> None:
    reasons = {
        # https://platform.openai.com/docs/guides/tools-web-search
        "a web search": body.get("web_search_options") is not None or bool(searches(model)),
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
            inputs.answer_media.append(str(modality))
