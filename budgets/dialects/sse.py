"""
Server-sent events, cut out of a stream of bytes that comes in pieces of any size.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream."""

    # `message` where the stream names none.
    name: str
    # The event's data lines, joined by line feeds. Answers are in here, so `repr` must not show them.
    data: str

    def __repr__(self) -> str:
        return f"Event(name={self.name!r}, data=<{len(self.data)} characters>)"


def framed(event: Event) -> bytes:
    """*event* as it stands in a stream."""
    name = "" if event.name == "message" else f"event: {event.name}\n"
    lines = "".join(f"data: {line}\n" for line in event.data.split("\n"))
    return f"{name}{lines}\n".encode("utf-8", "replace")


class SseSplitter:
    """
    Collects bytes and gives back the events that they complete.

    Lines end in LF, CR or CRLF, also when a piece ends between the two.
    An event without data, a comment and an event that never ended are no events.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._name = ""
        self._data: list[str] = []
        # The last piece ended in CR: a LF that follows belongs to it.
        self._after_cr = False
        self._at_start = True

    def feed(self, piece: bytes) -> list[Event]:
        """Take the next bytes; give back the events that they complete, often none."""
        if not piece:
            return []
        if self._after_cr and piece[:1] == b"\n":
            piece = piece[1:]
        self._after_cr = piece.endswith(b"\r") if piece else False
        events = []
        start = 0
        for end in _LINE_END.finditer(piece):
            self._line += piece[start : end.start()]
            start = end.end()
            event = self._end_line()
            if event is not None:
                events.append(event)
        self._line += piece[start:]
        return events

    def _end_line(self) -> Event | None:
        line = bytes(self._line)
        self._line.clear()
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._end_event()
        # Only whole lines are decoded, so no character is ever cut in two.
        field, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        return None

    def _end_event(self) -> Event | None:
        event = Event(self._name or "message", "\n".join(self._data)) if self._data else None
        self._name = ""
        self._data = []
        return event
