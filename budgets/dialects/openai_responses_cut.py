"""What of a Responses stream is open, and the events that end it before its time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from budgets.dialects import reading
from budgets.dialects.sse import Event

# Deltas of texts that are parts of an item, and the events that end them.
# https://platform.openai.com/docs/api-reference/responses-streaming
_TEXTS = {"response.output_text.delta": "text", "response.refusal.delta": "refusal"}
# Deltas of what an item itself has in a field.
_FIELDS = {
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
}


class OpenItems:
    """The items of a response as its events tell of them."""

    def __init__(self) -> None:
        # Item -> what was said of it last, and whether it has ended.
        self._items: dict[int, dict[str, Any]] = {}
        self._ended: set[int] = set()
        # Item and part -> the part, its text as far as it has come.
        self._parts: dict[tuple[int, int], dict[str, Any]] = {}
        self._parts_ended: set[tuple[int, int]] = set()
        self._number = 0

    def note(self, kind: str, event: Mapping[str, Any]) -> None:
        """Take one event."""
        if type(number := event.get("sequence_number")) is int:
            self._number = number
        index, part = event.get("output_index"), event.get("content_index")
        if type(index) is not int:
            return
        if kind in ("response.output_item.added", "response.output_item.done"):
            if isinstance(event.get("item"), Mapping):
                self._items[index] = dict(event["item"])
            if kind.endswith("done"):
                self._ended.add(index)
        elif kind in _FIELDS and index in self._items:
            field = _FIELDS[kind]
            self._items[index][field] = f"{self._items[index].get(field) or ''}{event.get('delta') or ''}"
        elif type(part) is int:
            self._note_part(kind, event, (index, part))

    def _note_part(self, kind: str, event: Mapping[str, Any], place: tuple[int, int]) -> None:
        if kind in ("response.content_part.added", "response.content_part.done"):
            if isinstance(event.get("part"), Mapping):
                self._parts[place] = dict(event["part"])
            if kind.endswith("done"):
                self._parts_ended.add(place)
        elif kind in _TEXTS:
            field = _TEXTS[kind]
            whole = {"type": "output_text", "annotations": []} if field == "text" else {"type": "refusal"}
            part = self._parts.setdefault(place, whole)
            part[field] = f"{part.get(field) or ''}{event.get('delta') or ''}"

    def cut_here(self, response: Mapping[str, Any]) -> list[Event]:
        """The events that end every open part and item, and *response* itself."""
        events: list[Event] = []
        for index, item in sorted(self._items.items()):
            if index in self._ended:
                continue
            parts = [(place, part) for place, part in sorted(self._parts.items()) if place[0] == index]
            for place, part in parts:
                if place not in self._parts_ended:
                    events += self._part_ends(item, place, part)
            item["status"] = "incomplete"
            if parts:
                item["content"] = [part for _, part in parts]
            events.append(self._event("response.output_item.done", output_index=index, item=item))
        last = {
            **response,
            "status": "incomplete",
            "incomplete_details": {"reason": "max_output_tokens"},
            "output": [item for _, item in sorted(self._items.items())],
        }
        events.append(self._event("response.incomplete", response=last))
        return events

    def _part_ends(
        self, item: Mapping[str, Any], place: tuple[int, int], part: Mapping[str, Any]
    ) -> list[Event]:
        at = {"item_id": item.get("id"), "output_index": place[0], "content_index": place[1]}
        events = []
        if part.get("type") == "output_text":
            events.append(self._event("response.output_text.done", **at, text=part.get("text"), logprobs=[]))
        elif part.get("type") == "refusal":
            events.append(self._event("response.refusal.done", **at, refusal=part.get("refusal")))
        return [*events, self._event("response.content_part.done", **at, part=part)]

    def _event(self, kind: str, **values: Any) -> Event:
        self._number += 1
        return Event(kind, reading.compact_json({"type": kind, "sequence_number": self._number, **values}))
