"""A provider's reply from a file: which dialect it is in shows from its shape."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from budgets.errors import InvalidValueError, UnreadableReplyError

from .env import Env
from .prompting import read_text

if TYPE_CHECKING:
    from budgets.dialects.base import Reported

_OPENAI, _ANTHROPIC = "openai-chat", "anthropic-messages"


def read_reply(env: Env, file: str) -> Reported:
    """
    What a reply says was used: one JSON object, or a whole stream as it was sent.

    Raises:
        InvalidValueError: the file cannot be read, or is no reply of a known dialect.
        UnreadableReplyError: it is one, and its usage cannot be trusted; or it is an error, or cut off.
    """
    from budgets.dialects import by_name

    text = read_text(env, file, "--reply")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        return by_name(_dialect_of(body)).read_reply(body)
    events = _events(text)
    if not events:
        raise _no_reply("it is neither a JSON object nor a stream")
    reader = by_name(_dialect_of_stream(events)).read_stream()
    # A stream's end may lack the empty line that closes the last event.
    reader.feed(text.encode() + b"\n\n")
    reported = reader.reported()
    if not reported.finished and reported.usage is not None:
        raise UnreadableReplyError(
            "the stream breaks off before its end, so its usage is not final",
            hint="charge token counts or an amount instead",
            model=reported.model,
        )
    return reported


def _events(text: str) -> list[dict[str, Any]]:
    """The JSON objects of a stream's `data:` lines."""
    found = []
    for line in text.splitlines():
        if line.startswith("data:"):
            try:
                value = json.loads(line[5:])
            except (ValueError, RecursionError):
                # `[DONE]`, or damage, which the dialect's own reader judges.
                continue
            if isinstance(value, dict):
                found.append(value)
    return found


def _dialect_of(body: dict[str, Any]) -> str:
    if body.get("type") == "error" or "error" in body:
        raise UnreadableReplyError("the reply is an error", hint="a call that was refused is not billed")
    usage = body.get("usage")
    units = usage if isinstance(usage, dict) else {}
    if body.get("type") == "message" or "input_tokens" in units:
        return _ANTHROPIC
    if "choices" in body or "prompt_tokens" in units:
        return _OPENAI
    raise _no_reply("it has neither Anthropic's type nor OpenAI's choices")


def _dialect_of_stream(events: list[dict[str, Any]]) -> str:
    for event in events:
        if event.get("type") == "message_start":
            return _ANTHROPIC
        if "choices" in event:
            return _OPENAI
    raise _no_reply("no event of the stream begins an answer")


def _no_reply(why: str) -> InvalidValueError:
    return InvalidValueError(
        f"--reply: this is no reply of a known provider: {why}",
        hint="give the body of an OpenAI chat completion or an Anthropic message, plain or streamed",
        option="--reply",
    )
