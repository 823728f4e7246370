"""What most dialects have in common: where the key goes, and how a chat begins."""

from __future__ import annotations

from typing import Any

from budgets.dialects import reading


class BearerDialect:
    """A dialect whose key is a bearer token."""

    stream_types: tuple[str, ...] = ("text/event-stream",)

    def headers(self, key: str | None) -> dict[str, str]:
        """
        The headers of a call; without *key* for servers that want none.

        Raises:
            InvalidValueError: no header can carry *key*.
        """
        return reading.bearer_headers(key)


class ChatDialect(BearerDialect):
    """One whose request is a list of messages."""

    def build_request(
        self,
        *,
        model: str,
        messages: list[dict[str, Any]],
        system: str | None,
        temperature: float | None,
        stream: bool,
    ) -> dict[str, Any]:
        """A request body, the system prompt as its first message."""
        first = [] if system is None else [{"role": "system", "content": system}]
        return {"model": model, "messages": [*first, *messages], **asked_for(temperature, stream=stream)}


def asked_for(temperature: float | None, *, stream: bool) -> dict[str, Any]:
    """The fields that most wires have for these; what was not asked for is left out."""
    said: dict[str, Any] = {} if temperature is None else {"temperature": temperature}
    return {**said, "stream": True} if stream else said
