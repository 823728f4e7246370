"""Legacy completions, reranking and images: what they ask for, and what they are billed."""

from __future__ import annotations

import json
from typing import Any

import pytest

import budgets
from budgets.clock import utc_now
from budgets.dialects import at_path, by_name
from budgets.dialects.shapes import dialect_of_reply
from budgets.engine.quoting import quote
from budgets.errors import InvalidValueError, UnknownPriceError, UnreadableReplyError
from budgets.prices import open_book
from budgets.records import Quote
from budgets.tokens.counter import TiktokenCounter

COMPLETIONS = by_name("openai-completions")
RERANK = by_name("cohere-rerank")
IMAGES = by_name("openai-images")


def quoted(dialect: Any, body: dict[str, Any], provider: str) -> Quote:
    ask = dialect.read_request(body)
    return quote(ask, book=open_book(), counter=TiktokenCounter(), provider=provider, at=utc_now())


# --- completions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "texts", "ids", "answers", "limit"),
    [
        pytest.param({"prompt": "Once"}, ("Once",), 0, 1, 16, id="a text, with the default limit"),
        pytest.param({"prompt": ["a", "b"], "max_tokens": 5}, ("a", "b"), 0, 2, 5, id="texts"),
        pytest.param({"prompt": [1, 2, 3]}, (), 3, 1, 16, id="token ids"),
        pytest.param({"prompt": [[1, 2], [3]], "n": 2}, (), 3, 4, 16, id="lists of token ids"),
        pytest.param({"prompt": "a", "n": 2, "best_of": 5}, ("a",), 0, 5, 16, id="the best of five"),
        pytest.param({"prompt": "a", "suffix": "z", "echo": True}, ("a", "z"), 0, 1, 16, id="a suffix"),
        pytest.param({"prompt": "a", "echo": True, "max_tokens": 0}, ("a",), 0, 1, 0, id="only echoed"),
        pytest.param({}, (), 1, 1, 16, id="no prompt"),
        pytest.param({"prompt": "a", "max_tokens": None}, ("a",), 0, 1, 16, id="no limit"),
    ],
)
def test_a_completion_asks_for_every_answer_that_is_written(
    body: dict[str, Any], texts: tuple[str, ...], ids: int, answers: int, limit: int
) -> None:
    ask = COMPLETIONS.read_request({"model": "gpt-3.5-turbo-instruct", **body})
    assert (ask.texts, ask.token_ids, ask.answers, ask.output_limit) == (texts, ids, answers, limit)


@pytest.mark.parametrize("prompt", [5, [], ["a", 1], [["a"]], [-1]])
def test_a_prompt_that_makes_no_sense_is_refused(prompt: Any) -> None:
    with pytest.raises(InvalidValueError, match="prompt"):
        COMPLETIONS.read_request({"model": "gpt-3.5-turbo-instruct", "prompt": prompt})


def test_a_completion_is_held_for_its_prompt_and_every_answer() -> None:
    body = {"model": "gpt-3.5-turbo-instruct", "prompt": [[1] * 1000] * 2, "best_of": 3, "max_tokens": 100}
    found = quoted(COMPLETIONS, body, "openai")
    assert found.most_nanos >= 2_000 * 1_500 + 6 * 100 * 2_000
    assert found.limited_by == "caller"


def test_a_completion_reports_what_it_used() -> None:
    reply = {
        "id": "cmpl-1",
        "object": "text_completion",
        "model": "gpt-3.5-turbo-instruct",
        "choices": [{"text": " upon a time", "index": 0, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
    }
    assert dialect_of_reply(reply) == "openai-completions"
    reported = COMPLETIONS.read_reply(reply)
    assert dict(reported.usage or ()) == {"input": 5, "output": 7}
    assert reported.text == " upon a time"


def chunk(index: int, text: str, ended: str | None = None) -> bytes:
    choice = {"text": text, "index": index, "logprobs": None, "finish_reason": ended}
    data = {"id": "cmpl-1", "object": "text_completion", "created": 7, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(data).encode() + b"\n\n"


@pytest.mark.parametrize("size", [1, 1000])
def test_a_stream_of_text_is_read_and_can_be_cut(size: int) -> None:
    stream = chunk(0, "Once") + chunk(1, "On") + chunk(1, "", "stop")
    reader = COMPLETIONS.read_stream()
    said = "".join(reader.feed(stream[n : n + size]) for n in range(0, len(stream), size))
    assert said == "OnceOn"
    events = reader.cut_here(3)
    assert events is not None
    last, done = events
    assert done.data == "[DONE]"
    assert json.loads(last.data) == {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 7,
        "model": "m",
        "choices": [{"index": 0, "text": "", "logprobs": None, "finish_reason": "length"}],
    }


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/completions", "openai-completions"),
        ("/v1/chat/completions", "openai-chat"),
        ("/v1/fim/completions", None),
        ("/v1/images/generations", "openai-images"),
        ("/v1/images/edits", None),
        ("/v2/rerank", "cohere-rerank"),
    ],
)
def test_an_address_is_one_dialects(path: str, name: str | None) -> None:
    found = at_path(path, {"model": "m"})
    assert (found[0].name if found else None) == name


# --- reranking ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("documents", "searches"),
    [
        pytest.param(["short"], 1, id="one"),
        pytest.param(["short"] * 100, 1, id="a hundred"),
        pytest.param(["short"] * 101, 2, id="one more"),
        pytest.param(["x" * 490], 1, id="500 with the query"),
        pytest.param(["x" * 491] * 100, 2, id="a hundred that count twice"),
        pytest.param(["x" * 1_000_000] * 100, 9, id="cut off at 4,096 tokens"),
        pytest.param([{"text": "short"}], 1, id="an object"),
    ],
)
def test_a_ranking_asks_for_searches(documents: list[Any], searches: int) -> None:
    ask = RERANK.read_request({"model": "rerank-v3.5", "query": "ten bytes!", "documents": documents})
    assert ask.fees == (("queries", searches),)


def test_a_ranking_is_held_and_charged_by_the_search() -> None:
    body = {"model": "rerank-v3.5", "query": "rivers", "documents": ["Rhine"] * 150}
    found = quoted(RERANK, body, "cohere")
    assert found.most_nanos == 2 * budgets.parse_usd("0.002")
    assert found.pins["fixed"] == {"queries": 2}
    reply = {"id": "r", "results": [], "meta": {"billed_units": {"search_units": 2}}}
    assert dialect_of_reply(reply) == "cohere-rerank"
    assert dict(RERANK.read_reply(reply).usage or ()) == {"queries": 2}


@pytest.mark.parametrize("body", [{"documents": ["a"]}, {"query": "a"}, {"query": "a", "documents": [1]}])
def test_a_ranking_without_its_parts_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError):
        RERANK.read_request({"model": "rerank-v3.5", **body})


def test_a_ranking_by_a_model_that_is_billed_by_tokens_is_refused() -> None:
    body = {"model": "command-r-08-2024", "query": "rivers", "documents": ["Rhine"]}
    with pytest.raises(UnknownPriceError):
        quoted(RERANK, body, "cohere")


# --- images ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "tokens"),
    [
        pytest.param({"quality": "low", "size": "1024x1024"}, 272, id="small"),
        pytest.param({"quality": "high", "size": "1024x1536", "n": 2}, 12_480, id="two large"),
        pytest.param({}, 6_240, id="whatever the model likes"),
        pytest.param({"quality": "auto", "size": "1536x1024"}, 6_208, id="any quality"),
    ],
)
def test_an_image_is_held_by_its_quality_and_size(more: dict[str, Any], tokens: int) -> None:
    body = {"model": "gpt-image-1", "prompt": "a river", **more}
    assert IMAGES.read_request(body).fees == (("output_image", tokens),)
    prompt = 50 * 10_000
    image = tokens * 40_000
    assert image < quoted(IMAGES, body, "openai").most_nanos < image + prompt


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"model": "gpt-image-2"}, id="of any size"),
        pytest.param({"model": "gpt-image-1", "size": "4096x4096"}, id="an unknown size"),
        pytest.param({"model": "gpt-image-1", "quality": "best"}, id="an unknown quality"),
        pytest.param({"model": "gpt-image-1", "stream": True}, id="a stream"),
        pytest.param({"model": "gpt-image-1", "prompt": ""}, id="no prompt"),
    ],
)
def test_an_image_of_unknown_cost_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError):
        IMAGES.read_request({"prompt": "a river", **body})


def test_an_image_without_a_price_is_refused() -> None:
    with pytest.raises(UnknownPriceError):
        quoted(IMAGES, {"model": "dall-e-3", "prompt": "a river"}, "openai")


def test_an_image_by_the_piece_is_held_by_the_piece() -> None:
    body = {"model": "dall-e-3", "prompt": "a river", "n": 3}
    assert quoted(IMAGES, body, "aiml").most_nanos == 3 * budgets.parse_usd("0.052")
    reply = {"created": 7, "data": [{"url": "https://x"}, {"url": "https://y"}]}
    assert dialect_of_reply(reply) == "openai-images"
    assert dict(IMAGES.read_reply(reply).usage or ()) == {"images": 2}


def test_an_images_tokens_are_told_apart() -> None:
    usage = {
        "input_tokens": 50,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
        "output_tokens": 4_160,
        "total_tokens": 4_210,
    }
    reported = IMAGES.read_reply({"created": 7, "data": [{"b64_json": "x"}], "usage": usage})
    assert dict(reported.usage or ()) == {"input": 10, "input_image": 40, "output_image": 4_160}
    usage["input_tokens_details"] = {"image_tokens": 60}
    with pytest.raises(UnreadableReplyError, match="image_tokens"):
        IMAGES.read_reply({"data": [], "usage": usage})
