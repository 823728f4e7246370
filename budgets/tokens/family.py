"""What a family of models is: everything that bears on how its input is counted."""

from __future__ import annotations

from dataclasses import dataclass

from budgets.tokens.images import ImageRule
from budgets.tokens.span import NOTHING, Span

# Of what nobody has measured: no more than the bytes that base64 stands for, one token each.
_SEALED = Span(25, 75)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How the input of some models is counted. Figures in tokens, but for the percentages."""

    name: str
    encoding: str
    # The tokenizer is that encoding itself, so its count is the count and not an estimate.
    exact: bool = False
    # The vendor's tokens per 100 of the encoding's, for text.
    percent: Span
    # How far off the likely ones were at most, of prose in nine languages, code, and JSON.
    error_percent: int = 0
    # The same for tool definitions, which vendors write anew before the model reads them.
    tools_percent: Span
    # For each message, for each call, for each tool.
    message: Span
    call: Span
    tool: Span
    # For each text, at most: several tool calls and results share one message, each with framing.
    text_most: int = 5
    # Once, where there are tools: the vendor's own prompt that explains tools to the model.
    tools: Span
    # The same where the request is in OpenAI's older chat format; `None`: the same as `tools`.
    chat_tools: Span | None = None
    # The model sees tools as OpenAI's namespace of functions (`namespace.py`), and not as JSON.
    namespace: bool = False
    # Once, where the model has to call a tool.
    must_call: Span = NOTHING
    # For each tool call of an earlier turn, with its result, beside their texts.
    tool_call: Span = NOTHING
    # Once, where calls were made at once, in OpenAI's older chat format.
    together: Span = NOTHING
    # Once, where the answer has to fit a schema, which counts as a tool's definition does.
    schema: Span = NOTHING
    # Schemas only guide how the answer is written, and are not read.
    reads_schemas: bool = True
    # Once, where the model reasons. The most is always counted: a model's name can turn reasoning on.
    reasoning: Span = NOTHING
    # Thinking of earlier turns stays in view.
    keeps_thoughts: bool = False
    # Tokens for a hundred characters of sealed thinking that stays in view, and how many characters of it
    # are only its envelope. The most is that of the bytes that the characters stand for, one token each.
    sealed_percent: Span = _SEALED
    sealed_envelope: int = 0
    # `None`: nobody has a rule for pictures, so they bound nothing.
    images: ImageRule | None = None
