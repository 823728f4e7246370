"""What a request of OpenAI's Responses API asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from budgets.asks import Ask
from budgets.dialects import reading
from budgets.dialects.inputs import Inputs
from budgets.dialects.openai_chat_request import reasons_by_name
from budgets.dialects.pictures import image_at
from budgets.money import shown

# The API refuses less. https://platform.openai.com/docs/api-reference/responses/create#responses-create-max_output_tokens
LEAST_OUTPUT = 16

# Tools that the caller runs, or that only group others; every other one runs at the provider's.
# https://platform.openai.com/docs/guides/tools
_CALLER_RUNS = frozenset(
    {
        "function",
        "custom",
        "namespace",
        "local_shell",
        "apply_patch",
        "computer",
        "computer_use",
        "computer_use_preview",
    }
)

# Parts whose tokens depend on what they show, not on how long they are.
_PARTS = {"input_audio": "audio", "input_file": "a file"}
_IMAGES = frozenset({"input_image", "computer_screenshot"})

# Items of earlier turns that are sent back whole: all that is read of them stands in them.
_WHOLE = frozenset(
    {
        "function_call",
        "custom_tool_call",
        "computer_call",
        "local_shell_call",
        "local_shell_call_output",
        "shell_call",
        "apply_patch_call",
        "apply_patch_call_output",
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "tool_search_call",
        "tool_search_output",
        "mcp_list_tools",
        "mcp_call",
        "mcp_approval_request",
        "mcp_approval_response",
        "compaction",
    }
)
_OUTPUTS = frozenset(
    {"function_call_output", "custom_tool_call_output", "computer_call_output", "shell_call_output"}
)
# What names a thing and is not read by the model.
_NAMES = frozenset({"id", "status", "call_id", "container_id", "type"})


def read_request(body: Mapping[str, Any]) -> Ask:
    """
    What *body* asks for.

    Raises:
        InvalidValueError: it is no request of this dialect; the message names the field.
    """
    model = reading.name_of_model(body)
    inputs = _Inputs()
    instructions = body.get("instructions")
    inputs.add_content(instructions, "instructions")
    messages = (instructions is not None) + inputs.add_input(body.get("input"))
    _add_tools(body, inputs)
    _add_unbounded(body, inputs)
    return inputs.ask(
        dialect="openai-responses",
        model=model,
        messages=messages,
        output_limit=reading.whole_number_at(body, "max_output_tokens", least=1),
        stream=reading.flag_at(body, "stream"),
        reasoning=_reasons(body, model),
        service_tier=reading.text_at(body, "service_tier"),
    )


def _reasons(body: Mapping[str, Any], model: str) -> bool:
    effort = reading.text_at(reading.object_at(body, "reasoning"), "effort", "reasoning.effort")
    return effort != "none" if effort is not None else reasons_by_name(model)


class _Inputs(Inputs):
    """What a request gives to read, as it is collected."""

    def add_input(self, given: Any) -> int:
        """Take all of `input`; give back how many messages it is."""
        if given is None:
            # A stored prompt or conversation may be all there is.
            return 0
        if isinstance(given, str):
            self.add_text(given)
            return 1
        if not isinstance(given, list):
            raise reading.wrong("input", "is neither text nor a list of items")
        for field, item in reading.objects_at({"input": given}, "input"):
            self._add_item(item, field)
        return len(given)

    def add_content(self, content: Any, field: str) -> None:
        """A text, or a list of parts or items."""
        if content is None:
            return
        if isinstance(content, str):
            self.add_text(content)
            return
        if not isinstance(content, list):
            raise reading.wrong(field, "is neither text nor a list of parts")
        for name, part in reading.objects_at({field: content}, field):
            if "role" in part:
                self._add_item(part, name)
            else:
                self._add_part(part, name)

    def _add_item(self, item: Mapping[str, Any], field: str) -> None:
        kind = reading.text_at(item, "type", f"{field}.type")
        if "role" in item:
            if item.get("role") == "user":
                self.begin_turn()
            self.add_content(item.get("content"), f"{field}.content")
        elif kind in _OUTPUTS:
            output = item.get("output")
            if isinstance(output, Mapping):
                self._add_part(output, f"{field}.output")
            else:
                self.add_content(output, f"{field}.output")
        elif kind == "additional_tools":
            self.tools += [
                reading.compact_json(tool) for _, tool in reading.objects_at(item, "tools", f"{field}.tools")
            ]
        elif kind == "reasoning":
            self._add_reasoning(item, field)
        elif kind in _WHOLE:
            self.add_json({key: value for key, value in item.items() if key not in _NAMES})
            if any(found.get("type") == "image" for found in reading.objects_in(item.get("outputs"))):
                self.unbounded.append("an image")
        elif kind == "image_generation_call":
            self.unbounded.append("an image")
        elif kind in (None, "item_reference"):
            # https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
            self.unbounded.append("an item by reference")
        else:
            self.unbounded.append(f"an item of type {shown(kind)}")

    def _add_reasoning(self, item: Mapping[str, Any], field: str) -> None:
        """https://platform.openai.com/docs/guides/reasoning#encrypted-reasoning-items"""
        sealed = reading.text_at(item, "encrypted_content", f"{field}.encrypted_content")
        self.add_sealed(sealed)
        if not sealed:
            # Else the summary beside it is for people, and is not read again.
            for part in (*reading.objects_in(item.get("summary")), *reading.objects_in(item.get("content"))):
                self.add_thought(reading.text_or_none(part.get("text")))

    def _add_part(self, part: Mapping[str, Any], field: str) -> None:
        kind = reading.text_at(part, "type", f"{field}.type")
        if kind in ("input_text", "output_text", "text", "refusal", "summary_text", "reasoning_text"):
            key = "refusal" if kind == "refusal" else "text"
            self.add_text(reading.text_at(part, key, f"{field}.{key}"))
        elif kind in _IMAGES:
            # By `file_id` it is a file of the account's, and a picture all the same.
            self.images.append(image_at(part.get("image_url"), part.get("detail")))
        elif kind in _PARTS:
            self.unbounded.append(_PARTS[kind])
            if kind == "input_audio":
                self.media.append("audio")
        else:
            # A shell's output, for one, has no type and stands there whole.
            self.add_json(part) if kind is None else self.unbounded.append(f"a part of type {shown(kind)}")


def _add_tools(body: Mapping[str, Any], inputs: Inputs) -> None:
    choice = body.get("tool_choice")
    inputs.must_call = choice == "required" or isinstance(choice, Mapping)
    for field, tool in reading.objects_at(body, "tools"):
        inputs.tools.append(reading.compact_json(tool))
        kind = reading.text_at(tool, "type", f"{field}.type") or "function"
        if kind == "tool_search" and tool.get("execution") == "client":
            continue
        environment = reading.object_at(tool, "environment", f"{field}.environment")
        if kind == "shell" and environment.get("type") == "local":
            continue
        if kind not in _CALLER_RUNS:
            inputs.unbounded.append(f"the server tool {shown(kind)}")
    text = reading.object_at(body, "text")
    answer = reading.object_at(text, "format", "text.format")
    if "schema" in answer:
        inputs.schemas.append(reading.compact_json(answer))


def _add_unbounded(body: Mapping[str, Any], inputs: Inputs) -> None:
    reasons = {
        # https://platform.openai.com/docs/guides/conversation-state
        "an earlier response": body.get("previous_response_id") is not None,
        "a stored conversation": body.get("conversation") is not None,
        # https://platform.openai.com/docs/api-reference/responses/create#responses-create-prompt
        "a stored prompt": body.get("prompt") is not None,
        # The answer is fetched later, so nobody sees here what it used.
        # https://platform.openai.com/docs/guides/background
        "background mode": reading.flag_at(body, "background"),
        # It reads everything once more to sum it up. https://platform.openai.com/docs/guides/compaction
        "compaction": bool(reading.list_at(body, "context_management")),
    }
    inputs.unbounded += [reason for reason, found in reasons.items() if found]
