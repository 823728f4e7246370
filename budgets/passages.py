"""What of a stream the caller gets: all of it, but for what is there only because we asked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from budgets.dialects import reading
from budgets.dialects.json_array import ArraySplitter
from budgets.dialects.sse import Event, framed
from budgets.metering import Metering

# Where one server-sent event ends: at an empty line.
_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")


# Google's own client takes every line for an answer, those that begin with a colon with them.
_NO_COMMENTS = frozenset(("gemini",))


class Passage(Protocol):
    """Takes a stream's pieces as they arrive; gives what may be passed on."""

    def feed(self, piece: bytes) -> bytes:
        """What can be passed on now; often *piece* itself."""
        ...

    def rest(self) -> bytes:
        """What was kept back, when the stream has ended."""
        ...

    def end(self, events: Sequence[Event]) -> bytes:
        """These events in the place of all that is still to come; what was kept back is left out."""
        ...


def passage_of(metering: Metering, content_type: str = "") -> Passage:
    """
    The passage for the stream of this call.

    Args:
        content_type: Of the answer, for who may have to put an end to the stream; else it passes as it comes.
    """
    if metering.asked_for_usage:
        return _WithoutUsage()
    if content_type.startswith("text/event-stream"):
        return _Events()
    return _Objects() if content_type.startswith("application/json") else _Whole()


def is_usage_alone(chunk: Mapping[str, Any]) -> bool:
    """
    Whether it is the one chunk more that `stream_options.include_usage` asks for.

    Who did not ask takes `choices[0]` of every chunk.
    https://platform.openai.com/docs/api-reference/chat/create#chat-create-stream_options
    """
    return chunk.get("choices") == [] and chunk.get("usage") is not None


def takes_comments(metering: Metering, headers: Mapping[str, str]) -> bool:
    """
    Whether comments in a stream with these headers (names in lower case) are passed over by its readers.

    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """
    kind = headers.get("content-type", "")
    return kind.startswith("text/event-stream") and metering.dialect.name not in _NO_COMMENTS


class _Whole:
    """Everything, at once; nothing can be put in its place."""

    def feed(self, piece: bytes) -> bytes:
        return piece

    def rest(self) -> bytes:
        return b""

    def end(self, events: Sequence[Event]) -> bytes:
        assert not events, "frames are not written here"
        return b""


class _Events:
    """Everything, event by event: a stream may have to end, and half an event could not be taken back."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def feed(self, piece: bytes) -> bytes:
        if not self._kept and piece.endswith(b"\n\n"):
            return piece
        # An end may have begun in the piece before.
        start = max(0, len(self._kept) - 3)
        self._kept += piece
        ends = ((self._kept.rfind(mark, start), mark) for mark in (b"\n\n", b"\r\n\r\n", b"\r\r"))
        end = max((at + len(mark) for at, mark in ends if at >= 0), default=0)
        passed = bytes(self._kept[:end])
        del self._kept[:end]
        return passed

    def rest(self) -> bytes:
        kept = bytes(self._kept)
        self._kept.clear()
        return kept

    def end(self, events: Sequence[Event]) -> bytes:
        self._kept.clear()
        return b"".join(map(framed, events))


class _Objects:
    """The objects of one JSON array, each as it was sent, as soon as it is whole."""

    def __init__(self) -> None:
        self._objects = ArraySplitter()
        self._before = b"["

    def feed(self, piece: bytes) -> bytes:
        return b"".join(map(self._next, self._objects.feed(piece)))

    def _next(self, found: bytes) -> bytes:
        before, self._before = self._before, b",\r\n"
        return before + found

    def rest(self) -> bytes:
        return b"[]" if self._before == b"[" else b"]"

    def end(self, events: Sequence[Event]) -> bytes:
        return b"".join(self._next(event.data.encode("utf-8", "replace")) for event in events) + self.rest()


class _WithoutUsage:
    """A stream of chat chunks as it would be had nobody asked for `stream_options.include_usage`."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, piece: bytes) -> bytes:
        self._kept += piece
        passed = []
        start = 0
        for end in _EVENT_END.finditer(self._kept):
            passed.append(_without_usage(self._kept[start : end.end()]))
            start = end.end()
        self._kept = self._kept[start:]
        return b"".join(passed)

    def rest(self) -> bytes:
        kept, self._kept = self._kept, b""
        return _without_usage(kept)

    def end(self, events: Sequence[Event]) -> bytes:
        self._kept = b""
        return b"".join(map(framed, events))


# How a chunk ends that has the field for the sake of the last one. Within a JSON string its quotes would be
# escaped, so this is the field itself, and the brace after it is the chunk's own.
_NO_USAGE_YET = re.compile(rb',\s?"usage":\s?null\}(?=\s*$)')


def _without_usage(event: bytes) -> bytes:
    if b'"usage"' not in event:
        return event
    if event.startswith(b"data:") and event.count(b'"usage"') == 1 and _NO_USAGE_YET.search(event):
        return _NO_USAGE_YET.sub(b"}", event)
    text = event.decode("utf-8", "replace").strip()
    chunk = reading.parse_object(text.removeprefix("data:")) if text.startswith("data:") else None
    if chunk is None or "usage" not in chunk:
        return event
    if is_usage_alone(chunk):
        return b""
    rest = {name: value for name, value in chunk.items() if name != "usage"}
    return b"data: " + json.dumps(rest, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"
