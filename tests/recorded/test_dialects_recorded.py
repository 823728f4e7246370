"""
All recorded exchanges, in whatever dialect: read without loss, and worth what the judge says.

The judge is `genai_prices`, which reads and prices the same reply by itself. Where it and we differ, the
table below says by what rule, who is right, and whose page says so; `docs/explanation/reading-usage.md`
has it in words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, NamedTuple

import genai_prices
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from budgets import pricing
from budgets.dialects import at_path
from budgets.dialects.base import Dialect, Reported
from budgets.errors import BudgetError, UnknownPriceError, UnreadableReplyError
from budgets.prices import open_book
from budgets.usage import MOST_COUNT, Usage
from tests.support.recorded import COUNTS_ONLY, PROVIDERS, exchanges, needs_recorded

pytestmark = needs_recorded

FLAVOURS = {
    "openai-chat": "chat",
    "openai-responses": "responses",
    "openai-embeddings": "embeddings",
    "anthropic-messages": "default",
    "gemini": "default",
    "bedrock-converse": "default",
    "bedrock-invoke": "anthropic",
    "cohere-v2": "default",
}

# Replies without a usage block: their calls are charged at our own count, or not known yet.
SILENT = {
    "generativelanguage.googleapis.com-0": "a preview of embeddings that counts nothing",
    "generativelanguage.googleapis.com-1": "a preview of embeddings that counts nothing",
    "bedrock-runtime.us-east-1.amazonaws.com-0": "Cohere's embeddings at Bedrock count in a header",
    "bedrock-runtime.us-east-1.amazonaws.com-1": "Cohere's embeddings at Bedrock count in a header",
    "bedrock-runtime.us-east-1.amazonaws.com-2": "Cohere's embeddings at Bedrock count in a header",
    "api.openai.com-55": "a background response that has not been worked on yet",
    "api.groq.com-3": "a stream that ends in an error event",
}

# What is billed by the call and what the judge leaves out.
FEES = ("web_searches", "file_searches", "code_sessions")


class Call(NamedTuple):
    """One exchange, and how it is to be read."""

    id: str
    raw: dict[str, Any]
    dialect: Dialect
    request: dict[str, Any]

    @property
    def body(self) -> bytes:
        """The reply as it came."""
        return (self.raw["text"] or "").encode() or json.dumps(self.raw["json"]).encode()

    def read(self, size: int = 10**9) -> Reported:
        """The reply, a stream in pieces of *size* bytes."""
        if not self.raw.get("text"):
            return self.dialect.read_reply(self.raw["json"])
        reader = self.dialect.read_stream()
        data = self.body
        text = "".join(reader.feed(data[at : at + size]) for at in range(0, len(data), size))
        reported = reader.reported()
        assert reported.text == text, "what was handed on is what was read"
        return reported


def _calls() -> Iterator[Any]:
    for name, call in exchanges():
        if call["path"].endswith(COUNTS_ONLY):
            continue
        found = at_path(call["path"], call["request"])
        assert found is not None, f"{name}: no dialect has {call['path']}"
        yield pytest.param(Call(name, call, *found), id=name)


CALLS = list(_calls())
ANSWERED = [call for call in CALLS if call.values[0].raw["status"] == 200]
STREAMED = [call for call in ANSWERED if call.values[0].raw.get("text")]


def test_every_exchange_is_here() -> None:
    left_out = [name for name, call in exchanges() if call["path"].endswith(COUNTS_ONLY)]
    assert len(CALLS) + len(left_out) == sum(1 for _ in exchanges())
    assert {call.values[0].dialect.name for call in CALLS} == set(FLAVOURS)


@pytest.mark.parametrize("call", CALLS)
def test_every_request_is_understood_and_limited(call: Call) -> None:
    ask = call.dialect.read_request(call.request)
    assert ask.model == call.request["model"]
    limited = call.dialect.limit_output(call.request, 4000)
    limit = call.dialect.read_request(limited).output_limit
    assert limit == (ask.output_limit if ask.output_limit == 0 else min(4000, ask.output_limit or 4000))


@pytest.mark.parametrize("call", CALLS)
def test_a_request_that_was_received_is_sent_to_the_same_place(call: Call) -> None:
    sent = call.dialect.sent(call.request)
    assert sent.body == call.raw["request"] or sent.body == call.request
    again = call.dialect.received(sent.path, sent.body)
    assert again == call.request


@pytest.mark.parametrize("call", ANSWERED)
def test_every_reply_with_usage_is_read(call: Call) -> None:
    reported = call.read()
    assert (reported.usage is None) is (call.id in SILENT)
    if reported.usage is not None:
        assert reported.usage.how == "reported"
        assert reported.finished
        assert reported.usage.input_tokens > 0


@pytest.mark.parametrize("size", [1, 2, 7, 64])
@pytest.mark.parametrize("call", STREAMED)
def test_pieces_of_any_size_say_the_same(call: Call, size: int) -> None:
    assert call.read(size) == call.read()


@pytest.mark.parametrize("call", STREAMED)
def test_a_stream_cut_anywhere_is_never_taken_for_a_whole_one(call: Call) -> None:
    for part in range(1, 10):
        reader = call.dialect.read_stream()
        reader.feed(call.body[: len(call.body) * part // 10])
        assert not reader.reported().finished


# --- the judge ----------------------------------------------------------------------------------------


def _last_words(call: Call) -> dict[str, Any]:
    """The reply in the form of a plain one: of a stream, the last word on every field of its usage."""
    if not call.raw.get("text"):
        return dict(call.raw["json"])
    reply: dict[str, Any] = {}
    for line in call.raw["text"].splitlines():
        if not line.startswith("data:") or line[5:].strip() == "[DONE]":
            continue
        event = json.loads(line[5:])
        inner = event.get("message") or event.get("response") or event
        usage = inner.get("usage") or (event.get("x_groq") or {}).get("usage") or {}
        for key, part in (("usage", usage), ("usageMetadata", inner.get("usageMetadata") or {})):
            if part:
                reply[key] = {**reply.get(key, {}), **part}
        for key in ("model", "modelVersion"):
            reply[key] = inner.get(key) or reply.get(key)
    return reply


def _judged_usages(call: Call, provider: str) -> list[Any]:
    """What the judge reads; a list, for compaction has several passes that are billed."""
    reply = _last_words(call)
    flavour = FLAVOURS[call.dialect.name]
    if provider in ("groq", "mistral"):
        flavour = "default"
    usage = reply.get("usage") or {}
    if "inputTextTokenCount" in reply:
        # It has no reader for Titan's embeddings.
        return [genai_prices.Usage(input_tokens=reply["inputTextTokenCount"], output_tokens=0)]
    if provider == "deepseek" and flavour == "responses":
        # It has no reader for DeepSeek's copy of the Responses API, which has OpenAI's words.
        provider = "openai"
    if mistral := usage.get("num_cached_tokens"):
        reply["usage"] = {**usage, "prompt_tokens_details": {"cached_tokens": mistral}}
    passes = [each for each in usage.get("iterations") or [] if each.get("type") != "advisor_message"]
    replies = [{**reply, "usage": each} for each in passes] or [reply]
    return [
        genai_prices.extract_usage(each, provider_id=provider, api_flavor=flavour).usage for each in replies
    ]


JUDGED = [call for call in ANSWERED if call.values[0].id not in SILENT]


@pytest.mark.parametrize("call", [call for call in JUDGED if call.values[0].raw["host"] in PROVIDERS])
def test_counts_are_those_that_the_judge_reads(call: Call) -> None:
    provider = PROVIDERS[call.raw["host"]]
    try:
        judged = _judged_usages(call, provider)
    except LookupError:
        pytest.skip("the judge does not know the model, and reads nothing of the reply")
    usage = call.read().usage
    assert usage is not None
    assert usage.input_tokens == sum(each.input_tokens or 0 for each in judged)
    assert usage.output_tokens == sum(each.output_tokens or 0 for each in judged)
    cached = usage["cached_input"] + usage["cached_input_audio"]
    assert cached == sum(each.cache_read_tokens or 0 for each in judged)
    written = usage["cache_write"] + usage["cache_write_1h"]
    assert written == sum(each.cache_write_tokens or 0 for each in judged)
    assert usage["input_audio"] + usage["cached_input_audio"] == sum(
        each.input_audio_tokens or 0 for each in judged
    )
    assert usage["output_image"] == sum(each.output_image_tokens or 0 for each in judged)


def _added_fees(usage: Usage, prices: pricing.ModelPrices) -> Fraction:
    """OpenAI and Google bill searches and sessions by the call; the judge reads no counts of them."""
    return Fraction(
        sum(usage[unit] * prices.row(unit, usage.input_tokens).picos for unit in FEES if usage[unit])
    )


# Rule -> whom it concerns, what it changes in our sum beside the judge's, and the page that bears us out.
# Mistral's cached tokens and the passes of a compaction, which the judge does not read by itself, are put
# before it above: https://docs.mistral.ai/capabilities/prompt_caching and
# https://platform.claude.com/docs/en/build-with-claude/compaction#understanding-usage
DIFFERENCES: tuple[tuple[str, frozenset[str], Callable[..., Fraction], str], ...] = (
    (
        "tools that run at OpenAI's are billed by the call",
        frozenset({"openai"}),
        _added_fees,
        "https://platform.openai.com/docs/pricing#built-in-tools",
    ),
    (
        "grounding in a search is billed by the query, before Gemini 3 by the prompt",
        frozenset({"google"}),
        _added_fees,
        "https://ai.google.dev/gemini-api/docs/google-search#pricing",
    ),
)


@pytest.mark.parametrize("call", [call for call in JUDGED if call.values[0].raw["host"] in PROVIDERS])
def test_the_exact_sum_is_the_judges(call: Call) -> None:
    provider = PROVIDERS[call.raw["host"]]
    reported = call.read()
    assert reported.usage is not None
    model = reported.model or call.request["model"]
    at = datetime.now(UTC)
    try:
        judged = sum(
            (
                Fraction(genai_prices.calc_price(each, model, provider_id=provider).total_price) * 10**12
                for each in _judged_usages(call, provider)
            ),
            Fraction(0),
        )
    except LookupError:
        pytest.skip("the judge does not price the model")
    try:
        prices = open_book().find(model, provider=provider, at=at)
    except UnknownPriceError:
        pytest.skip("our book does not know the model")
    try:
        ours = Fraction(pricing.cost(reported.usage, prices).exact_picos)
    except UnknownPriceError as error:
        assert error.values["unit"] in FEES, "only a fee that the judge does not read may have no price"
        return
    for _, providers, added, page in DIFFERENCES:
        if provider in providers:
            assert page.startswith("https://")
            judged += added(reported.usage, prices)
    assert ours == judged


def test_openrouters_own_figure_is_the_bill() -> None:
    """And with OpenRouter's key it is what its listed prices come to."""
    told = 0
    for each in JUDGED:
        call: Call = each.values[0]
        usage = _last_words(call).get("usage") or {}
        if call.raw["host"] != "openrouter.ai" or "cost" not in usage:
            continue
        told += 1
        assert call.read().billed_picos == Fraction(repr(usage["cost"])) * 10**12
    assert told >= 5


# --- replies that lie ---------------------------------------------------------------------------------

NONSENSE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(["", "12", "NaN", "many"]),
    st.just([]),
    st.just({}),
    st.lists(st.integers(-5, 5), max_size=2),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        if len(path) < 6 and key not in ("values", "embedding", "embeddings", "float"):
            yield from _places(inner, (*path, key))


def _changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    copy = deepcopy(value)
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = new
    return copy


def _is_sound(reported: Reported) -> None:
    if reported.usage is not None:
        for _, count in reported.usage:
            assert 0 < count <= MOST_COUNT
    assert reported.billed_picos is None or reported.billed_picos >= 0


ONE_OF_EACH = list({(c.values[0].dialect.name, c.values[0].raw["host"]): c for c in JUDGED}.values())


@pytest.mark.parametrize("call", [call for call in ONE_OF_EACH if not call.values[0].raw.get("text")])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_reply_that_lies_is_an_error_or_no_less_than_nothing(call: Call, data: Any) -> None:
    reply = call.raw["json"]
    for _ in range(data.draw(st.integers(1, 3))):
        paths = [path for path in _places(reply) if "usage" in str(path).lower() or data.draw(st.booleans())]
        if paths:
            reply = _changed(reply, data.draw(st.sampled_from(paths)), data.draw(NONSENSE))
    try:
        _is_sound(call.dialect.read_reply(reply))
    except UnreadableReplyError as error:
        assert error.message


@pytest.mark.parametrize("call", STREAMED)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_stream_that_lies_is_an_error_or_no_less_than_nothing(call: Call, data: Any) -> None:
    body = bytearray(call.body)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=20))
    reader = call.dialect.read_stream()
    size = data.draw(st.integers(1, 5000))
    for start in range(0, len(body), size):
        reader.feed(bytes(body[start : start + size]))
    try:
        _is_sound(reader.reported())
    except BudgetError as error:
        assert isinstance(error, UnreadableReplyError)


@pytest.mark.parametrize("call", [call for call in CALLS if call.values[0].raw["status"] >= 400])
def test_the_words_of_an_error_are_found(call: Call) -> None:
    body = call.raw["json"]
    error = body.get("error") or body
    assert call.dialect.read_error(json.dumps(body).encode()) == " ".join(error["message"].split())[:300]
