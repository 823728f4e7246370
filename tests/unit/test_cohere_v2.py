from __future__ import annotations

import json
from typing import Any

import pytest

from budgets.dialects import at_path, by_name
from budgets.errors import UnreadableReplyError

COHERE = by_name("cohere-v2")
BILLED = {
    "billed_units": {"input_tokens": 5, "output_tokens": 9},
    "tokens": {"input_tokens": 71, "output_tokens": 9},
}


@pytest.mark.parametrize(
    ("reply", "counts"),
    [
        pytest.param({"usage": BILLED}, {"input": 5, "output": 9}, id="billed units win over tokens"),
        pytest.param(
            {"usage": {"tokens": {"input_tokens": 71.0, "output_tokens": 9}}},
            {"input": 71, "output": 9},
            id="tokens where nothing is said of the bill",
        ),
        pytest.param(
            {"embeddings": {}, "meta": {"billed_units": {"input_tokens": 2, "image_tokens": 3}}},
            {"input": 2, "input_image": 3},
            id="embeddings",
        ),
    ],
)
def test_what_is_billed_is_read(reply: dict[str, Any], counts: dict[str, int]) -> None:
    found = COHERE.read_reply(reply).usage
    assert found is not None
    assert dict(found) == counts


@pytest.mark.parametrize(
    "units",
    [
        {"input_tokens": -1},
        {"input_tokens": 1.5},
        {"output_tokens": "9"},
        {"input_tokens": 1, "search_units": 2},
    ],
)
def test_a_unit_that_makes_no_sense_is_an_error(units: dict[str, Any]) -> None:
    with pytest.raises(UnreadableReplyError):
        COHERE.read_reply({"usage": {"billed_units": units}})


@pytest.mark.parametrize("size", [1, 7, 10**9])
def test_a_stream_ends_with_the_usage(size: int) -> None:
    events: list[dict[str, Any]] = [
        {"type": "message-start", "id": "c-1", "delta": {"message": {"role": "assistant"}}},
        {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "hm"}}},
        {"type": "content-delta", "delta": {"message": {"content": {"text": "Bon"}}}},
        {"type": "content-delta", "delta": {"message": {"content": {"text": "jour"}}}},
        {"type": "tool-call-start", "delta": {"message": {"tool_calls": {"function": {"name": "f"}}}}},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": BILLED}},
    ]
    data = "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events).encode()
    reader = COHERE.read_stream()
    text = "".join(reader.feed(data[at : at + size]) for at in range(0, len(data), size))
    reported = reader.reported()
    assert reported.usage is not None
    assert dict(reported.usage) == {"input": 5, "output": 9}
    assert (text, reported.aside, reported.reply_id, reported.finished) == ("Bonjour", "hmf", "c-1", True)


def test_a_chat_is_read() -> None:
    body = {
        "model": "command-a-03-2025",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        ],
        "documents": ["one", {"id": "2", "data": {"text": "two"}}],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "max_tokens": 900,
    }
    found = at_path("/v2/chat", body)
    assert found is not None
    dialect, request = found
    ask = dialect.read_request(request)
    assert ask.texts == ("Be brief.", "Hi", "one", '{"id":"2","data":{"text":"two"}}')
    assert (ask.messages, ask.output_limit, len(ask.tools), ask.unbounded) == (2, 900, 1, ())
    assert dialect.limit_output(request, 300)["max_tokens"] == 300
    assert dialect.sent(request) == ("/v2/chat", body)


def test_embeddings_write_nothing() -> None:
    body = {"model": "embed-v4.0", "texts": ["Hi", "there"], "input_type": "search_query"}
    ask = COHERE.read_request(body)
    assert (ask.texts, ask.output_limit, ask.messages) == (("Hi", "there"), 0, 2)
    assert COHERE.sent(body).path == "/v2/embed"
    assert COHERE.read_request({"model": "embed-v4.0", "images": ["data:x"]}).unbounded == ("an image",)
