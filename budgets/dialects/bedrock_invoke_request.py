"""What a body of Bedrock's InvokeModel asks for: which vendor's it is shows from its fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from budgets.asks import Ask
from budgets.dialects import bedrock_converse_request, reading
from budgets.dialects.anthropic_messages import AnthropicMessages
from budgets.dialects.inputs import Inputs
from budgets.dialects.openai_chat import OpenAIChat

Shape = Literal["anthropic", "nova", "chat", "titan", "titan-embed", "cohere", "cohere-embed", "prompt"]

# Titan's two bodies are told apart by the model alone.
# https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html
_TITAN_EMBED = re.compile(r"(?:^|[./])titan-embed-")
_LLAMA = re.compile(r"(?:^|[./])meta\.")

# The field for the output limit of a bare prompt, by vendor.
# https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-meta.html
# https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-mistral-text-completion.html
# https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-jurassic2.html
_LIMITS = ("max_tokens", "max_gen_len", "max_tokens_to_sample", "maxTokens")


def read_request(body: Mapping[str, Any]) -> Ask:
    """
    What *body* asks for.

    Raises:
        InvalidValueError: it is no body that is known here; the message names the field.
    """
    shape = _shape(body)
    if shape == "anthropic":
        return AnthropicMessages().read_request(body)
    if shape == "nova":
        return bedrock_converse_request.read_request(body, dialect="bedrock-invoke")
    if shape == "chat":
        return OpenAIChat().read_request(body)
    inputs = Inputs()
    messages = 1
    if shape in ("titan", "titan-embed"):
        inputs.add_text(reading.text_at(body, "inputText"))
        if body.get("inputImage") is not None:
            inputs.unbounded.append("an image")
    elif shape == "cohere-embed":
        messages = _add_embedded(body, inputs)
    elif shape == "cohere":
        messages = _add_cohere(body, inputs)
    else:
        inputs.add_text(reading.text_at(body, "prompt"))
        if reading.list_at(body, "images"):
            inputs.unbounded.append("an image")
    return inputs.ask(
        dialect="bedrock-invoke",
        model=reading.name_of_model(body),
        messages=messages,
        output_limit=_own_limit(body, shape),
        # https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-cohere-command.html
        answers=reading.whole_number_at(body, "num_generations", least=1) or 1,
        stream=reading.flag_at(body, "stream"),
    )


def limit_output(body: Mapping[str, Any], tokens: int) -> dict[str, Any]:
    """
    A copy of *body* with at most *tokens* tokens of output, in the vendor's own field.

    Raises:
        InvalidValueError: *tokens* is below 1, or lowering would make the request invalid.
    """
    shape = _shape(body)
    if shape == "anthropic":
        return AnthropicMessages().limit_output(body, tokens)
    if shape == "nova":
        return bedrock_converse_request.lowered(body, tokens, "maxTokens")
    if shape == "chat":
        return OpenAIChat().limit_output(body, tokens)
    if shape in ("titan-embed", "cohere-embed"):
        return dict(body)
    reading.check_limit(tokens)
    own = _own_limit(body, shape)
    limit = tokens if own is None else min(own, tokens)
    if shape == "titan":
        config = reading.object_at(body, "textGenerationConfig")
        return {**body, "textGenerationConfig": {**config, "maxTokenCount": limit}}
    field = next((name for name in _LIMITS if body.get(name) is not None), None)
    llama = _LLAMA.search(reading.name_of_model(body)) is not None
    return {**body, field or ("max_gen_len" if llama else "max_tokens"): limit}


def _shape(body: Mapping[str, Any]) -> Shape:
    if "anthropic_version" in body:
        return "anthropic"
    if "messages" in body:
        nova = "schemaVersion" in body or "inferenceConfig" in body or _has_bare_blocks(body)
        return "nova" if nova else "chat"
    if "inputText" in body or "inputImage" in body:
        embeds = _TITAN_EMBED.search(reading.name_of_model(body)) or "inputImage" in body
        return "titan-embed" if embeds else "titan"
    if "input_type" in body or "texts" in body:
        return "cohere-embed"
    if "message" in body:
        return "cohere"
    if "prompt" in body:
        return "prompt"
    raise reading.wrong("body", "is none of a vendor that is known here", "call it through Converse")


def _has_bare_blocks(body: Mapping[str, Any]) -> bool:
    """Nova's blocks are objects with one key, and do not say their type."""
    return any(
        "type" not in block
        for message in reading.objects_in(body.get("messages"))
        for block in reading.objects_in(message.get("content"))
    )


def _own_limit(body: Mapping[str, Any], shape: Shape) -> int | None:
    if shape in ("titan-embed", "cohere-embed"):
        return 0
    if shape == "titan":
        config = reading.object_at(body, "textGenerationConfig")
        field = "textGenerationConfig.maxTokenCount"
        return reading.whole_number_at(config, "maxTokenCount", least=1, field=field)
    return max(
        (limit for name in _LIMITS if (limit := reading.whole_number_at(body, name, least=1)) is not None),
        default=None,
    )


def _add_embedded(body: Mapping[str, Any], inputs: Inputs) -> int:
    """https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed-v4.html"""
    texts = reading.list_at(body, "texts")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise reading.wrong(f"texts[{number}]", "is not text")
        inputs.add_text(text)
    if reading.list_at(body, "images"):
        inputs.unbounded.append("an image")
    mixed = list(reading.objects_at(body, "inputs"))
    for field, each in mixed:
        for name, part in reading.objects_at(each, "content", f"{field}.content"):
            if part.get("type") == "text":
                inputs.add_text(reading.text_at(part, "text", f"{name}.text"))
            else:
                inputs.unbounded.append("an image")
    return len(texts) + len(mixed)


def _add_cohere(body: Mapping[str, Any], inputs: Inputs) -> int:
    """https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-cohere-command-r-plus.html"""
    inputs.add_text(reading.text_at(body, "message"))
    inputs.add_text(reading.text_at(body, "preamble"))
    earlier = list(reading.objects_at(body, "chat_history"))
    for _, message in earlier:
        inputs.add_json(message)
    for key in ("documents", "tool_results"):
        for _, each in reading.objects_at(body, key):
            inputs.add_json(each)
    inputs.tools += [reading.compact_json(tool) for _, tool in reading.objects_at(body, "tools")]
    return 1 + len(earlier)
