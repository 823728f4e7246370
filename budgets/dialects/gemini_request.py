"""What a request to Gemini asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from budgets.asks import Ask
from budgets.dialects import reading
from budgets.dialects.inputs import Inputs
from budgets.dialects.openai_chat_request import reasons_by_name
from budgets.dialects.pictures import image_of
from budgets.money import shown

_HUMP = re.compile(r"[A-Z]")

# Tools that the caller runs: declared functions stand apart, and a screen is driven by the caller.
# https://ai.google.dev/gemini-api/docs/computer-use
_CALLER_RUNS = frozenset({"functionDeclarations", "computerUse"})
_SERVER_TOOLS = (
    "googleSearch",
    "googleSearchRetrieval",
    "enterpriseWebSearch",
    "googleMaps",
    "urlContext",
    "codeExecution",
    "fileSearch",
    "retrieval",
    "mcpServers",
)

_KINDS = {"audio": "audio", "video": "a video"}
# What of them may be billed at prices of its own. A video has sound; a file may be either.
_MEDIA = {"audio": ("audio",), "video": ("audio", "video")}


def key_in(body: Mapping[str, Any], name: str) -> str:
    """
    The spelling of *name* that *body* has: `fileData`, or `file_data`.

    The API takes both, as protocol buffers do. https://protobuf.dev/programming-guides/json/
    """
    snake = _HUMP.sub(lambda found: f"_{found[0].lower()}", name)
    return snake if name not in body and snake in body else name


def read_request(body: Mapping[str, Any]) -> Ask:
    """
    What *body* asks for: an answer, or vectors (`embedContent`, `batchEmbedContents`).

    Raises:
        InvalidValueError: it is no request of this dialect; the message names the field.
    """
    model = reading.name_of_model(body)
    inputs = _Inputs()
    if embeds(body):
        return _read_embedding(body, model, inputs)
    if not reading.list_at(body, "contents"):
        raise reading.wrong("contents", "is missing or empty")
    contents = list(reading.objects_at(body, "contents"))
    name = key_in(body, "generationConfig")
    config = reading.object_at(body, name)
    inputs.detail = config.get(key_in(config, "mediaResolution"))
    for field, content in contents:
        if _speaks(content):
            inputs.begin_turn()
        inputs.add_content(content, field)
    system = key_in(body, "systemInstruction")
    inputs.add_content(reading.object_at(body, system), system)
    _add_tools(body, inputs)
    _add_unbounded(body, config, name, inputs)
    limit, answers = key_in(config, "maxOutputTokens"), key_in(config, "candidateCount")
    return inputs.ask(
        dialect="gemini",
        model=model,
        messages=len(contents) + (body.get(system) is not None),
        output_limit=reading.whole_number_at(config, limit, least=1, field=f"{name}.{limit}"),
        answers=reading.whole_number_at(config, answers, least=1, field=f"{name}.{answers}") or 1,
        stream=reading.flag_at(body, "stream"),
        reasoning=_reasons(config, name, model),
        service_tier=reading.text_at(body, key_in(body, "serviceTier")),
    )


def embeds(body: Mapping[str, Any]) -> bool:
    """Whether *body* asks for vectors."""
    return "contents" not in body and ("requests" in body or "content" in body)


def _read_embedding(body: Mapping[str, Any], model: str, inputs: _Inputs) -> Ask:
    """https://ai.google.dev/api/embeddings"""
    parts = list(reading.objects_at(body, "requests")) or [("content", body)]
    for field, part in parts:
        inputs.add_content(reading.object_at(part, "content", f"{field}.content"), f"{field}.content")
        inputs.add_text(reading.text_at(part, "title", f"{field}.title"))
    return inputs.ask(
        dialect="gemini",
        model=model,
        messages=len(parts),
        output_limit=0,
    )


def thinking_budget(config: Mapping[str, Any], name: str) -> int | None:
    """
    How many tokens may be thought; `None`: the caller set no number, or -1, which leaves it to the model.

    Raises:
        InvalidValueError: it is no such number.
    """
    key = key_in(config, "thinkingConfig")
    thinking = reading.object_at(config, key, f"{name}.{key}")
    inner = key_in(thinking, "thinkingBudget")
    budget = reading.whole_number_at(thinking, inner, least=-1, field=f"{name}.{key}.{inner}")
    return None if budget == -1 else budget


def _reasons(config: Mapping[str, Any], name: str, model: str) -> bool:
    """https://ai.google.dev/gemini-api/docs/thinking"""
    key = key_in(config, "thinkingConfig")
    thinking = reading.object_at(config, key, f"{name}.{key}")
    budget = thinking.get(key_in(thinking, "thinkingBudget"))
    if budget is not None:
        return bool(budget != 0)
    return thinking.get(key_in(thinking, "thinkingLevel")) is not None or reasons_by_name(model)


def _without_id(call: Any) -> Any:
    """A call as the model reads it: the id beside it only tells the caller which answer is whose."""
    return {key: value for key, value in call.items() if key != "id"} if isinstance(call, Mapping) else call


def _speaks(content: Mapping[str, Any]) -> bool:
    """Whether the user says something, and does not only hand over what functions found."""
    response = ("functionResponse", "function_response")
    parts = reading.objects_in(content.get("parts"))
    return content.get("role") != "model" and any(not any(key in part for key in response) for part in parts)


def _resolution(part: Mapping[str, Any]) -> Any:
    """https://ai.google.dev/gemini-api/docs/media-resolution"""
    found = part.get(key_in(part, "mediaResolution"))
    return found.get("level") if isinstance(found, Mapping) else found


class _Inputs(Inputs):
    """What a request gives to read, as it is collected."""

    # How closely pictures are to be looked at that do not say it themselves.
    detail: Any = None

    def add_content(self, content: Mapping[str, Any], field: str) -> None:
        """All parts of a content."""
        for name, part in reading.objects_at(content, "parts", f"{field}.parts"):
            self._add_part(part, name)

    def _add_part(self, part: Mapping[str, Any], field: str) -> None:
        known = False
        if "text" in part:
            self.add_text(reading.text_at(part, "text", f"{field}.text"))
            known = True
        # A signature stands for the thoughts before it, which are read again with it.
        # https://ai.google.dev/gemini-api/docs/thought-signatures
        if (key := key_in(part, "thoughtSignature")) in part:
            self.add_sealed(reading.text_at(part, key, f"{field}.{key}"))
            known = True
        for name in ("functionCall", "executableCode", "codeExecutionResult", "toolCall", "toolResponse"):
            if (key := key_in(part, name)) in part:
                self.add_json(_without_id(part[key]))
                self.calls += name == "functionCall"
                known = True
        if (key := key_in(part, "functionResponse")) in part:
            self._add_response(reading.object_at(part, key, f"{field}.{key}"), f"{field}.{key}")
            known = True
        if (key := key_in(part, "inlineData")) in part:
            data = reading.object_at(part, key, f"{field}.{key}")
            mime = reading.text_at(data, key_in(data, "mimeType"), f"{field}.{key}.mimeType") or ""
            kind = mime.partition("/")[0].lower()
            if kind == "image":
                self.images.append(image_of(data.get("data"), _resolution(part) or self.detail))
            else:
                self.unbounded.append(_KINDS.get(kind, "a file"))
                self.media += _MEDIA.get(kind, ())
            known = True
        if key_in(part, "fileData") in part:
            self.unbounded.append("a file by reference")
            self.media += _MEDIA["video"]
            known = True
        if not known:
            self.unbounded.append(f"a part of type {shown(next(iter(part), 'none'))}")

    def _add_response(self, response: Mapping[str, Any], field: str) -> None:
        self.add_text(reading.text_at(response, "name", f"{field}.name"))
        self.add_json(response.get("response"))
        for name, part in reading.objects_at(response, "parts", f"{field}.parts"):
            self._add_part(part, name)


def _add_tools(body: Mapping[str, Any], inputs: Inputs) -> None:
    for field, tool in reading.objects_at(body, "tools"):
        key = key_in(tool, "functionDeclarations")
        inputs.tools += [
            reading.compact_json(declared) for _, declared in reading.objects_at(tool, key, f"{field}.{key}")
        ]
        known = {key_in(tool, name): name for name in (*_SERVER_TOOLS, *_CALLER_RUNS)}
        for key in tool:
            name = known.get(key, key)
            if name not in _CALLER_RUNS:
                inputs.unbounded.append(f"the server tool {shown(name)}")


def _add_unbounded(body: Mapping[str, Any], config: Mapping[str, Any], name: str, inputs: Inputs) -> None:
    # https://ai.google.dev/gemini-api/docs/caching
    if body.get(key_in(body, "cachedContent")) is not None:
        inputs.unbounded.append("cached content")
    for schema in ("responseSchema", "responseJsonSchema"):
        if (found := config.get(key_in(config, schema))) is not None:
            inputs.schemas.append(reading.compact_json(found))
    key = key_in(config, "responseModalities")
    # Models that make pictures do so unless they are asked for text alone.
    # https://ai.google.dev/gemini-api/docs/image-generation
    modalities = [str(each).lower() for each in reading.list_at(config, key, f"{name}.{key}")]
    inputs.answer_media += modalities or ["image"]
    inputs.unbounded += [f"an answer as {shown(each)}" for each in modalities if each != "text"]
