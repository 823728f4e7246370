"""What a caller is told whose answer the budget ends."""

from __future__ import annotations

from typing import Literal

from budgets.dialects import reading
from budgets.dialects.sse import Event
from budgets.gateway.refusals import refusal
from budgets.money import money, shown
from budgets.records import ROOT, Held

# How a stream that the budget ends is ended: as a full answer is, or with the dialect's error.
Cut = Literal["length", "error"]


def words(held: Held) -> str:
    """Which budget ended the answer, and why."""
    owner = held.left.user
    whose = (
        "the budget"
        if owner is None
        else "the project's budget"
        if owner == ROOT
        else f"{shown(owner)}'s budget"
    )
    held_for_it = money(held.hold.nanos)
    return f"{whose} ended this answer: what came costs more than the {held_for_it} that were held for it"


def comment(said: str) -> bytes:
    """A comment in a stream of events: no reader of events sees it, a person who looks at the stream does."""
    return f": {said}\n\n".encode()


def error_event(said: str, dialect: str) -> Event:
    """The dialect's own error, as it stands in a stream."""
    body = refusal(402, said, dialect, code="budget_cut").body
    if dialect == "openai-responses":
        # https://platform.openai.com/docs/api-reference/responses-streaming/error
        error = body["error"]
        body = {"type": "error", "code": error["code"], "message": error["message"], "param": None, **body}
    named = dialect in ("anthropic-messages", "openai-responses")
    return Event("error" if named else "message", reading.compact_json(body))
