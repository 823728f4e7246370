from __future__ import annotations

import json
import math
from typing import Any

import pytest

from budgets.asks import Image
from budgets.dialects.anthropic_messages import AnthropicMessages
from budgets.errors import InvalidValueError, UnreadableReplyError

DIALECT = AnthropicMessages()
PLAIN = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 4096,
    "messages": [{"role": "user", "content": "Hello"}],
}


def _counts(**usage: Any) -> dict[str, int]:
    read = DIALECT.read_reply({"usage": usage}).usage
    assert read is not None
    return dict(read)


def _stream(*events: dict[str, Any]) -> bytes:
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


def _start(**usage: Any) -> dict[str, Any]:
    return {"type": "message_start", "message": {"id": "msg_1", "model": "claude-x", "usage": usage}}


def _text(text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def _delta(**usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}


STOP = {"type": "message_stop"}

# --- usage --------------------------------------------------------------------------------------------

COMPACTION = {"type": "compaction", "input_tokens": 180000, "output_tokens": 3500}
ANSWER = {"type": "message", "input_tokens": 23000, "output_tokens": 1000, "cache_read_input_tokens": 7}
ADVICE = {"type": "advisor_message", "model": "claude-opus-x", "input_tokens": 2564, "output_tokens": 99}


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        pytest.param({"input_tokens": 10, "output_tokens": 5}, {"input": 10, "output": 5}, id="plain"),
        pytest.param(
            {
                "input_tokens": 3,
                "cache_read_input_tokens": 1069,
                "cache_creation_input_tokens": 300,
                "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
                "output_tokens": 5,
            },
            {"input": 3, "cached_input": 1069, "cache_write": 100, "cache_write_1h": 200, "output": 5},
            id="cached beside input",
        ),
        pytest.param(
            {"input_tokens": 3, "cache_creation_input_tokens": 300, "output_tokens": 5},
            {"input": 3, "cache_write": 300, "output": 5},
            id="writes without a split",
        ),
        pytest.param(
            {
                "input_tokens": 3,
                "cache_creation_input_tokens": 300,
                "cache_creation": {"ephemeral_1h_input_tokens": 200},
                "output_tokens": 0,
            },
            {"input": 3, "cache_write_1h": 300},
            id="the rest of a split takes the dearer rate",
        ),
        pytest.param(
            {"input_tokens": 3, "output_tokens": 0, "cache_creation": {"ephemeral_5m_input_tokens": 4}},
            {"input": 3, "cache_write": 4},
            id="a split without its total",
        ),
        pytest.param(
            {"input_tokens": 51, "output_tokens": 168, "output_tokens_details": {"thinking_tokens": 112}},
            {"input": 51, "output": 56, "reasoning": 112},
            id="thinking inside output",
        ),
        pytest.param(
            {"input_tokens": 9, "output_tokens": 8, "server_tool_use": {"web_search_requests": 2}},
            {"input": 9, "output": 8, "web_searches": 2},
            id="web searches",
        ),
        pytest.param(
            {"input_tokens": 9, "output_tokens": 8, "server_tool_use": None, "iterations": None},
            {"input": 9, "output": 8},
            id="nulls",
        ),
        pytest.param(
            {"input_tokens": 23000, "output_tokens": 1000, "iterations": [COMPACTION, ANSWER]},
            {"input": 203000, "cached_input": 7, "output": 4500},
            id="compaction is on top",
        ),
    ],
)
def test_each_token_is_counted_once(usage: dict[str, Any], counts: dict[str, int]) -> None:
    assert _counts(**usage) == counts


def test_an_adviser_is_another_model_with_prices_of_its_own() -> None:
    usage = {"input_tokens": 23000, "output_tokens": 1000, "iterations": [ANSWER, ADVICE, ADVICE]}
    reported = DIALECT.read_reply({"model": "claude-x", "usage": usage})
    assert reported.usage is not None
    assert reported.usage["input"] == 23000
    assert [(model, dict(used)) for model, used in reported.others] == [
        ("claude-opus-x", {"input": 5128, "output": 198})
    ]


@pytest.mark.parametrize("usage", [None, {}, {"service_tier": "standard"}])
def test_a_reply_without_usage_has_none(usage: Any) -> None:
    assert DIALECT.read_reply({"usage": usage}).usage is None
    assert DIALECT.read_reply({}).usage is None


@pytest.mark.parametrize("value", [-1, 10**13, 1.5, math.nan, True, "12"])
@pytest.mark.parametrize("field", ["input_tokens", "output_tokens", "cache_read_input_tokens"])
def test_a_count_that_is_none_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(UnreadableReplyError) as refused:
        _counts(**{"input_tokens": 1, "output_tokens": 1} | {field: value})
    assert refused.value.values["field"] == f"usage.{field}"


@pytest.mark.parametrize(
    ("usage", "field"),
    [
        (
            {"cache_creation_input_tokens": 5, "cache_creation": {"ephemeral_5m_input_tokens": 6}},
            "usage.cache_creation",
        ),
        (
            {"cache_creation": {"ephemeral_1h_input_tokens": -6}},
            "usage.cache_creation.ephemeral_1h_input_tokens",
        ),
        ({"output_tokens_details": {"thinking_tokens": 2}}, "usage.output_tokens_details.thinking_tokens"),
        ({"server_tool_use": {"web_search_requests": True}}, "usage.server_tool_use.web_search_requests"),
        ({"server_tool_use": 3}, "usage.server_tool_use"),
        ({"iterations": 3}, "usage.iterations"),
        ({"iterations": [3]}, "usage.iterations[0]"),
        ({"iterations": [{}]}, "usage.iterations[0]"),
        ({"iterations": [{"output_tokens": "3"}]}, "usage.iterations[0].output_tokens"),
        ({"iterations": [ADVICE | {"model": None}]}, "usage.iterations[0].model"),
        ({"iterations": [{"input_tokens": 10**12}, {"input_tokens": 1}]}, "usage"),
    ],
)
def test_parts_that_do_not_fit_are_refused_by_name(usage: dict[str, Any], field: str) -> None:
    with pytest.raises(UnreadableReplyError) as refused:
        _counts(**{"input_tokens": 1, "output_tokens": 1} | usage)
    assert refused.value.values["field"] == field


def test_fast_mode_is_a_tier() -> None:
    def tier(**usage: Any) -> str | None:
        return DIALECT.read_reply({"usage": {"input_tokens": 1, "output_tokens": 1} | usage}).service_tier

    assert tier(service_tier="standard", speed="fast") == "fast"
    assert tier(service_tier="priority", speed="standard") == "priority"
    assert DIALECT.read_request(PLAIN | {"speed": "fast"}).service_tier == "fast"
    assert DIALECT.read_request(PLAIN | {"service_tier": "auto"}).service_tier == "auto"


# --- replies and streams ------------------------------------------------------------------------------


def test_a_reply_gives_its_text_apart_from_what_was_written_beside_it() -> None:
    content = [
        {"type": "thinking", "thinking": "Hm. ", "signature": "abc"},
        {"type": "text", "text": "Yes."},
        {"type": "tool_use", "id": "1", "name": "find", "input": {"a": 1}},
    ]
    reported = DIALECT.read_reply({"id": "msg_1", "model": "claude-x", "content": content})
    assert (reported.text, reported.aside) == ("Yes.", 'Hm. find{"a":1}')
    assert (reported.model, reported.reply_id, reported.finished) == ("claude-x", "msg_1", True)


def test_of_each_field_of_a_stream_the_last_value_holds() -> None:
    reader = DIALECT.read_stream()
    reader.feed(
        _stream(_start(input_tokens=10, cache_read_input_tokens=5, output_tokens=1), {"type": "ping"})
    )
    early = reader.reported()
    assert early.usage is not None
    assert (dict(early.usage), early.finished) == ({"input": 10, "cached_input": 5, "output": 1}, False)
    assert reader.feed(_stream(_text("Hel"), _text("lo"))) == "Hello"
    reader.feed(
        _stream(_delta(output_tokens=7, input_tokens=None), _delta(input_tokens=30, output_tokens=9), STOP)
    )
    late = reader.reported()
    assert late.usage is not None
    assert dict(late.usage) == {"input": 30, "cached_input": 5, "output": 9}
    assert (late.finished, late.text, late.model, late.reply_id) == (True, "Hello", "claude-x", "msg_1")


def test_a_later_total_makes_a_split_void_that_no_longer_fits() -> None:
    split = {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 0}
    reader = DIALECT.read_stream()
    reader.feed(_stream(_start(input_tokens=1, cache_creation_input_tokens=40, cache_creation=split)))
    reader.feed(_stream(_delta(cache_creation_input_tokens=10, output_tokens=2), STOP))
    usage = reader.reported().usage
    assert usage is not None
    assert dict(usage) == {"input": 1, "cache_write": 10, "output": 2}


def test_thinking_and_tool_input_of_a_stream_stand_beside_its_text() -> None:
    reader = DIALECT.read_stream()
    tool = {"type": "tool_use", "id": "1", "name": "find", "input": {}}
    deltas = [
        {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "Hm."}},
        {"type": "content_block_start", "content_block": tool},
        {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": '{"a"'}},
        {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": ":1}"}},
    ]
    assert reader.feed(_stream(*deltas)) == ""
    assert reader.reported().aside == 'Hm.find{"a":1}'


def test_an_error_inside_a_stream_leaves_it_unfinished() -> None:
    reader = DIALECT.read_stream()
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    reader.feed(_stream(_start(input_tokens=10, output_tokens=1), _text("Hi"), error))
    reported = reader.reported()
    assert (reported.finished, reported.text) == (False, "Hi")
    assert reported.usage is not None


def test_bad_usage_in_a_stream_is_told_when_asked_and_stops_nothing_before() -> None:
    reader = DIALECT.read_stream()
    assert reader.feed(_stream(_start(input_tokens="10"), _text("still here"))) == "still here"
    with pytest.raises(UnreadableReplyError, match="input_tokens"):
        reader.reported()


def test_a_bad_usage_block_is_not_forgotten_for_a_good_one_that_follows() -> None:
    reader = DIALECT.read_stream()
    bad = {"type": "message_delta", "usage": [1]}
    reader.feed(_stream(_start(input_tokens=1), bad, _delta(output_tokens=2)))
    with pytest.raises(UnreadableReplyError, match="usage"):
        reader.reported()


def test_a_stream_that_is_not_json_cannot_be_read() -> None:
    reader = DIALECT.read_stream()
    reader.feed(b"data: <html>\n\n")
    with pytest.raises(UnreadableReplyError, match="not JSON"):
        reader.reported()


# --- requests -----------------------------------------------------------------------------------------


def test_every_text_of_a_request_is_there_to_be_counted() -> None:
    found = {"type": "search_result", "title": "T", "source": "S", "content": [{"type": "text", "text": "R"}]}
    document = {"type": "document", "title": "D", "source": {"type": "text", "data": "long"}}
    ask = DIALECT.read_request(
        {
            "model": "claude-x",
            "system": [{"type": "text", "text": "Be brief."}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "One"}, document, found]},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                        {"type": "tool_use", "id": "1", "name": "find", "input": {"q": "ü"}},
                    ],
                },
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "1", "content": "found"}],
                },
            ],
            "tools": [{"name": "find", "input_schema": {"type": "object"}}],
            "output_config": {"format": {"type": "json_schema", "schema": {"type": "string"}}},
            "stream": True,
        }
    )
    assert ask.texts == (
        "Be brief.", "One", "D", "long", "T", "S", "R", "find", '{"q":"ü"}', "found", "Hm.",
    )  # fmt: skip
    assert ask.tools == ('{"name":"find","input_schema":{"type":"object"}}',)
    assert (ask.schemas, ask.calls, ask.thoughts) == (('{"type":"string"}',), 1, ())
    assert (ask.messages, ask.output_limit, ask.stream, ask.answers) == (4, None, True, 1)
    assert (ask.unbounded, ask.cache_write, ask.reasoning) == ((), None, False)


def test_thinking_of_an_earlier_turn_is_kept_apart() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    sealed = {"type": "redacted_thinking", "data": "x" * 40}
    result = {"type": "tool_result", "tool_use_id": "1", "content": "found"}
    turn = [
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": [thought, sealed]},
        {"role": "user", "content": [result]},
    ]
    within = DIALECT.read_request({"model": "claude-x", "messages": turn})
    assert (within.texts, within.thoughts) == (("One", "found", "Hm."), ())
    assert (within.sealed, within.sealed_earlier) == (40, 0)
    after = DIALECT.read_request(
        {"model": "claude-x", "messages": [*turn, {"role": "user", "content": "Two"}]}
    )
    assert (after.texts, after.thoughts) == (("One", "found", "Two"), ("Hm.",))
    assert (after.sealed, after.sealed_earlier) == (0, 40)


def test_pictures_are_read_wherever_they_stand() -> None:
    gif = {"type": "image", "source": {"type": "base64", "data": "R0lGODlhkAEtAQ"}}
    file = {"type": "image", "source": {"type": "file", "file_id": "f"}}
    messages = [{"role": "user", "content": [file, {"type": "tool_result", "content": [gif]}]}]
    ask = DIALECT.read_request({"model": "claude-x", "messages": messages})
    assert ask.images == (Image(), Image(400, 301))
    assert ask.unbounded == ()


def test_tools_that_the_caller_runs_bring_documented_tokens_along() -> None:
    tools = [{"type": "bash_20250124", "name": "bash"}, {"type": "text_editor_20250728", "name": "edit"}]
    messages = [{"role": "user", "content": "Hi"}]
    body = {"model": "claude-x", "messages": messages, "tools": tools, "tool_choice": {"type": "any"}}
    ask = DIALECT.read_request(body)
    assert (ask.hidden, ask.must_call, ask.unbounded) == (945, True, ())


def _with(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_with({"type": "document", "source": {"type": "url", "url": "x"}}), "a document"),
        (_with({"type": "document", "source": {"type": "base64", "data": "x"}}), "a document"),
        (_with({"type": "container_upload", "file_id": "f"}), "a file"),
        (_with({"type": "new"}), 'a block of type "new"'),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, 'the server tool "web_search"'),
        ({"tools": [{"type": "code_execution_20260120"}]}, 'the server tool "code_execution"'),
        ({"mcp_servers": [{"url": "x"}]}, "MCP servers"),
        ({"container": "c_1"}, "a container"),
        ({"context_management": {"edits": [{"type": "compact_20260112"}]}}, "compaction"),
    ],
)
def test_what_a_request_does_not_bound_is_said_in_words(change: dict[str, Any], reason: str) -> None:
    assert DIALECT.read_request(PLAIN | change).unbounded == (reason,)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"tools": [{"type": "custom", "name": "x", "input_schema": {}}]},
        {"tools": [{"type": "bash_20250124", "name": "bash"}]},
        {"tools": [{"type": "computer_20250124", "name": "computer"}]},
        {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}},
        {"mcp_servers": []},
    ],
)
def test_what_runs_at_the_callers_bounds_the_call(change: dict[str, Any]) -> None:
    assert DIALECT.read_request(PLAIN | change).unbounded == ()


MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


@pytest.mark.parametrize(
    ("change", "cache_write"),
    [
        ({}, None),
        ({"cache_control": MARK}, "5m"),
        ({"cache_control": None}, None),
        ({"system": [{"type": "text", "text": "x", "cache_control": HOUR}]}, "1h"),
        ({"tools": [{"name": "x", "cache_control": HOUR}], "cache_control": MARK}, "1h"),
        (_with({"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "5m"}}), "5m"),
        (
            _with({"type": "tool_result", "content": [{"type": "text", "text": "x", "cache_control": HOUR}]}),
            "1h",
        ),
    ],
)
def test_the_dearest_caching_that_is_asked_for_is_found(
    change: dict[str, Any], cache_write: str | None
) -> None:
    assert DIALECT.read_request(PLAIN | change).cache_write == cache_write


@pytest.mark.parametrize(
    ("thinking", "reasons"),
    [
        (None, False),
        ({"type": "disabled"}, False),
        ({"type": "enabled", "budget_tokens": 1024}, True),
        ({"type": "adaptive"}, True),
    ],
)
def test_whether_a_request_reasons(thinking: Any, reasons: bool) -> None:
    assert DIALECT.read_request(PLAIN | {"thinking": thinking}).reasoning is reasons


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": 7}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        (_with({"type": "text", "text": 7}), "messages[0].content[0].text"),
        (_with({"type": 7}), "messages[0].content[0].type"),
        ({"system": 7}, "system"),
        ({"system": ["x"]}, "system[0]"),
        ({"tools": [7]}, "tools[0]"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"stream": 1}, "stream"),
        ({"thinking": "on"}, "thinking"),
        ({"context_management": []}, "context_management"),
    ],
)
def test_a_bad_request_is_refused_by_the_name_of_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        DIALECT.read_request(PLAIN | change)
    assert refused.value.values["field"] == field


# --- limits -------------------------------------------------------------------------------------------


def _limited(tokens: int, **change: Any) -> int:
    limit = DIALECT.limit_output(PLAIN | change, tokens)["max_tokens"]
    assert isinstance(limit, int)
    return limit


def _thinking(budget: int) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": budget}


def test_a_limit_is_lowered_never_raised() -> None:
    assert _limited(100) == 100
    assert _limited(9999) == 4096
    assert _limited(100, max_tokens=None) == 100
    assert PLAIN["max_tokens"] == 4096


def test_a_thinking_budget_must_fit_into_the_limit() -> None:
    assert _limited(2001, thinking=_thinking(2000)) == 2001
    for tokens in (2000, 1999, 1):
        with pytest.raises(InvalidValueError, match="budget_tokens") as refused:
            _limited(tokens, thinking=_thinking(2000))
        assert refused.value.hint is not None
    with pytest.raises(InvalidValueError, match="budget_tokens"):
        _limited(2000, thinking=_thinking(2000), max_tokens=None)
    with pytest.raises(InvalidValueError, match="1024"):
        _limited(3000, thinking=_thinking(1023))


def test_a_budget_that_stood_above_the_limit_before_is_the_callers_affair() -> None:
    """Interleaved thinking allows it."""
    assert _limited(3000, thinking=_thinking(9000)) == 3000


def test_adaptive_thinking_has_no_budget_to_fit() -> None:
    assert _limited(300, thinking={"type": "adaptive"}) == 300


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="0 tokens"):
        DIALECT.limit_output(PLAIN, 0)


# --- the rest -----------------------------------------------------------------------------------------


def test_a_built_request_is_read_back() -> None:
    body = DIALECT.build_request(
        model="claude-x",
        messages=[{"role": "user", "content": "Hi"}],
        system="Be brief",
        temperature=0,
        stream=True,
    )
    ask = DIALECT.read_request(DIALECT.limit_output(body, 77))
    assert (ask.texts, ask.messages, ask.stream, ask.output_limit) == (("Be brief", "Hi"), 2, True, 77)
    assert body["temperature"] == 0
    assert DIALECT.ask_for_usage(body) == body


def test_the_headers_of_a_call() -> None:
    assert DIALECT.headers("sk-ant-1")["x-api-key"] == "sk-ant-1"
    assert DIALECT.headers(None)["anthropic-version"] == "2023-06-01"
    assert "x-api-key" not in DIALECT.headers(None)


def test_the_words_of_an_error() -> None:
    body = b'{"type":"error","error":{"type":"not_found_error","message":"model: claude-sonet"}}'
    assert DIALECT.read_error(body) == "model: claude-sonet"
