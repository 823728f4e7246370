"""The metered call where the address names the model, nothing is written, or the provider says its bill."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from budgets import calls, metering, providers
from budgets.config import load_settings
from budgets.dialects import by_name
from budgets.engine import Engine, LimitTerms
from budgets.errors import UnknownPriceError, UnreadableReplyError
from budgets.money import parse_usd
from budgets.upstream import Answer, OutgoingCall
from budgets.wiring import open_engine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    settings = load_settings(
        {"BUDGET_CONFIG": str(tmp_path / "config.toml")}, store=str(tmp_path / "budgets.sqlite")
    )
    opened = open_engine(settings)
    opened.create("ann", LimitTerms(parse_usd("1")))
    yield opened
    opened.store.close()


class Says:
    """A provider that gives one answer, in pieces, and remembers what it was sent."""

    def __init__(self, *pieces: bytes, kind: str = "application/json", **headers: str) -> None:
        self.pieces = pieces
        self.headers = {"content-type": kind} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        self.sent: list[OutgoingCall] = []

    def send(self, call: OutgoingCall) -> Any:
        self.sent.append(call)

        async def chunks() -> AsyncIterator[bytes]:
            for piece in self.pieces:
                yield piece

        @asynccontextmanager
        async def answer() -> AsyncIterator[Answer]:
            yield Answer(200, self.headers, chunks())

        return answer()


def _make(
    engine: Engine, provider: str, dialect: str, body: dict[str, Any], upstream: Says, **how: Any
) -> calls.Outcome:
    served = replace(providers.named(provider), dialect=dialect)
    request = metering.Request("ann", served, "https://api.test", "a-key", body)
    return asyncio.run(calls.complete(engine, upstream, request, **how))


def test_geminis_model_goes_into_the_address_and_a_stream_may_be_an_array(engine: Engine) -> None:
    reply = [
        {"candidates": [{"content": {"parts": [{"text": "Bon"}]}}]},
        {
            "modelVersion": "gemini-2.5-flash",
            "candidates": [{"content": {"parts": [{"text": "jour"}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 2, "thoughtsTokenCount": 4},
        },
    ]
    data = json.dumps(reply).encode()
    upstream = Says(data[:30], data[30:])
    heard: list[str] = []
    body = {"model": "gemini-2.5-flash", "contents": [{"parts": [{"text": "Hello"}]}], "stream": True}
    outcome = _make(engine, "google", "gemini", body, upstream, on_text=heard.append)
    assert upstream.sent[0].url == "https://api.test/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    assert upstream.sent[0].headers["x-goog-api-key"] == "a-key"
    assert json.loads(upstream.sent[0].body) == {
        "contents": [{"parts": [{"text": "Hello"}]}],
        "generationConfig": {"maxOutputTokens": 8192},
    }
    assert "".join(heard) == "Bonjour"
    # 10 at $0.30, 6 at $2.50 per million.
    assert outcome.receipt.nanos == 10 * 300 + 6 * 2500


def test_an_embedding_holds_and_costs_its_input_alone(engine: Engine) -> None:
    reply = {"model": "text-embedding-3-small", "data": [], "usage": {"prompt_tokens": 3, "total_tokens": 3}}
    upstream = Says(json.dumps(reply).encode())
    body = {"model": "text-embedding-3-small", "input": [[9906, 11, 1917]]}
    outcome = _make(engine, "openai", "openai-embeddings", body, upstream)
    assert outcome.quote.output_picos == 0, "no answer is held for"
    assert outcome.quote.input_tokens >= 3
    assert outcome.receipt.nanos == 60
    assert json.loads(upstream.sent[0].body) == body


def test_a_response_that_goes_on_in_the_background_stays_held(engine: Engine) -> None:
    reply = {"object": "response", "id": "r", "model": "gpt-4o", "status": "queued", "usage": None}
    body = {"model": "gpt-4o", "input": "Hello", "background": True}
    with pytest.raises(UnreadableReplyError, match="not finished"):
        _make(engine, "openai", "openai-responses", body, Says(json.dumps(reply).encode()))
    totals = engine.status("ann").limits[0].totals
    assert totals.held_nanos == totals.spent_nanos == 0
    assert totals.unconfirmed_nanos > 0


def test_a_failed_response_is_charged_what_it_used(engine: Engine) -> None:
    failed = {
        "type": "response.failed",
        "response": {
            "model": "gpt-4o-mini",
            "status": "failed",
            "usage": {"input_tokens": 1000, "output_tokens": 100},
        },
    }
    upstream = Says(f"data: {json.dumps(failed)}\n\n".encode(), kind="text/event-stream; charset=utf-8")
    body = {"model": "gpt-4o-mini", "input": "Hello", "stream": True}
    outcome = _make(engine, "openai", "openai-responses", body, upstream)
    assert outcome.receipt.nanos == 1000 * 150 + 100 * 600


def _openrouter(**usage: Any) -> dict[str, Any]:
    counts = {"prompt_tokens": 16, "completion_tokens": 2, "total_tokens": 18}
    return {"model": "z-ai/glm-9", "choices": [], "usage": {**counts, **usage}}


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        pytest.param({"cost": 1.4e-05, "is_byok": False}, "0.000014", id="OpenRouter's key"),
        pytest.param({"cost": 0.00093}, "0.00093", id="an older reply says nothing of keys"),
        pytest.param({"cost": 0, "is_byok": False}, "0.00", id="a free model"),
        pytest.param(
            {"cost": 0.00005, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.001}},
            "0.00105",
            id="a key of one's own: the fee and the vendor's part",
        ),
        pytest.param(
            {"cost": 0.001, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.001}},
            "0.001",
            id="OpenRouter's key: the vendor's part is in it",
        ),
    ],
)
def test_what_openrouter_bills_is_the_cost(engine: Engine, usage: dict[str, Any], usd: str) -> None:
    reported = by_name("openai-chat").read_reply(_openrouter(**usage))
    cost = metering.priced(engine, reported, asked=None, provider="openrouter")
    assert cost.nanos == parse_usd(usd)
    assert cost.prices == {
        "model": "openrouter/z-ai/glm-9",
        "billed_picos": str(Fraction(parse_usd(usd)) * 1000),
    }


@pytest.mark.parametrize(
    "usage",
    [
        pytest.param({}, id="no word of it"),
        pytest.param({"cost": 0}, id="nothing, and no word on whose key"),
        pytest.param(
            {"cost": 0, "is_byok": True}, id="a key of one's own, and the vendor's part is not told"
        ),
    ],
)
def test_where_it_is_not_the_bill_our_prices_decide(engine: Engine, usage: dict[str, Any]) -> None:
    reported = by_name("openai-chat").read_reply(_openrouter(**usage))
    with pytest.raises(UnknownPriceError, match="glm-9"):
        metering.priced(engine, reported, asked=None, provider="openrouter")
    cost = metering.priced(engine, replace(reported, model="gpt-4o-mini"), asked=None, provider="openai")
    assert cost.nanos == 16 * 150 + 2 * 600


def test_a_cost_that_somebody_else_reports_is_not_the_bill(engine: Engine) -> None:
    reported = by_name("openai-chat").read_reply({**_openrouter(cost=5), "model": "gpt-4o-mini"})
    assert metering.priced(engine, reported, asked=None, provider="openai").nanos == 16 * 150 + 2 * 600


@pytest.mark.parametrize("cost", [-0.1, float("nan"), float("inf"), "0.1", True, 10**9, [], 1e-300])
def test_a_bill_that_makes_no_sense_is_an_error(cost: Any) -> None:
    with pytest.raises(UnreadableReplyError) as caught:
        by_name("openai-chat").read_reply(_openrouter(cost=cost, is_byok=False))
    assert caught.value.values["field"] == "usage.cost"


def test_one_estimate_makes_the_whole_an_estimate(engine: Engine) -> None:
    reply = {
        "object": "response",
        "model": "gpt-4o-mini",
        "usage": {"input_tokens": 1000, "output_tokens": 100},
        "tools": [{"type": "image_generation", "model": "gpt-image-1.5"}],
        "output": [{"type": "image_generation_call", "result": "x", "quality": "low", "size": "1024x1024"}],
    }
    reported = by_name("openai-responses").read_reply(reply)
    cost = metering.priced(engine, reported, asked=None, provider="openai")
    assert cost.how == "estimated:image sizes"
    # 272 image tokens at $32 per million.
    assert cost.nanos == 1000 * 150 + 100 * 600 + 272 * 32_000


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://eu.api.openai.com/v1", "eu"),
        ("https://us.api.openai.com", "us"),
        ("https://api.openai.com/v1", None),
        ("https://eu.api.openai.com.example.org/v1", None),
    ],
)
def test_a_region_shows_in_the_address(engine: Engine, url: str, region: str | None) -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
    ask, _ = metering.quote(engine, metering.Request("ann", providers.named("openai"), url, None, body))
    assert ask.region == region


def test_a_region_is_read_as_it_is_asked_for_and_as_it_served() -> None:
    dialect = by_name("anthropic-messages")
    body = {
        "model": "claude-opus-4-6",
        "messages": [{"role": "user", "content": "Hi"}],
        "inference_geo": "us",
    }
    assert dialect.read_request(body).region == "us"
    usage = {"input_tokens": 1, "output_tokens": 1}
    for said, region in (("us", "us"), ("global", None), ("not_available", None), (None, None)):
        reply = {"type": "message", "usage": {**usage, "inference_geo": said}}
        assert dialect.read_reply(reply).region == region
