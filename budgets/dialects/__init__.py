"""One file per wire format. They are pure: requests and replies in, what they ask for and used out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from budgets.errors import InvalidValueError

if TYPE_CHECKING:
    from budgets.dialects.base import Dialect

# Name -> its file and class. An address is tried in this order.
_DIALECTS = {
    "openai-chat": ("openai_chat", "OpenAIChat"),
    "openai-responses": ("openai_responses", "OpenAIResponses"),
    "openai-embeddings": ("openai_embeddings", "OpenAIEmbeddings"),
    "openai-completions": ("openai_completions", "OpenAICompletions"),
    "openai-images": ("openai_images", "OpenAIImages"),
    "anthropic-messages": ("anthropic_messages", "AnthropicMessages"),
    "gemini": ("gemini", "Gemini"),
    "bedrock-converse": ("bedrock_converse", "BedrockConverse"),
    "bedrock-invoke": ("bedrock_invoke", "BedrockInvoke"),
    "cohere-v2": ("cohere_v2", "CohereV2"),
    "cohere-rerank": ("cohere_rerank", "CohereRerank"),
}

NAMES = tuple(_DIALECTS)


@cache
def by_name(name: str) -> Dialect:
    """
    The dialect of that name, its file loaded on first use; it holds no state.

    Raises:
        InvalidValueError: there is none.
    """
    if name not in _DIALECTS:
        raise InvalidValueError(f"{name} is not a dialect", hint=f"one of {', '.join(NAMES)}")
    file, made = _DIALECTS[name]
    dialect: Dialect = getattr(import_module(f"budgets.dialects.{file}"), made)()
    return dialect


def at_path(path: str, body: Mapping[str, Any]) -> tuple[Dialect, dict[str, Any]] | None:
    """
    The dialect of a call to *path*, and its request: *body*, with the model where only the path names it.

    `None`: no dialect has that address.
    """
    for name in NAMES:
        dialect = by_name(name)
        request = dialect.received(path, body)
        if request is not None:
            return dialect, request
    return None
