from __future__ import annotations

import json
from typing import Any

import pytest

from budgets.dialects import at_path, by_name
from budgets.errors import InvalidValueError, UnreadableReplyError

RESPONSES = by_name("openai-responses")
EMBEDDINGS = by_name("openai-embeddings")
USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 40},
    "total_tokens": 150,
}
COUNTS = {"input": 30, "cached_input": 60, "cache_write": 10, "output": 10, "reasoning": 40}


def _response(**more: Any) -> dict[str, Any]:
    return {
        "object": "response",
        "id": "resp_1",
        "model": "gpt-5",
        "status": "completed",
        "usage": USAGE,
        **more,
    }


def _counts(**more: Any) -> dict[str, int]:
    found = RESPONSES.read_reply(_response(**more)).usage
    assert found is not None
    return dict(found)


def test_cached_and_reasoning_stand_inside_their_totals() -> None:
    assert _counts() == COUNTS


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed", "cancelled"])
def test_a_response_that_ended_is_billed_however_it_ended(status: str) -> None:
    reported = RESPONSES.read_reply(_response(status=status, error={"message": "oh"}))
    assert reported.finished
    assert reported.usage is not None


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_a_response_in_the_background_is_not_finished(status: str) -> None:
    reported = RESPONSES.read_reply(_response(status=status, usage=None))
    assert (reported.finished, reported.usage) == (False, None)


@pytest.mark.parametrize(
    ("more", "fees"),
    [
        pytest.param(
            {
                "output": [
                    {"type": "web_search_call", "action": {"type": "search"}},
                    {"type": "web_search_call", "action": {"type": "open_page"}},
                    {"type": "web_search_call"},
                ]
            },
            {"web_searches": 2},
            id="a page that is opened is no search",
        ),
        pytest.param(
            {"output": [{"type": "web_search_call"}], "tool_usage": {"web_search": {"num_requests": 5}}},
            {"web_searches": 5},
            id="the provider's own count wins",
        ),
        pytest.param(
            {"output": [{"type": "file_search_call"}]}, {"file_searches": 1}, id="a search of files"
        ),
        pytest.param(
            {"output": [{"type": "code_interpreter_call", "container_id": "c"}] * 2},
            {"code_sessions": 1},
            id="two runs in one container",
        ),
    ],
)
def test_tools_are_billed_by_the_call_or_the_session(more: dict[str, Any], fees: dict[str, int]) -> None:
    assert _counts(**more) == {**COUNTS, **fees}


def test_what_the_image_model_used_is_told_apart() -> None:
    block = {
        "input_tokens": 30,
        "input_tokens_details": {"image_tokens": 20, "text_tokens": 10},
        "output_tokens": 1056,
        "output_tokens_details": {"image_tokens": 1056, "text_tokens": 0},
    }
    ((model, usage),) = RESPONSES.read_reply(_response(tool_usage={"image_gen": block})).others
    assert model == "gpt-image-1"
    assert dict(usage) == {"input": 10, "input_image": 20, "output_image": 1056}


def test_an_image_that_is_not_counted_is_estimated_by_its_size_and_says_so() -> None:
    made = {"type": "image_generation_call", "result": "abc", "quality": "high", "size": "1536x1024"}
    tools = [{"type": "image_generation", "model": "gpt-image-1-mini"}]
    ((model, usage),) = RESPONSES.read_reply(_response(output=[made], tools=tools)).others
    assert (model, dict(usage), usage.how) == (
        "gpt-image-1-mini",
        {"output_image": 6208},
        "estimated:image sizes",
    )
    with pytest.raises(UnreadableReplyError, match="no known cost"):
        RESPONSES.read_reply(_response(output=[{**made, "size": "7x7"}]))


def _stream(*events: dict[str, Any]) -> bytes:
    return "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events).encode()


START = (
    {
        "type": "response.created",
        "response": _response(status="in_progress", usage=None, service_tier="auto"),
    },
    {"type": "response.reasoning_summary_text.delta", "delta": "hm"},
    {"type": "response.output_text.delta", "delta": "Bon"},
    {"type": "response.output_text.delta", "delta": "jour"},
)


@pytest.mark.parametrize("size", [1, 7, 10**9])
@pytest.mark.parametrize("end", ["response.completed", "response.incomplete", "response.failed"])
def test_a_stream_ends_with_the_whole_response(end: str, size: int) -> None:
    data = _stream(*START, {"type": end, "response": _response(service_tier="default")})
    reader = RESPONSES.read_stream()
    text = "".join(reader.feed(data[at : at + size]) for at in range(0, len(data), size))
    reported = reader.reported()
    assert reported.usage is not None
    assert dict(reported.usage) == COUNTS
    assert (text, reported.text, reported.aside) == ("Bonjour", "Bonjour", "hm")
    assert (reported.finished, reported.service_tier, reported.reply_id) == (True, "default", "resp_1")


@pytest.mark.parametrize("nonsense", [[], {}, 7, None])
def test_a_state_or_kind_that_is_no_word_ends_nothing(nonsense: Any) -> None:
    assert not RESPONSES.read_reply(_response(status=nonsense)).finished
    reader = RESPONSES.read_stream()
    reader.feed(_stream(*START, {"type": nonsense, "response": _response()}))
    assert not reader.reported().finished


def test_an_error_event_leaves_what_was_used_unknown() -> None:
    reader = RESPONSES.read_stream()
    reader.feed(_stream(*START, {"type": "error", "code": "server_error", "message": "oh"}))
    reported = reader.reported()
    assert (reported.usage, reported.finished, reported.text) == (None, False, "Bonjour")


@pytest.mark.parametrize(
    ("usage", "field"),
    [
        ({"input_tokens": -1, "output_tokens": 1}, "usage.input_tokens"),
        ({"output_tokens": 1}, "usage.input_tokens"),
        (
            {"input_tokens": 1, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 2}},
            "usage.input_tokens_details.cached_tokens",
        ),
        (
            {"input_tokens": 1, "output_tokens": 1, "output_tokens_details": {"reasoning_tokens": 2}},
            "usage.output_tokens_details.reasoning_tokens",
        ),
    ],
)
def test_a_count_that_makes_no_sense_is_an_error(usage: dict[str, Any], field: str) -> None:
    with pytest.raises(UnreadableReplyError) as caught:
        RESPONSES.read_reply(_response(usage=usage))
    assert caught.value.values["field"] == field


# --- requests -----------------------------------------------------------------------------------------


def test_a_request_is_read() -> None:
    body = {
        "model": "gpt-4.1",
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {"type": "function_call", "id": "x", "call_id": "y", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "y", "output": "42"},
        ],
        "tools": [{"type": "function", "name": "f"}],
        "max_output_tokens": 900,
        "service_tier": "flex",
        "stream": True,
    }
    found = at_path("/v1/responses", body)
    assert found is not None
    dialect, request = found
    ask = dialect.read_request(request)
    assert ask.texts == ("Be brief.", "Hi", '{"name":"f","arguments":"{}"}', "42")
    assert (ask.messages, ask.output_limit, ask.service_tier, ask.stream) == (4, 900, "flex", True)
    assert (ask.reasoning, ask.unbounded) == (False, ())
    assert dialect.sent(request) == ("/responses", body)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"previous_response_id": "resp_0"}, "an earlier response"),
        ({"conversation": "conv_1"}, "a stored conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "a stored prompt"),
        ({"background": True}, "background mode"),
        ({"context_management": [{"type": "compaction"}]}, "compaction"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "an item by reference"),
        ({"input": [{"id": "msg_1"}]}, "an item by reference"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "a file"),
        ({"tools": [{"type": "web_search"}]}, 'the server tool "web_search"'),
        ({"tools": [{"type": "tool_search"}]}, 'the server tool "tool_search"'),
        ({"tools": [{"type": "shell"}]}, 'the server tool "shell"'),
    ],
)
def test_what_is_not_bounded_is_said(change: dict[str, Any], reason: str) -> None:
    assert RESPONSES.read_request({"model": "gpt-5", "input": "Hi", **change}).unbounded == (reason,)


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "custom", "name": "f"},
        {"type": "tool_search", "execution": "client"},
        {"type": "shell", "environment": {"type": "local"}},
    ],
)
def test_what_the_caller_runs_is_bounded(tool: dict[str, Any]) -> None:
    assert RESPONSES.read_request({"model": "gpt-5", "input": "Hi", "tools": [tool]}).unbounded == ()


def test_no_answer_below_the_least_is_asked_for() -> None:
    body = {"model": "gpt-5", "input": "Hi"}
    assert RESPONSES.limit_output(body, 16)["max_output_tokens"] == 16
    assert RESPONSES.limit_output({**body, "max_output_tokens": 50}, 900)["max_output_tokens"] == 50
    with pytest.raises(InvalidValueError, match="below 16"):
        RESPONSES.limit_output(body, 15)


@pytest.mark.parametrize("given", [7, [1], {"role": "user"}])
def test_an_input_of_another_kind_is_refused(given: Any) -> None:
    with pytest.raises(InvalidValueError, match="input"):
        RESPONSES.read_request({"model": "gpt-5", "input": given})


# --- embeddings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "texts", "ids", "messages"),
    [
        ("Hi", ("Hi",), 0, 1),
        (["Hi", "there"], ("Hi", "there"), 0, 2),
        ([9906, 11], (), 2, 1),
        ([[9906, 11], [0]], (), 3, 2),
        (["Hi", [9906]], ("Hi",), 1, 2),
    ],
)
def test_what_is_embedded_is_texts_or_token_ids(
    given: Any, texts: tuple[str, ...], ids: int, messages: int
) -> None:
    ask = EMBEDDINGS.read_request({"model": "text-embedding-3-small", "input": given})
    assert (ask.texts, ask.token_ids, ask.messages, ask.output_limit) == (texts, ids, messages, 0)


@pytest.mark.parametrize("given", [None, [], [1.5], [[True]], [-1], [{}]])
def test_nothing_else_is_embedded(given: Any) -> None:
    with pytest.raises(InvalidValueError, match="input"):
        EMBEDDINGS.read_request({"model": "m", "input": given})


def test_an_embedding_reports_what_it_read() -> None:
    found = EMBEDDINGS.read_reply(
        {"model": "m", "data": [], "usage": {"prompt_tokens": 2, "total_tokens": 2}}
    )
    assert found.usage is not None
    assert dict(found.usage) == {"input": 2}


def test_azure_names_the_model_in_the_path() -> None:
    found = at_path("/openai/deployments/my%2Dmodel/embeddings?api-version=1", {"input": "Hi"})
    assert found is not None
    assert (found[0].name, found[1]["model"]) == ("openai-embeddings", "my-model")
