"""A provider's reply from a file: which dialect it is in shows from its shape."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from budgets.errors import InvalidValueError, UnreadableReplyError

from .env import Env
from .prompting import read_bytes, read_text

if TYPE_CHECKING:
    from budgets.dialects.base import Reported


def read_reply(env: Env, file: str) -> Reported:
    """
    What a reply says was used: one JSON object, or a whole stream as it was sent.

    Bedrock's binary streams are read from files alone, for stdin is text.

    Raises:
        InvalidValueError: the file cannot be read, or is no reply of a known dialect.
        UnreadableReplyError: it is one, and its usage cannot be trusted; or it is an error, or cut off.
    """
    from budgets.dialects import by_name
    from budgets.dialects.reading import parse_object

    data = b"" if file == "-" else read_bytes(file, "--reply")
    binary = _dialect_of_frames(data)
    text = "" if binary is not None else read_text(env, file, "--reply")
    body = parse_object(text)
    if binary is not None:
        reader = by_name(binary).read_stream()
        reader.feed(data)
        reported = reader.reported()
    elif body is not None:
        reported = by_name(_dialect_of(body)).read_reply(body)
    else:
        reader = by_name(_dialect_of_stream(_events(text))).read_stream()
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


def _dialect_of_frames(data: bytes) -> str | None:
    """The dialect of a binary event stream; `None` where *data* does not begin as one."""
    from budgets.dialects.eventstream import FrameSplitter

    frames = FrameSplitter().feed(data)
    if not frames:
        return None
    return "bedrock-invoke" if frames[0].headers.get(":event-type") == "chunk" else "bedrock-converse"


def _events(text: str) -> list[dict[str, Any]]:
    """The JSON objects of a stream's `data:` lines, or of the JSON array that it is."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, list):
        return [event for event in whole if isinstance(event, dict)]
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
    if not found:
        raise _no_reply("it is neither a JSON object nor a stream")
    return found


def _dialect_of(body: dict[str, Any]) -> str:
    from budgets.dialects.shapes import dialect_of_reply

    found = dialect_of_reply(body)
    if found is None:
        raise _no_reply("no provider's usage or answer is in it")
    return found


def _dialect_of_stream(events: list[dict[str, Any]]) -> str:
    for event in events:
        kind = str(event.get("type"))
        if kind == "message_start":
            return "anthropic-messages"
        if kind == "message-start":
            return "cohere-v2"
        if kind.startswith("response."):
            return "openai-responses"
        if "choices" in event:
            return "openai-chat"
        if "usageMetadata" in event or "candidates" in event:
            return "gemini"
    raise _no_reply("no event of the stream begins an answer")


def _no_reply(why: str) -> InvalidValueError:
    return InvalidValueError(
        f"--reply: this is no reply of a known provider: {why}",
        hint="give the body of a reply as it came, plain or streamed; else charge token counts",
        option="--reply",
    )
