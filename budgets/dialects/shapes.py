"""Which dialect a reply is in, by its shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from budgets.errors import UnreadableReplyError


def dialect_of_reply(body: Mapping[str, Any]) -> str | None:
    """
    The name of the dialect of a plain reply; `None`: no provider's usage or answer is in it.

    Raises:
        UnreadableReplyError: it is an error.
    """
    if body.get("object") == "response":
        # It may have failed, and says what it used all the same.
        return "openai-responses"
    if body.get("type") == "error" or body.get("error") is not None:
        raise UnreadableReplyError("the reply is an error", hint="a call that was refused is not billed")
    usage, meta = body.get("usage"), body.get("meta")
    units = usage if isinstance(usage, Mapping) else {}
    if body.get("type") == "message":
        return "anthropic-messages"
    if body.get("object") == "text_completion":
        return "openai-completions"
    if "created" in body and "data" in body and "object" not in body:
        return "openai-images"
    if "results" in body and isinstance(meta, Mapping):
        return "cohere-rerank"
    if "usageMetadata" in body or "candidates" in body or "promptFeedback" in body:
        return "gemini"
    if "inputTokens" in units:
        return "bedrock-converse"
    if "billed_units" in units or "tokens" in units or (isinstance(meta, Mapping) and "billed_units" in meta):
        return "cohere-v2"
    if "inputTextTokenCount" in body or "prompt_token_count" in body:
        return "bedrock-invoke"
    if "output" in body and "input_tokens" in units:
        return "openai-responses"
    if "choices" in body:
        return "openai-chat"
    if "prompt_tokens" in units:
        return "openai-embeddings"
    if "input_tokens" in units:
        return "anthropic-messages"
    return None
