"""One file per wire format. They are pure: requests and replies in, what they ask for and used out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from budgets.errors import InvalidValueError

if TYPE_CHECKING:
    from budgets.dialects.base import Dialect

NAMES = ("openai-chat", "anthropic-messages")


def by_name(name: str) -> Dialect:
    """
    The dialect of that name, its file loaded on first use.

    Raises:
        InvalidValueError: there is none.
    """
    if name == "openai-chat":
        from budgets.dialects.openai_chat import OpenAIChat

        return OpenAIChat()
    if name == "anthropic-messages":
        from budgets.dialects.anthropic_messages import AnthropicMessages

        return AnthropicMessages()
    raise InvalidValueError(f"{name} is not a dialect", hint=f"one of {', '.join(NAMES)}")
