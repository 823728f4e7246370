from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets.dialects import at_path, by_name
from budgets.dialects.json_array import ArraySplitter
from budgets.errors import InvalidValueError, UnreadableReplyError

GEMINI = by_name("gemini")


def _counts(**usage: Any) -> dict[str, int]:
    found = GEMINI.read_reply({"modelVersion": "gemini-2.5-flash", "usageMetadata": usage}).usage
    assert found is not None
    return dict(found)


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        pytest.param(
            {
                "promptTokenCount": 10,
                "candidatesTokenCount": 5,
                "thoughtsTokenCount": 7,
                "totalTokenCount": 22,
            },
            {"input": 10, "output": 5, "reasoning": 7},
            id="thoughts beside the answer",
        ),
        pytest.param(
            {
                "promptTokenCount": 345,
                "cachedContentTokenCount": 191,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 87},
                    {"modality": "IMAGE", "tokenCount": 258},
                ],
                "cacheTokensDetails": [
                    {"modality": "IMAGE", "tokenCount": 143},
                    {"modality": "TEXT", "tokenCount": 48},
                ],
            },
            {"input": 39, "cached_input": 191, "input_image": 115},
            id="cached inside the prompt, told apart",
        ),
        pytest.param(
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 90,
                "promptTokensDetails": [
                    {"modality": "AUDIO", "tokenCount": 60},
                    {"modality": "VIDEO", "tokenCount": 20},
                    {"modality": "TEXT", "tokenCount": 20},
                ],
            },
            {"cached_input": 40, "input_audio": 10, "cached_input_audio": 50},
            id="cached and not told apart: text, then what is seen, then what is heard",
        ),
        pytest.param(
            {
                "promptTokenCount": 11,
                "toolUsePromptTokenCount": 90,
                "toolUsePromptTokensDetails": [{"modality": "TEXT", "tokenCount": 90}],
                "candidatesTokenCount": 5,
                "totalTokenCount": 106,
            },
            {"input": 101, "output": 5},
            id="what tools read beside the prompt",
        ),
        pytest.param(
            {
                "promptTokenCount": 9,
                "candidatesTokenCount": 1295,
                "candidatesTokensDetails": [
                    {"modality": "IMAGE", "tokenCount": 1290},
                    {"modality": "AUDIO", "tokenCount": 2},
                ],
            },
            {"input": 9, "output": 3, "output_audio": 2, "output_image": 1290},
            id="an image and sound inside the answer",
        ),
        pytest.param(
            {"promptTokenCount": 8, "candidatesTokenCount": 20, "totalTokenCount": 528},
            {"input": 8, "output": 20, "reasoning": 500},
            id="a total with output that nobody named",
        ),
        pytest.param({"promptTokenCount": 7}, {"input": 7}, id="a blocked prompt, or an embedding"),
    ],
)
def test_each_token_is_counted_once(usage: dict[str, Any], counts: dict[str, int]) -> None:
    assert _counts(**usage) == counts


@pytest.mark.parametrize(
    ("usage", "field"),
    [
        ({"promptTokenCount": -1}, "usageMetadata.promptTokenCount"),
        ({"promptTokenCount": 1, "candidatesTokenCount": 1.5}, "usageMetadata.candidatesTokenCount"),
        ({"promptTokenCount": 1, "cachedContentTokenCount": 2}, "usageMetadata.cachedContentTokenCount"),
        (
            {"promptTokenCount": 1, "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 2}]},
            "usageMetadata.promptTokensDetails",
        ),
        ({"promptTokenCount": 1, "promptTokensDetails": 3}, "usageMetadata.promptTokensDetails"),
    ],
)
def test_a_count_that_makes_no_sense_is_an_error(usage: dict[str, Any], field: str) -> None:
    with pytest.raises(UnreadableReplyError) as caught:
        _counts(**usage)
    assert caught.value.values["field"] == field


@pytest.mark.parametrize(
    ("model", "queries", "billed"),
    [
        ("gemini-2.5-flash", ["a", "b"], 1),
        ("gemini-3-flash-preview", ["a", "b", "a"], 2),
        ("gemini-3-flash-preview", [], 0),
    ],
)
def test_searches_are_billed_by_the_prompt_and_from_gemini_3_by_the_query(
    model: str, queries: list[str], billed: int
) -> None:
    reply = {
        "modelVersion": model,
        "candidates": [{"groundingMetadata": {"webSearchQueries": queries}}],
        "usageMetadata": {"promptTokenCount": 1},
    }
    found = GEMINI.read_reply(reply).usage
    assert found is not None
    assert found["web_searches"] == billed


@pytest.mark.parametrize(
    ("usage", "tier"),
    [
        ({"serviceTier": "priority"}, "priority"),
        ({"trafficType": "ON_DEMAND"}, "standard"),
        ({"trafficType": "ON_DEMAND_FLEX"}, "flex"),
        ({"trafficType": "PROVISIONED_THROUGHPUT"}, "provisioned_throughput"),
        ({}, None),
    ],
)
def test_the_tier_is_the_one_that_served(usage: dict[str, Any], tier: str | None) -> None:
    assert GEMINI.read_reply({"usageMetadata": {"promptTokenCount": 1, **usage}}).service_tier == tier


PIECES = [
    {
        "candidates": [{"content": {"parts": [{"text": "hm", "thought": True}]}}],
        "usageMetadata": {"promptTokenCount": 9},
    },
    {"candidates": [{"content": {"parts": [{"text": 'B"}{\\on ü'}]}}]},
    {
        "candidates": [{"content": {"parts": [{"text": "jour"}]}, "finishReason": "STOP"}],
        "modelVersion": "gemini-2.5-flash",
        "usageMetadata": {"candidatesTokenCount": 4, "thoughtsTokenCount": 2},
    },
]
AS_EVENTS = "".join(f"data: {json.dumps(piece)}\r\n\r\n" for piece in PIECES).encode()
AS_ARRAY = json.dumps(PIECES, indent=1, ensure_ascii=False).encode()


@pytest.mark.parametrize("size", [1, 2, 7, 64, 10**9])
@pytest.mark.parametrize("data", [AS_EVENTS, AS_ARRAY], ids=["events", "array"])
def test_a_stream_is_read_in_either_form_and_in_pieces_of_any_size(data: bytes, size: int) -> None:
    reader = GEMINI.read_stream()
    text = "".join(reader.feed(data[at : at + size]) for at in range(0, len(data), size))
    reported = reader.reported()
    assert reported.usage is not None
    assert dict(reported.usage) == {"input": 9, "output": 4, "reasoning": 2}
    assert text == reported.text == 'B"}{\\on üjour'
    assert (reported.aside, reported.model, reported.finished) == ("hm", "gemini-2.5-flash", True)


def test_a_blocked_prompt_ends_a_stream() -> None:
    reader = GEMINI.read_stream()
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 9}}
    reader.feed(f"data: {json.dumps(blocked)}\n\n".encode())
    reported = reader.reported()
    assert reported.usage is not None
    assert (dict(reported.usage), reported.finished) == ({"input": 9}, True)


@given(
    values=st.lists(
        st.dictionaries(st.text(max_size=5), st.text(max_size=10) | st.dictionaries(st.text(), st.text())),
        max_size=4,
    ),
    size=st.integers(1, 30),
)
def test_an_array_comes_apart_into_its_objects(values: list[Any], size: int) -> None:
    data = json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass")
    splitter = ArraySplitter()
    found = []
    for at in range(0, len(data), size):
        found += splitter.feed(data[at : at + size])
    assert [json.loads(each.decode("utf-8", "surrogatepass")) for each in found] == values


BODY: dict[str, Any] = {
    "contents": [
        {"role": "user", "parts": [{"text": "Hi"}]},
        {
            "role": "model",
            "parts": [{"function_call": {"name": "f", "args": {}}, "thought_signature": "c2ln"}],
        },
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"a": 1}}}]},
    ],
    "system_instruction": {"parts": [{"text": "Be brief."}]},
    "generationConfig": {"max_output_tokens": 900, "candidateCount": 2},
    "tools": [{"functionDeclarations": [{"name": "f"}]}],
}


@pytest.mark.parametrize(
    "place",
    [
        "/v1beta",
        "/v1/projects/p/locations/global/publishers/google",
    ],
)
def test_a_request_is_read_from_its_address_and_body(place: str) -> None:
    found = at_path(f"{place}/models/gemini-2.5-flash:streamGenerateContent?alt=sse", BODY)
    assert found is not None
    dialect, request = found
    ask = dialect.read_request(request)
    assert (ask.dialect, ask.model, ask.stream) == ("gemini", "gemini-2.5-flash", True)
    assert ask.texts == ("Hi", '{"name":"f","args":{}}', "f", '{"a":1}', "Be brief.")
    assert (ask.calls, ask.sealed + ask.sealed_earlier) == (1, 4)
    assert (ask.tools, ask.messages, ask.output_limit, ask.answers) == (('{"name":"f"}',), 4, 900, 2)
    assert (ask.reasoning, ask.unbounded) == (True, ())
    assert dialect.sent(request) == ("/models/gemini-2.5-flash:streamGenerateContent?alt=sse", BODY)
    lowered = dialect.limit_output(request, 300)["generationConfig"]
    assert lowered == {"max_output_tokens": 300, "candidateCount": 2}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"contents": [{"parts": [{"fileData": {"fileUri": "x"}}]}]}, "a file by reference"),
        ({"contents": [{"parts": [{"inline_data": {"mime_type": "audio/wav"}}]}]}, "audio"),
        ({"tools": [{"googleSearch": {}}]}, 'the server tool "googleSearch"'),
        ({"tools": [{"url_context": {}}]}, 'the server tool "urlContext"'),
        ({"tools": [{"codeExecution": {}}]}, 'the server tool "codeExecution"'),
        ({"cachedContent": "cachedContents/1"}, "cached content"),
        ({"generationConfig": {"responseModalities": ["IMAGE"]}}, 'an answer as "image"'),
    ],
)
def test_what_is_not_bounded_is_said(change: dict[str, Any], reason: str) -> None:
    body = {"model": "gemini-2.5-flash", "contents": [{"parts": [{"text": "Hi"}]}], **change}
    assert GEMINI.read_request(body).unbounded == (reason,)


def test_thinking_that_is_turned_off_is_off() -> None:
    config = {"thinkingConfig": {"thinkingBudget": 0}}
    body = {"model": "gemini-2.5-flash", "contents": [{"parts": []}], "generationConfig": config}
    assert GEMINI.read_request(body).reasoning is False


@pytest.mark.parametrize(
    ("body", "method"),
    [
        ({"content": {"parts": [{"text": "Hi"}]}}, "embedContent"),
        ({"requests": [{"model": "models/e", "content": {"parts": [{"text": "Hi"}]}}]}, "batchEmbedContents"),
    ],
)
def test_embeddings_write_nothing(body: dict[str, Any], method: str) -> None:
    found = at_path(f"/v1beta/models/e:{method}", body)
    assert found is not None
    dialect, request = found
    ask = dialect.read_request(request)
    assert (ask.texts, ask.output_limit) == (("Hi",), 0)
    assert dialect.limit_output(request, 5) == request
    assert dialect.sent(request) == (f"/models/e:{method}", body)


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        pytest.param({"thinkingConfig": {"thinkingBudget": 999}}, 1000, id="it fits"),
        pytest.param({"thinkingConfig": {"thinkingBudget": 1000}}, None, id="nothing is left for the answer"),
        pytest.param({"thinking_config": {"thinking_budget": 5000}}, None, id="in the other spelling"),
        pytest.param({"thinkingConfig": {"thinkingBudget": -1}}, 1000, id="as the model likes"),
        pytest.param({"thinkingConfig": {"thinkingBudget": 0}}, 1000, id="not at all"),
        pytest.param({"thinkingConfig": {"thinkingBudget": 900}, "maxOutputTokens": 800}, 800, id="its own"),
    ],
)
def test_a_limit_leaves_room_beside_the_thinking_budget(config: dict[str, Any], limit: int | None) -> None:
    body = {
        "model": "gemini-2.5-flash",
        "contents": [{"role": "user", "parts": [{"text": "Name a river"}]}],
        "generationConfig": config,
    }
    if limit is None:
        with pytest.raises(InvalidValueError, match="thinkingBudget"):
            GEMINI.limit_output(body, 1000)
    else:
        lowered = GEMINI.limit_output(body, 1000)
        assert lowered["generationConfig"]["maxOutputTokens"] == limit
