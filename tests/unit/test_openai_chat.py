from __future__ import annotations

import json
import math
from typing import Any

import pytest

from budgets.dialects import by_name
from budgets.dialects.openai_chat import OpenAIChat
from budgets.errors import InvalidValueError, UnreadableReplyError

DIALECT = OpenAIChat()
PLAIN = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}


def _reply(**usage: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "model": "gpt-4o-2024-08-06", "choices": [], "usage": usage}


def _counts(**usage: Any) -> dict[str, int]:
    read = DIALECT.read_reply(_reply(**usage)).usage
    assert read is not None
    return dict(read)


def _stream(*chunks: Any) -> bytes:
    parts = (chunk if isinstance(chunk, str) else json.dumps(chunk) for chunk in chunks)
    return "".join(f"data: {part}\n\n" for part in parts).encode()


def _delta(**delta: Any) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta}], "usage": None}


# --- usage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        pytest.param(
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
            {"input": 10, "output": 5},
            id="plain",
        ),
        pytest.param(
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 40, "rejected_prediction_tokens": 3},
            },
            {"input": 36, "cached_input": 64, "output": 10, "reasoning": 40},
            id="OpenAI: cached and reasoning inside",
        ),
        pytest.param(
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 10, "audio_tokens": 30},
                "completion_tokens_details": {"audio_tokens": 20},
            },
            {"input": 60, "cached_input": 10, "input_audio": 30, "output": 30, "output_audio": 20},
            id="OpenAI: audio inside",
        ),
        pytest.param(
            {
                "prompt_tokens": 100,
                "completion_tokens": 0,
                "prompt_tokens_details": {"cached_tokens": 80, "audio_tokens": 30},
            },
            {"cached_input": 70, "input_audio": 20, "cached_input_audio": 10},
            id="more cached than there is text: the rest is audio",
        ),
        pytest.param(
            {"prompt_tokens": 100, "completion_tokens": 9, "prompt_cache_hit_tokens": 60},
            {"input": 40, "cached_input": 60, "output": 9},
            id="DeepSeek: prompt_cache_hit_tokens",
        ),
        pytest.param(
            {"prompt_tokens": 64, "completion_tokens": 6, "total_tokens": 70, "num_cached_tokens": 32},
            {"input": 32, "cached_input": 32, "output": 6},
            id="Mistral: num_cached_tokens",
        ),
        pytest.param(
            {"prompt_tokens": 64, "completion_tokens": 6, "cached_tokens": 32},
            {"input": 32, "cached_input": 32, "output": 6},
            id="Moonshot: cached_tokens",
        ),
        pytest.param(
            {
                "prompt_tokens": 32,
                "completion_tokens": 9,
                "total_tokens": 135,
                "completion_tokens_details": {"reasoning_tokens": 94},
            },
            {"input": 32, "output": 9, "reasoning": 94},
            id="xAI: reasoning outside",
        ),
        pytest.param(
            {
                "prompt_tokens": 687,
                "completion_tokens": 240,
                "total_tokens": 927,
                "completion_tokens_details": {"reasoning_tokens": 165},
            },
            {"input": 687, "output": 75, "reasoning": 165},
            id="the total tells that reasoning is inside",
        ),
        pytest.param(
            {"prompt_tokens": 8, "completion_tokens": 20, "total_tokens": 528},
            {"input": 8, "output": 20, "reasoning": 500},
            id="Gemini: only the total has the thinking",
        ),
        pytest.param(
            {
                "prompt_tokens": 100,
                "completion_tokens": 300,
                "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 70},
                "completion_tokens_details": {"image_tokens": 290},
            },
            {"input": 10, "cached_input": 20, "cache_write": 70, "output": 10, "output_image": 290},
            id="OpenRouter: cache writes and images",
        ),
        pytest.param(
            {"prompt_tokens": 7, "completion_tokens": None, "prompt_tokens_details": None},
            {"input": 7},
            id="nulls",
        ),
        pytest.param(
            {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 0},
            {"input": 7, "output": 3},
            id="a total below its parts",
        ),
    ],
)
def test_each_token_is_counted_once(usage: dict[str, Any], counts: dict[str, int]) -> None:
    assert _counts(**usage) == counts


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None, "completion_tokens": None}])
def test_a_reply_without_usage_has_none(usage: Any) -> None:
    assert DIALECT.read_reply({"id": "1", "choices": [], "usage": usage}).usage is None
    assert DIALECT.read_reply({"id": "1", "choices": []}).usage is None


@pytest.mark.parametrize("value", [-1, 10**13, 1.5, math.nan, math.inf, True, "12", [1]])
@pytest.mark.parametrize("field", ["prompt_tokens", "completion_tokens", "total_tokens", "num_cached_tokens"])
def test_a_count_that_is_none_is_refused_by_name(field: str, value: Any) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5} | {field: value}
    with pytest.raises(UnreadableReplyError, match=field) as refused:
        DIALECT.read_reply(_reply(**usage))
    assert refused.value.values["field"] == f"usage.{field}"


@pytest.mark.parametrize(
    ("usage", "field"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 11}}, "cached_tokens"),
        ({"prompt_tokens_details": {"audio_tokens": 11}}, "audio_tokens"),
        ({"prompt_tokens_details": {"cached_tokens": 6, "cache_write_tokens": 5}}, "cached_tokens"),
        ({"prompt_tokens_details": {"cache_write_tokens": 6, "audio_tokens": 5}}, "audio_tokens"),
        ({"prompt_tokens_details": {"cached_tokens": -1}}, "cached_tokens"),
        ({"prompt_tokens_details": [1]}, "prompt_tokens_details"),
        ({"completion_tokens_details": {"reasoning_tokens": 6}}, "reasoning_tokens"),
        ({"completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 3}}, "audio_tokens"),
        ({"completion_tokens_details": {"image_tokens": "5"}}, "image_tokens"),
        ({"prompt_tokens": None}, "prompt_tokens"),
    ],
)
def test_parts_that_do_not_fit_are_refused_by_name(usage: dict[str, Any], field: str) -> None:
    with pytest.raises(UnreadableReplyError, match=field):
        DIALECT.read_reply(_reply(**{"prompt_tokens": 10, "completion_tokens": 5} | usage))


def test_usage_that_is_no_object_is_refused() -> None:
    with pytest.raises(UnreadableReplyError, match="usage"):
        DIALECT.read_reply({"usage": [1, 2]})


# --- replies and streams ------------------------------------------------------------------------------


def test_a_reply_gives_its_texts_apart_from_what_was_written_beside_them() -> None:
    call = {"function": {"name": "find", "arguments": '{"a":1}'}}
    message = {"content": "Yes.", "reasoning_content": "Hm. ", "refusal": "No. ", "tool_calls": [call]}
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Well. "}]}
    parts = {"content": [thinking, {"type": "text", "text": "Two."}]}
    reported = DIALECT.read_reply(
        {
            "id": "x",
            "model": "m",
            "service_tier": "flex",
            "choices": [{"message": message}, {"message": parts}],
        }
    )
    assert reported.text == "Yes.Two."
    assert reported.aside == 'find{"a":1}Hm. No. Well. '
    assert (reported.model, reported.reply_id, reported.service_tier) == ("m", "x", "flex")
    assert "Yes" not in repr(reported)
    assert "Hm" not in repr(reported)


def test_a_stream_is_read_to_its_end() -> None:
    reader = DIALECT.read_stream()
    pieces = [
        reader.feed(_stream(_delta(role="assistant", content=""), _delta(content="Hel"))),
        reader.feed(_stream(_delta(content="lo"), _delta(reasoning="hm"))),
    ]
    assert pieces == ["Hel", "lo"]
    before = reader.reported()
    assert (before.usage, before.finished, before.text, before.aside) == (None, False, "Hello", "hm")
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    reader.feed(_stream({"id": "c", "model": "m", "choices": [], "usage": usage}, "[DONE]"))
    after = reader.reported()
    assert after.finished
    assert after.usage is not None
    assert dict(after.usage) == {"input": 9, "output": 3}
    assert (after.model, after.reply_id) == ("m", "c")


def test_of_several_usage_blocks_the_last_one_holds() -> None:
    reader = DIALECT.read_stream()
    for completion in (1, 2, 3):
        chunk = _delta(content="x") | {"usage": {"prompt_tokens": 5, "completion_tokens": completion}}
        reader.feed(_stream(chunk))
    usage = reader.reported().usage
    assert usage is not None
    assert dict(usage) == {"input": 5, "output": 3}


@pytest.mark.parametrize(
    ("model", "made"),
    [
        ("gpt-4o-search-preview", 1),
        ("gpt-4o-mini-search-preview-2025-03-11", 1),
        ("gpt-5-search-api-2025-10-14", 1),
        ("gpt-4o", 0),
        # Whoever sells it on bills as they like.
        ("openai/gpt-4o-search-preview", 0),
    ],
)
def test_a_model_that_always_searches_is_billed_for_its_search(model: str, made: int) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 5}
    plain = DIALECT.read_reply({"model": model, "choices": [], "usage": usage})
    reader = DIALECT.read_stream()
    chunk = {"model": model, "choices": [], "usage": usage}
    reader.feed(f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode())
    for reported in (plain, reader.reported()):
        assert reported.usage is not None
        assert reported.usage["web_searches"] == made
    request = {"model": model, "messages": [{"role": "user", "content": "news?"}]}
    assert DIALECT.read_request(request).searches == made


def test_groq_puts_the_usage_of_a_stream_elsewhere() -> None:
    reader = DIALECT.read_stream()
    usage = {"prompt_tokens": 304, "completion_tokens": 49, "prompt_time": 0.0146}
    reader.feed(_stream({"id": "c", "choices": [], "x_groq": {"id": "req", "usage": usage}}, "[DONE]"))
    read = reader.reported().usage
    assert read is not None
    assert dict(read) == {"input": 304, "output": 49}


def test_a_stream_that_was_cut_is_not_finished_and_keeps_what_came() -> None:
    reader = DIALECT.read_stream()
    reader.feed(_stream(_delta(content="Hello"), _delta(content=" you"))[:-3])
    reported = reader.reported()
    assert (reported.finished, reported.text, reported.usage) == (False, "Hello", None)


def test_an_error_inside_a_stream_leaves_it_unfinished() -> None:
    reader = DIALECT.read_stream()
    reader.feed(_stream(_delta(content="Hi")) + b'event: error\ndata: {"error":{"message":"no"}}\n\n')
    assert not reader.reported().finished


def test_bad_usage_in_a_stream_is_told_when_asked_and_stops_nothing_before() -> None:
    reader = DIALECT.read_stream()
    bad = {"choices": [], "usage": {"prompt_tokens": -1, "completion_tokens": 1}}
    assert reader.feed(_stream(bad, _delta(content="still here"), "[DONE]")) == "still here"
    with pytest.raises(UnreadableReplyError, match="prompt_tokens"):
        reader.reported()


def test_a_piece_that_is_not_json_matters_only_without_usage() -> None:
    reader = DIALECT.read_stream()
    reader.feed(_stream("<html>", "[DONE]"))
    with pytest.raises(UnreadableReplyError, match="not JSON"):
        reader.reported()
    reader.feed(_stream({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}))
    assert reader.reported().usage is not None


# --- requests -----------------------------------------------------------------------------------------


def test_every_text_of_a_request_is_there_to_be_counted() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "find", "arguments": '{"q":"x"}'}}
    custom = {"id": "2", "type": "custom", "custom": {"name": "run", "input": "ls"}}
    tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
    ask = DIALECT.read_request(
        {
            "model": "gpt-4o",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "name": "ann", "content": [{"type": "text", "text": "One"}]},
                {"role": "assistant", "content": None, "tool_calls": [call, custom]},
                {"role": "tool", "tool_call_id": "1", "content": "found"},
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]},
            ],
            "tools": [tool],
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}},
            "n": 3,
            "max_tokens": 50,
            "stream": True,
            "service_tier": "flex",
        }
    )
    assert ask.texts == ("Be brief.", "ann", "One", "find", '{"q":"x"}', "run", "ls", "found", "No")
    assert ask.tools == ('{"type":"function","function":{"name":"find","parameters":{"type":"object"}}}',)
    assert ask.schemas == ('{"name":"s","schema":{}}',)
    assert (ask.calls, ask.together) == (2, ("found",))
    assert (ask.dialect, ask.model, ask.messages) == ("openai-chat", "gpt-4o", 5)
    assert (ask.answers, ask.output_limit, ask.stream, ask.service_tier) == (3, 50, True, "flex")
    assert ask.unbounded == ()
    assert ask.cache_write is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "audio"),
        ({"messages": [{"role": "user", "content": [{"type": "file"}]}]}, "a file"),
        ({"messages": [{"role": "user", "content": [{"type": "new"}]}]}, 'a part of type "new"'),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "an earlier audio answer"),
        ({"tools": [{"type": "browser_search"}]}, 'the server tool "browser_search"'),
        ({"web_search_options": {}}, "a web search"),
        ({"model": "gpt-4o-search-preview"}, "a web search"),
        ({"prediction": {"type": "content", "content": "x"}}, "a predicted output"),
        ({"search_parameters": {"mode": "auto"}}, "a live search"),
        ({"modalities": ["text", "audio"]}, 'an answer as "audio"'),
        ({"models": ["a", "b"]}, "fallback models"),
        ({"plugins": [{"id": "web"}]}, "plugins"),
    ],
)
def test_what_a_request_does_not_bound_is_said_in_words(change: dict[str, Any], reason: str) -> None:
    assert DIALECT.read_request(PLAIN).unbounded == ()
    assert DIALECT.read_request(PLAIN | change).unbounded == (reason,)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": None}, "model"),
        ({"model": " "}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": ["hello"]}, "messages[0]"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]},
            "messages[0].content[0].text",
        ),
        ({"messages": [{"role": "assistant", "tool_calls": [1]}]}, "messages[0].tool_calls[0]"),
        ({"tools": {}}, "tools"),
        ({"n": 0}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "50"}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"modalities": "text"}, "modalities"),
        ({"reasoning_effort": 3}, "reasoning_effort"),
    ],
)
def test_a_bad_request_is_refused_by_the_name_of_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        DIALECT.read_request(PLAIN | change)
    assert refused.value.values["field"] == field
    assert f"request's {field} " in refused.value.message


@pytest.mark.parametrize(
    ("request_part", "reasons"),
    [
        ({"model": "gpt-4o"}, False),
        ({"model": "o3-mini"}, True),
        ({"model": "openai/o1"}, True),
        ({"model": "gpt-5.1"}, True),
        ({"model": "gpt-5-chat-latest"}, False),
        ({"model": "gpt-5.1", "reasoning_effort": "none"}, False),
        ({"model": "openai/gpt-oss-120b"}, True),
        ({"model": "olmo-2"}, False),
        ({"model": "grok-4-fast-non-reasoning"}, False),
        ({"model": "deepseek-reasoner"}, True),
        ({"model": "some-model", "reasoning_effort": "low"}, True),
        ({"model": "some-model", "reasoning": {"max_tokens": 100}}, True),
        ({"model": "o3", "reasoning": {"enabled": False}}, False),
        ({"model": "glm-4.7", "thinking": {"type": "enabled"}}, True),
        ({"model": "glm-4.7", "thinking": {"type": "disabled"}}, False),
    ],
)
def test_whether_a_model_reasons(request_part: dict[str, Any], reasons: bool) -> None:
    assert DIALECT.read_request(PLAIN | request_part).reasoning is reasons


def test_the_dearest_caching_that_is_asked_for_is_found() -> None:
    def ask(*ttls: str | None) -> str | None:
        marks = [{"type": "ephemeral"} | ({"ttl": ttl} if ttl else {}) for ttl in ttls]
        parts = [{"type": "text", "text": "x", "cache_control": mark} for mark in marks]
        return DIALECT.read_request(PLAIN | {"messages": [{"role": "user", "content": parts}]}).cache_write

    assert ask(None) == "5m"
    assert ask("1h", None) == "1h"
    assert ask(None, "1h") == "1h"


# --- limits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_part", "limits"),
    [
        ({}, {"max_tokens": 100}),
        ({"model": "o3"}, {"max_completion_tokens": 100}),
        ({"model": "openai/gpt-5-mini"}, {"max_completion_tokens": 100}),
        ({"model": "ft:o4-mini:acme"}, {"max_completion_tokens": 100}),
        ({"model": "openai/gpt-oss-120b"}, {"max_tokens": 100}),
        ({"max_tokens": 500}, {"max_tokens": 100}),
        ({"max_tokens": 100}, {"max_tokens": 100}),
        ({"max_tokens": 99}, {"max_tokens": 99}),
        ({"max_completion_tokens": 500}, {"max_completion_tokens": 100}),
        ({"max_tokens": 50, "max_completion_tokens": 500}, {"max_tokens": 50, "max_completion_tokens": 100}),
        ({"max_tokens": None}, {"max_tokens": 100}),
        ({"max_tokens": -1}, {"max_tokens": 100}),
        ({"model": "o3", "max_tokens": None}, {"max_completion_tokens": 100}),
    ],
)
def test_a_limit_is_lowered_never_raised(request_part: dict[str, Any], limits: dict[str, int]) -> None:
    body = PLAIN | request_part
    before = json.dumps(body)
    limited = DIALECT.limit_output(body, 100)
    assert {field: value for field, value in limited.items() if field.startswith("max_")} == limits
    assert json.dumps(body) == before, "the caller's own request was changed"


def test_the_larger_of_two_limits_counts() -> None:
    """Servers differ in which of the two they obey."""
    assert DIALECT.read_request(PLAIN | {"max_tokens": 5, "max_completion_tokens": 9}).output_limit == 9
    assert DIALECT.read_request(PLAIN | {"max_tokens": -1}).output_limit is None


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="0 tokens"):
        DIALECT.limit_output(PLAIN, 0)


def test_only_a_stream_is_asked_for_its_usage() -> None:
    assert DIALECT.ask_for_usage(PLAIN) == PLAIN
    asked = DIALECT.ask_for_usage(PLAIN | {"stream": True, "stream_options": {"include_obfuscation": False}})
    assert asked["stream_options"] == {"include_obfuscation": False, "include_usage": True}


# --- the rest -----------------------------------------------------------------------------------------


def test_a_built_request_is_read_back() -> None:
    body = DIALECT.build_request(
        model="gpt-4o",
        messages=[{"role": "user", "content": "Hi"}],
        system="Be brief",
        temperature=0.5,
        stream=True,
    )
    ask = DIALECT.read_request(body)
    assert (ask.texts, ask.messages, ask.stream) == (("Be brief", "Hi"), 2, True)
    assert body["temperature"] == 0.5
    assert "stream" not in DIALECT.build_request(
        model="m", messages=[], system=None, temperature=None, stream=False
    )


def test_the_key_is_in_the_headers_and_in_no_error() -> None:
    assert DIALECT.headers("sk-abc")["authorization"] == "Bearer sk-abc"
    assert "authorization" not in DIALECT.headers(None)
    for bad in ("sk-secret\n", "sk-sécret", "sk secret", ""):
        with pytest.raises(InvalidValueError) as refused:
            DIALECT.headers(bad)
        assert "cret" not in f"{refused.value} {refused.value.hint} {refused.value.values}"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":{"message":"Rate limit reached","type":"x"}}', "Rate limit reached"),
        (b'{"error":"model not found"}', "model not found"),
        (b'{"object":"error","message":"Bad\\nrequest"}', "Bad request"),
        (b'{"detail":[{"msg":"extra"}]}', '[{"msg":"extra"}]'),
        (b"<html>\n502 Bad Gateway</html>", "<html> 502 Bad Gateway</html>"),
        (b"\x1b[31mred", "?[31mred"),
        (b"", ""),
        (b'{"error":{"message":"Incorrect API key: sk-proj-abc123**9."}}', "Incorrect API key: [key]"),
    ],
)
def test_the_words_of_an_error(body: bytes, words: str) -> None:
    assert DIALECT.read_error(body) == words


def test_the_words_of_an_error_are_cut() -> None:
    assert len(DIALECT.read_error(b"x" * 100_000)) == 300


def test_dialects_are_found_by_name() -> None:
    for name in ("openai-chat", "anthropic-messages"):
        assert by_name(name).name == name
    with pytest.raises(InvalidValueError, match="morse"):
        by_name("morse")
