"""What an Anthropic message asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from budgets.asks import Ask
from budgets.dialects import reading
from budgets.dialects.inputs import Inputs
from budgets.dialects.pictures import image_of
from budgets.money import shown

# Tools that Anthropic defines and the caller runs: what they read comes back as an ordinary message.
# Every other tool with a type of its own runs at Anthropic's.
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview
_CALLER_RUNS = re.compile(r"(?:bash|text_editor|computer|memory)_[0-9]{8}")
_DATE = re.compile(r"_[0-9]{8}$")

# First word of a tool that the caller runs -> the tokens that its definition stands for, at most.
_HIDDEN = {
    # https://platform.claude.com/docs/en/agents-and-tools/tool-use/bash-tool
    "bash": 245,
    # https://platform.claude.com/docs/en/agents-and-tools/tool-use/text-editor-tool
    "text": 700,
    # 735 for the tool and 466 to 499 for its prompt.
    # https://platform.claude.com/docs/en/agents-and-tools/tool-use/computer-use-tool
    "computer": 1_234,
    # Nowhere said: taken as the text editor, whose commands it has.
    "memory": 700,
}


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
    inputs.add_content(body.get("system"), "system")
    for field, message in messages:
        if reading.text_at(message, "role", f"{field}.role") is None:
            raise reading.wrong(f"{field}.role", "is missing")
        if message.get("role") == "user" and not _only_results(message.get("content")):
            inputs.begin_turn()
        inputs.add_content(message.get("content"), f"{field}.content")
    _add_tools(body, inputs)
    _add_unbounded(body, inputs)
    for mark in _cache_marks(body):
        if mark is not None:
            inputs.add_cache_mark(mark.get("ttl") if isinstance(mark, Mapping) else None)
    thinking = reading.object_at(body, "thinking")
    # Fast mode has prices of its own, as a tier has.
    # https://platform.claude.com/docs/en/build-with-claude/fast-mode
    fast = reading.text_at(body, "speed") == "fast"
    return inputs.ask(
        dialect="anthropic-messages",
        model=model,
        messages=len(messages) + (body.get("system") is not None),
        output_limit=reading.whole_number_at(body, "max_tokens", least=1),
        stream=reading.flag_at(body, "stream"),
        reasoning=thinking.get("type") in ("enabled", "adaptive"),
        region=region_of(reading.text_at(body, "inference_geo")),
        service_tier="fast" if fast else reading.text_at(body, "service_tier"),
    )


def region_of(place: Any) -> str | None:
    """
    The region whose processing has a price of its own: `us` is billed above `global`.

    https://platform.claude.com/docs/en/build-with-claude/data-residency
    """
    return place if isinstance(place, str) and place not in ("", "global", "not_available") else None


class _Inputs(Inputs):
    """What a request gives to read, as it is collected."""

    def add_content(self, content: Any, field: str) -> None:
        if content is None:
            return
        if isinstance(content, str):
            self.add_text(content)
            return
        if not isinstance(content, list):
            raise reading.wrong(field, "is neither text nor a list of blocks")
        for name, block in reading.objects_at({field: content}, field):
            self._add_block(block, name)

    def _add_block(self, block: Mapping[str, Any], field: str) -> None:
        kind = reading.text_at(block, "type", f"{field}.type") or ""
        if kind == "text":
            self.add_text(reading.text_at(block, kind, f"{field}.{kind}"))
        elif kind == "thinking":
            self.add_thought(reading.text_at(block, kind, f"{field}.{kind}"))
        elif kind == "redacted_thinking":
            self.add_sealed(reading.text_at(block, "data", f"{field}.data"))
        elif kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
            self.add_text(reading.text_at(block, "name", f"{field}.name"))
            self.add_text(reading.compact_json(block.get("input", {})))
            self.calls += 1
        elif kind in ("tool_result", "compaction"):
            self.add_content(block.get("content"), f"{field}.content")
        elif kind == "search_result":
            self.add_text(reading.text_at(block, "title", f"{field}.title"))
            self.add_text(reading.text_at(block, "source", f"{field}.source"))
            self.add_content(block.get("content"), f"{field}.content")
        elif kind == "document":
            self._add_document(block, field)
        elif kind == "image":
            self._add_image(block, field)
        elif kind == "container_upload":
            self.unbounded.append("a file")
        elif kind == "tool_reference":
            # The definition that is pulled in stands in `tools` already.
            self.add_text(reading.text_at(block, "tool_name", f"{field}.tool_name"))
        elif kind.endswith("_tool_result"):
            # What a server tool of an earlier turn found, sent back as it came.
            self.add_text(reading.compact_json(block.get("content")))
        else:
            self.unbounded.append(f"a block of type {shown(kind)}")

    def _add_image(self, block: Mapping[str, Any], field: str) -> None:
        source = reading.object_at(block, "source", f"{field}.source")
        # By address or as a file of the account's it is a picture of unknown size.
        self.images.append(image_of(source.get("data") if source.get("type") == "base64" else None))

    def _add_document(self, block: Mapping[str, Any], field: str) -> None:
        self.add_text(reading.text_at(block, "title", f"{field}.title"))
        self.add_text(reading.text_at(block, "context", f"{field}.context"))
        source = reading.object_at(block, "source", f"{field}.source")
        if source.get("type") == "text":
            self.add_text(reading.text_at(source, "data", f"{field}.source.data"))
        elif source.get("type") == "content":
            self.add_content(source.get("content"), f"{field}.source.content")
        else:
            self.unbounded.append("a document")


def _only_results(content: Any) -> bool:
    """Whether a message does no more than hand over what tools found: the turn goes on."""
    blocks = list(reading.objects_in(content))
    return bool(blocks) and all(block.get("type") == "tool_result" for block in blocks)


def _add_tools(body: Mapping[str, Any], inputs: _Inputs) -> None:
    for field, tool in reading.objects_at(body, "tools"):
        inputs.tools.append(reading.compact_json(tool))
        kind = reading.text_at(tool, "type", f"{field}.type") or "custom"
        if kind != "custom" and not _CALLER_RUNS.fullmatch(kind):
            inputs.unbounded.append(f"the server tool {shown(_DATE.sub('', kind))}")
        inputs.hidden += _HIDDEN.get(kind.partition("_")[0], 0) if kind != "custom" else 0
    inputs.must_call = reading.object_at(body, "tool_choice").get("type") in ("any", "tool")
    # https://platform.claude.com/docs/en/build-with-claude/structured-outputs
    config = reading.object_at(body, "output_config")
    formats = (
        reading.object_at(config, "format", "output_config.format"),
        reading.object_at(body, "output_format"),
    )
    inputs.schemas += [reading.compact_json(found["schema"]) for found in formats if "schema" in found]


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


def _cache_marks(body: Mapping[str, Any]) -> Iterator[Any]:
    """https://platform.claude.com/docs/en/build-with-claude/prompt-caching"""
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
