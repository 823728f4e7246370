from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets.dialects import at_path, by_name
from budgets.dialects.base import Dialect, Reported
from budgets.dialects.eventstream import FrameSplitter
from budgets.errors import InvalidValueError, UnreadableReplyError
from tests.support.frames import chunk, event, frame, sealed

CONVERSE = by_name("bedrock-converse")
INVOKE = by_name("bedrock-invoke")


def _read(dialect: Dialect, data: bytes, size: int = 10**9) -> Reported:
    reader = dialect.read_stream()
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
    return reader.reported()


# --- frames -------------------------------------------------------------------------------------------


@given(payloads=st.lists(st.binary(max_size=200), max_size=5), sizes=st.lists(st.integers(1, 50), min_size=1))
def test_frames_come_out_whole_however_they_are_cut(payloads: list[bytes], sizes: list[int]) -> None:
    data = b"".join(frame(payload, event_type="x", message_type="event") for payload in payloads)
    splitter = FrameSplitter()
    found = []
    at = turn = 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        found += splitter.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    assert [each.payload for each in found] == payloads
    assert all(each.headers == {":event-type": "x", ":message-type": "event"} for each in found)
    assert splitter.damage is None


def test_headers_of_every_type_are_passed_over_or_read() -> None:
    values = {
        0: b"",
        1: b"",
        2: b"1",
        3: b"12",
        4: b"1234",
        5: b"8" * 8,
        6: b"\0\x02ab",
        8: b"8" * 8,
        9: b"9" * 16,
    }
    packed = b"".join(b"\x01" + str(kind).encode() + bytes([kind]) + value for kind, value in values.items())
    (found,) = FrameSplitter().feed(sealed(packed + b"\x01t\x07\0\x03yes", b"body"))
    assert found.headers == {"t": "yes"}
    assert found.payload == b"body"


@given(at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_one_flipped_bit_is_never_read_as_a_frame(at: int, bit: int) -> None:
    data = bytearray(event("metadata", {"usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}}))
    data[at % len(data)] ^= 1 << bit
    splitter = FrameSplitter()
    assert splitter.feed(bytes(data)) == []
    assert splitter.damage is not None
    assert splitter.feed(event("metadata", {})) == [], "where the next one begins is not known"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(
            sealed(b"\x05abc", b""), "headers cannot be read", id="a header longer than all of them"
        ),
        pytest.param(sealed(b"\x01a\x63", b""), "headers cannot be read", id="a header of no known type"),
    ],
)
def test_headers_that_make_no_sense_are_damage(data: bytes, words: str) -> None:
    splitter = FrameSplitter()
    assert splitter.feed(data) == []
    assert words in str(splitter.damage)


def test_a_frame_that_claims_to_be_huge_is_not_waited_for() -> None:
    import zlib

    prelude = struct.pack(">II", 2**31, 0)
    splitter = FrameSplitter()
    splitter.feed(prelude + struct.pack(">I", zlib.crc32(prelude)))
    assert "2147483648 bytes" in str(splitter.damage)


# --- converse -----------------------------------------------------------------------------------------

USAGE = {"inputTokens": 386, "cacheReadInputTokens": 2752, "cacheWriteInputTokens": 0, "outputTokens": 4}
STREAM = (
    event("messageStart", {"role": "assistant"})
    + event("contentBlockDelta", {"delta": {"reasoningContent": {"text": "hm"}}, "contentBlockIndex": 0})
    + event("contentBlockDelta", {"delta": {"text": "Bon"}, "contentBlockIndex": 1})
    + event("contentBlockDelta", {"delta": {"text": "jour"}, "contentBlockIndex": 1})
    + event("messageStop", {"stopReason": "end_turn"})
    + event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 1}, "serviceTier": {"type": "flex"}})
)


@pytest.mark.parametrize("size", [1, 2, 7, 64, 10**9])
def test_a_converse_stream_is_read_in_pieces_of_any_size(size: int) -> None:
    reported = _read(CONVERSE, STREAM, size)
    assert reported.usage is not None
    assert dict(reported.usage) == {"input": 386, "cached_input": 2752, "output": 4}
    assert (reported.text, reported.aside, reported.finished) == ("Bonjour", "hm", True)
    assert reported.service_tier == "flex"


@pytest.mark.parametrize(("stopped", "left_out"), [("guardrail_intervened", False), ("end_turn", True)])
def test_only_a_guardrails_words_cost_nothing(stopped: str, left_out: bool) -> None:
    nothing = {"inputTokens": 0, "outputTokens": 0}
    plain = CONVERSE.read_reply(
        {
            "output": {"message": {"content": [{"text": "I cannot say."}]}},
            "stopReason": stopped,
            "usage": nothing,
        }
    )
    stream = _read(
        CONVERSE,
        event("contentBlockDelta", {"delta": {"text": "I cannot say."}, "contentBlockIndex": 0})
        + event("messageStop", {"stopReason": stopped})
        + event("metadata", {"usage": nothing}),
    )
    for reported in (plain, stream):
        assert reported.text == "I cannot say."
        assert reported.leaves_out_answer is left_out


def test_a_damaged_stream_is_an_error_not_a_guess() -> None:
    data = bytearray(STREAM)
    data[-1] ^= 1
    with pytest.raises(UnreadableReplyError, match="checksum"):
        _read(CONVERSE, bytes(data))


def test_a_stream_without_its_metadata_is_not_finished() -> None:
    reported = _read(CONVERSE, STREAM[:-20])
    assert (reported.finished, reported.usage, reported.text) == (False, None, "Bonjour")


def test_an_exception_inside_a_stream_ends_it_without_usage() -> None:
    error = frame(b'{"message": "slow down"}', exception_type="throttlingException", message_type="exception")
    reported = _read(CONVERSE, event("contentBlockDelta", {"delta": {"text": "Bon"}}) + error)
    assert (reported.finished, reported.usage, reported.text) == (False, None, "Bon")


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        pytest.param({"inputTokens": 3, "outputTokens": 4}, {"input": 3, "output": 4}, id="plain"),
        pytest.param(
            {
                "inputTokens": 3,
                "outputTokens": 4,
                "cacheWriteInputTokens": 100,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 60}, {"ttl": "5m", "inputTokens": 40}],
            },
            {"input": 3, "cache_write": 40, "cache_write_1h": 60, "output": 4},
            id="writes by time to live",
        ),
        pytest.param(
            {"inputTokens": 3, "outputTokens": 4, "cacheReadInputTokenCount": 5},
            {"input": 3, "cached_input": 5, "output": 4},
            id="the other name",
        ),
    ],
)
def test_converse_counts_stand_beside_each_other(usage: dict[str, Any], counts: dict[str, int]) -> None:
    found = CONVERSE.read_reply({"usage": usage}).usage
    assert found is not None
    assert dict(found) == counts


@pytest.mark.parametrize(
    ("usage", "field"),
    [
        ({"inputTokens": -1, "outputTokens": 4}, "usage.inputTokens"),
        ({"outputTokens": 4}, "usage.inputTokens"),
        ({"inputTokens": 1, "outputTokens": "4"}, "usage.outputTokens"),
        ({"inputTokens": 1, "cacheDetails": [{"ttl": "1h", "inputTokens": 9}]}, "usage.cacheDetails"),
        ([], "usage"),
    ],
)
def test_a_converse_count_that_makes_no_sense_is_an_error(usage: Any, field: str) -> None:
    with pytest.raises(UnreadableReplyError) as caught:
        CONVERSE.read_reply({"usage": usage})
    assert caught.value.values["field"] == field


def test_a_converse_request_is_read_and_sent_where_it_came_from() -> None:
    body = {
        "messages": [
            {"role": "user", "content": [{"text": "Hi"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]},
            {"role": "assistant", "content": [{"toolUse": {"name": "f", "input": {"a": 1}}}]},
            {"role": "user", "content": [{"toolResult": {"content": [{"json": {"b": 2}}]}}]},
        ],
        "system": [{"text": "Be brief."}],
        "inferenceConfig": {"maxTokens": 900},
        "toolConfig": {"tools": [{"toolSpec": {"name": "f"}}]},
    }
    path = "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream"
    found = at_path(path, body)
    assert found is not None
    dialect, request = found
    ask = dialect.read_request(request)
    assert ask.model == "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert ask.texts == ("Be brief.", "Hi", '{"name":"f","input":{"a":1}}', '{"b":2}')
    assert (ask.stream, ask.output_limit, ask.cache_write, ask.unbounded) == (True, 900, "1h", ())
    assert dialect.sent(request) == (path, body)
    assert dialect.limit_output(request, 300)["inferenceConfig"] == {"maxTokens": 300}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"promptVariables": {"x": {"text": "y"}}}, "a stored prompt"),
        ({"guardrailConfig": {}}, "a guardrail"),
        ({"toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}}, "a server tool"),
    ],
)
def test_what_converse_does_not_bound_is_said(change: dict[str, Any], reason: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": [{"text": "Hi"}]}], **change}
    assert CONVERSE.read_request(body).unbounded == (reason,)


# --- invoke -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "texts", "limit", "lowered"),
    [
        pytest.param(
            {
                "anthropic_version": "bedrock-2023-05-31",
                "max_tokens": 900,
                "messages": [{"role": "user", "content": "Hi"}],
            },
            ("Hi",),
            900,
            {"max_tokens": 300},
            id="Anthropic",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
            ("Hi",),
            None,
            {"inferenceConfig": {"maxTokens": 300}},
            id="Nova",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": "Hi"}]},
            ("Hi",),
            None,
            {"max_tokens": 300},
            id="Mistral chat",
        ),
        pytest.param(
            {"prompt": "Hi", "max_tokens": 900}, ("Hi",), 900, {"max_tokens": 300}, id="Mistral text"
        ),
        pytest.param(
            {"inputText": "Hi"},
            ("Hi",),
            None,
            {"textGenerationConfig": {"maxTokenCount": 300}},
            id="Titan text",
        ),
        pytest.param(
            {"message": "Hi", "preamble": "Be brief."},
            ("Hi", "Be brief."),
            None,
            {"max_tokens": 300},
            id="Cohere Command R",
        ),
        pytest.param({"texts": ["Hi"], "input_type": "search_query"}, ("Hi",), 0, {}, id="Cohere Embed"),
    ],
)
def test_the_vendor_of_an_invoke_body_shows(
    body: dict[str, Any], texts: tuple[str, ...], limit: int | None, lowered: dict[str, Any]
) -> None:
    request = {"model": "vendor.model-v1:0", **body}
    ask = INVOKE.read_request(request)
    assert (ask.dialect, ask.texts, ask.output_limit) == ("bedrock-invoke", texts, limit)
    assert INVOKE.limit_output(request, 300) == {**request, **lowered}
    path = "/model/vendor.model-v1%3A0/invoke"
    assert INVOKE.sent(request) == (path, body)
    assert INVOKE.received(path, body) == request


def test_titan_embeddings_write_nothing() -> None:
    assert INVOKE.read_request({"model": "amazon.titan-embed-text-v2:0", "inputText": "Hi"}).output_limit == 0


def test_a_body_of_no_known_vendor_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="none of a vendor"):
        INVOKE.read_request({"model": "m", "what": 1})


@pytest.mark.parametrize(
    ("body", "headers", "counts"),
    [
        pytest.param(
            {
                "type": "message",
                "usage": {"input_tokens": 3, "cache_read_input_tokens": 9, "output_tokens": 4},
            },
            {},
            {"input": 3, "cached_input": 9, "output": 4},
            id="Anthropic",
        ),
        pytest.param(
            {"output": {}, "usage": {"inputTokens": 3, "outputTokens": 4}},
            {},
            {"input": 3, "output": 4},
            id="Nova",
        ),
        pytest.param(
            {"inputTextTokenCount": 3, "results": [{"tokenCount": 4, "outputText": "x"}]},
            {},
            {"input": 3, "output": 4},
            id="Titan",
        ),
        pytest.param(
            {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
            {},
            {"input": 3, "output": 4},
            id="Mistral chat",
        ),
        pytest.param(
            {"generation": "x", "prompt_token_count": 3, "generation_token_count": 4},
            {},
            {"input": 3, "output": 4},
            id="Llama",
        ),
        pytest.param(
            {"embeddings": {"float": []}},
            {"x-amzn-bedrock-input-token-count": "3"},
            {"input": 3},
            id="Cohere Embed: in a header",
        ),
    ],
)
def test_invoke_counts_where_the_vendor_does(
    body: dict[str, Any], headers: dict[str, str], counts: dict[str, int]
) -> None:
    found = INVOKE.read_reply(body, headers).usage
    assert found is not None
    assert dict(found) == counts


def test_a_header_that_is_no_count_is_an_error() -> None:
    with pytest.raises(UnreadableReplyError, match="input-token-count"):
        INVOKE.read_reply({"text": "x"}, {"x-amzn-bedrock-input-token-count": "-3"})


METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 3, "outputTokenCount": 4}}


@pytest.mark.parametrize("size", [1, 7, 10**9])
@pytest.mark.parametrize(
    ("pieces", "counts"),
    [
        pytest.param(
            [
                {
                    "type": "message_start",
                    "message": {"model": "c", "usage": {"input_tokens": 3, "output_tokens": 1}},
                },
                {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}},
                {"type": "message_delta", "usage": {"output_tokens": 4}},
                {"type": "message_stop", **METRICS},
            ],
            {"input": 3, "output": 4},
            id="Anthropic",
        ),
        pytest.param(
            [{"outputs": [{"text": "Hi"}]}, {"outputs": [], **METRICS}],
            {"input": 3, "output": 4},
            id="Mistral",
        ),
        pytest.param(
            [
                {"outputText": "Hi", "inputTextTokenCount": 3, "totalOutputTextTokenCount": 4, **METRICS},
            ],
            {"input": 3, "output": 4},
            id="Titan",
        ),
        pytest.param(
            [
                {"contentBlockDelta": {"delta": {"text": "Hi"}}},
                {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 4}}, **METRICS},
            ],
            {"input": 3, "output": 4},
            id="Nova",
        ),
    ],
)
def test_an_invoke_stream_is_read_in_pieces_of_any_size(
    pieces: list[dict[str, Any]], counts: dict[str, int], size: int
) -> None:
    reported = _read(INVOKE, b"".join(chunk(piece) for piece in pieces), size)
    assert reported.usage is not None
    assert dict(reported.usage) == counts
    assert (reported.text, reported.finished) == ("Hi", True)


def test_a_count_in_a_stream_that_makes_no_sense_is_an_error() -> None:
    lie = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": -3, "outputTokenCount": 4}}
    with pytest.raises(UnreadableReplyError, match="inputTokenCount"):
        _read(INVOKE, chunk({"outputs": [{"text": "Hi"}], **lie}))
