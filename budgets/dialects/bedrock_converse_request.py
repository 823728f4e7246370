"""What a request to Bedrock's Converse API asks for; Nova's own bodies have the same shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from budgets.asks import Ask
from budgets.dialects import reading
from budgets.dialects.inputs import Inputs
from budgets.dialects.pictures import image_of
from budgets.money import shown

# Converse says `maxTokens`, Nova's own body also `max_new_tokens`.
# https://docs.aws.amazon.com/nova/latest/userguide/complete-request-schema.html
_LIMITS = ("maxTokens", "max_new_tokens")

# Blocks whose tokens depend on what they show, not on how long they are.
_BLOCKS = {"audio": "audio", "video": "a video", "document": "a document"}
# What of them may be billed at prices of its own. A video has sound.
_MEDIA = {"audio": ("audio",), "video": ("audio", "video")}


def read_request(body: Mapping[str, Any], *, dialect: str) -> Ask:
    """
    What *body* asks for.

    Raises:
        InvalidValueError: it is no request of this shape; the message names the field.
    """
    model = reading.name_of_model(body)
    inputs = _Inputs()
    messages = list(reading.objects_at(body, "messages"))
    if not messages and not body.get("promptVariables"):
        raise reading.wrong("messages", "is missing or empty")
    inputs.add_content(body.get("system"), "system")
    for field, message in messages:
        if reading.text_at(message, "role", f"{field}.role") is None:
            raise reading.wrong(f"{field}.role", "is missing")
        blocks = list(reading.objects_in(message.get("content")))
        if message["role"] == "user" and not all("toolResult" in block for block in blocks):
            inputs.begin_turn()
        inputs.add_content(message.get("content"), f"{field}.content")
    _add_tools(body, inputs)
    _add_unbounded(body, inputs)
    fast = reading.object_at(body, "performanceConfig").get("latency") == "optimized"
    tier = reading.text_at(reading.object_at(body, "serviceTier"), "type", "serviceTier.type")
    return inputs.ask(
        dialect=dialect,
        model=model,
        messages=len(messages) + bool(body.get("system")),
        output_limit=max(_own_limits(body).values(), default=None),
        stream=reading.flag_at(body, "stream"),
        reasoning=_thinking(body).get("type") in ("enabled", "adaptive"),
        service_tier="optimized" if fast else tier,
    )


def lowered(body: Mapping[str, Any], tokens: int, key: str) -> dict[str, Any]:
    """
    A copy of *body* with at most *tokens* tokens, in the field that the caller used, or else in *key*.

    Raises:
        InvalidValueError: *tokens* is below 1, or leaves no room beside a thinking budget.
    """
    reading.check_limit(tokens)
    own = _own_limits(body)
    limits = {name: min(limit, tokens) for name, limit in own.items()} or {key: tokens}
    limit = max(limits.values())
    budget = _thinking(body).get("budget_tokens")
    # https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html
    if type(budget) is int and limit <= budget and max(own.values(), default=budget + 1) > budget:
        raise reading.wrong(
            "additionalModelRequestFields.thinking.budget_tokens",
            f"is {budget}, which does not fit into an answer of {limit} tokens",
            "think in fewer tokens, or allow a longer answer",
        )
    return {**body, "inferenceConfig": {**reading.object_at(body, "inferenceConfig"), **limits}}


def _own_limits(body: Mapping[str, Any]) -> dict[str, int]:
    config = reading.object_at(body, "inferenceConfig")
    limits = {
        key: reading.whole_number_at(config, key, least=1, field=f"inferenceConfig.{key}") for key in _LIMITS
    }
    return {key: limit for key, limit in limits.items() if limit is not None}


def _thinking(body: Mapping[str, Any]) -> Mapping[str, Any]:
    name = "additionalModelRequestFields"
    fields = reading.object_at(body, name)
    for key in ("thinking", "reasoning_config", "reasoningConfig"):
        if found := reading.object_at(fields, key, f"{name}.{key}"):
            return found
    return {}


class _Inputs(Inputs):
    """What a request gives to read, as it is collected."""

    def add_content(self, content: Any, field: str) -> None:
        if isinstance(content, str):
            # Nova's own body takes a system prompt as text, too.
            self.add_text(content)
            return
        for name, block in reading.objects_at({field: content}, field):
            self._add_block(block, name)

    def _add_block(self, block: Mapping[str, Any], field: str) -> None:
        # A block is an object with one key, which says what it is.
        for kind, value in block.items():
            if kind == "text":
                self.add_text(reading.text_at(block, "text", f"{field}.text"))
            elif kind in ("toolUse", "json", "citationsContent", "searchResult"):
                self.add_json(value)
                self.calls += kind == "toolUse"
            elif kind == "reasoningContent":
                content = reading.object_at(block, kind, f"{field}.{kind}")
                text = reading.object_at(content, "reasoningText", f"{field}.{kind}.reasoningText")
                self.add_thought(reading.text_at(text, "text", f"{field}.{kind}.reasoningText.text"))
                self.add_sealed(reading.text_or_none(content.get("redactedContent")))
            elif kind == "toolResult":
                result = reading.object_at(block, kind, f"{field}.{kind}")
                self.add_content(result.get("content"), f"{field}.{kind}.content")
            elif kind == "guardContent":
                self.add_json(value)
                self.unbounded.append("a guardrail")
            elif kind == "cachePoint":
                self.add_cache_mark(reading.object_at(block, kind, f"{field}.{kind}").get("ttl"))
            elif kind == "image":
                source = reading.object_at(
                    reading.object_at(block, kind, f"{field}.{kind}"), "source", f"{field}.{kind}.source"
                )
                self.images.append(image_of(source.get("bytes")))
            elif kind in _BLOCKS:
                self.unbounded.append(_BLOCKS[kind])
                self.media += _MEDIA.get(kind, ())
            elif kind != "type":
                self.unbounded.append(f"a block of type {shown(kind)}")


def _add_tools(body: Mapping[str, Any], inputs: Inputs) -> None:
    config = reading.object_at(body, "toolConfig")
    choice = reading.object_at(config, "toolChoice", "toolConfig.toolChoice")
    inputs.must_call = "any" in choice or "tool" in choice
    for _, tool in reading.objects_at(config, "tools", "toolConfig.tools"):
        if "cachePoint" in tool:
            inputs.add_cache_mark(
                reading.object_at(tool, "cachePoint", "toolConfig.tools.cachePoint").get("ttl")
            )
            continue
        inputs.tools.append(reading.compact_json(tool))
        if "toolSpec" not in tool:
            # https://docs.aws.amazon.com/nova/latest/userguide/grounding.html
            inputs.unbounded.append("a server tool")


def _add_unbounded(body: Mapping[str, Any], inputs: Inputs) -> None:
    # https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-management.html
    if body.get("promptVariables"):
        inputs.unbounded.append("a stored prompt")
    # What a guardrail reads is billed by itself. https://aws.amazon.com/bedrock/pricing/
    if body.get("guardrailConfig") is not None:
        inputs.unbounded.append("a guardrail")
