"""The gateway over real sockets: real bytes in and out, each call held before it leaves and charged after."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

import budgets
from budgets.gateway.passing import Patience
from budgets.simulated import Fault
from tests.support.gate import KEY, Gate, billed, chat, played, spent
from tests.support.provider import LoopbackProvider


@pytest.fixture
def provider():
    opened = LoopbackProvider()
    yield opened
    opened.close()


@pytest.fixture
def engine(tmp_path: Path):
    with budgets.open_engine(tmp_path / "budgets.sqlite", grouped=True) as opened:
        opened.create("ann", budgets.LimitTerms(budgets.parse_usd("1")))
        yield opened


def test_a_plain_call_passes_unchanged_and_is_charged(
    engine: budgets.Engine, provider: LoopbackProvider
) -> None:
    async def scene(gate: Gate) -> None:
        body = chat(max_tokens=50, user="x")
        headers = {"openai-beta": "one", "x-stainless-lang": "python", "cookie": "secret=1"}
        async with gate.post("/openai/v1/chat/completions?beta=true", body, headers=headers) as answer:
            assert answer.status == 200
            reply = await answer.json()
            assert reply["choices"][0]["message"]["content"].startswith("This answer is simulated")
            assert answer.headers["x-request-id"] == "req_simulated_000001"
            assert answer.headers["x-budget-cost-usd"] == budgets.format_usd(spent(engine))
            left = budgets.parse_usd("1") - spent(engine)
            assert answer.headers["x-budget-left-usd"] == budgets.format_usd(left)
            assert "x-budget-output-limit" not in answer.headers

    played(engine, provider, scene)
    assert provider.asked == [chat(max_tokens=50, user="x")]
    assert provider.paths == ["/v1/chat/completions?beta=true"]
    sent = provider.headers[0]
    assert sent["authorization"] == "Bearer sk-real"
    assert (sent["openai-beta"], sent["x-stainless-lang"]) == ("one", "python")
    assert "cookie" not in sent
    assert sent["accept-encoding"] == "identity"
    assert spent(engine) == billed(provider) > 0
    assert engine.holds() == []


@pytest.mark.parametrize("one_byte", [False, True])
def test_a_stream_passes_as_it_comes_without_what_we_asked_for(
    engine: budgets.Engine, provider: LoopbackProvider, one_byte: bool
) -> None:
    provider.faults.append(Fault(one_byte_pieces=one_byte))

    async def scene(gate: Gate) -> bytes:
        async with gate.post("/openai/v1/chat/completions", chat(stream=True)) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert int(answer.headers["x-budget-output-limit"]) == provider.asked[0]["max_tokens"]
            return await answer.read()

    stream = played(engine, provider, scene)
    assert provider.asked[0]["stream_options"] == {"include_usage": True}
    assert b"usage" not in stream
    events, comments = stream.decode().split("data: [DONE]\n\n")
    assert json.loads(events.split("\n\n")[0].removeprefix("data: "))["object"] == "chat.completion.chunk"
    assert f": x-budget-cost-usd: {budgets.format_usd(spent(engine))}\n" in comments
    assert spent(engine) == billed(provider) > 0


def test_a_caller_who_asked_for_usage_gets_it(engine: budgets.Engine, provider: LoopbackProvider) -> None:
    async def scene(gate: Gate) -> bytes:
        body = chat(stream=True, stream_options={"include_usage": True}, max_tokens=20)
        async with gate.post("/openai/v1/chat/completions", body) as answer:
            return await answer.read()

    assert b'"usage":{"prompt_tokens"' in played(engine, provider, scene)
    assert spent(engine) == billed(provider)


def test_anthropics_key_and_errors_are_anthropics(engine: budgets.Engine, provider: LoopbackProvider) -> None:
    engine.create("poor", budgets.LimitTerms(10))

    async def scene(gate: Gate) -> None:
        body = {"model": "claude-haiku-4-5", "max_tokens": 40, "messages": chat()["messages"]}
        headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01", "authorization": ""}
        async with gate.post("/anthropic/v1/messages", body, headers=headers) as answer:
            assert answer.status == 200
        async with gate.post(
            "/anthropic/v1/messages", {**body, "max_tokens": 400_000}, headers=headers
        ) as answer:
            assert answer.status == 402
            assert answer.headers["x-should-retry"] == "false"
            told = await answer.json()
            assert told["type"] == "error"
            assert told["error"]["type"] == "billing_error"
            assert "ann has $0.99" in told["error"]["message"]
            assert told["error"]["budget"]["code"] == "budget_exceeded"

    played(engine, provider, scene)
    assert provider.headers[0]["x-api-key"] == "sk-ant-real"
    assert KEY not in str(provider.headers)
    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    ("path", "key", "status", "words"),
    [
        pytest.param("/openai/v1/chat/completions", "sk-wrong", 401, "not known", id="a wrong key"),
        pytest.param("/openai/v1/chat/completions", None, 401, "no key", id="no key"),
        pytest.param("/openai/v1/batches", KEY, 404, "hours later", id="batches"),
        pytest.param("/openai/v1/something/else", KEY, 404, "no call that can be metered", id="unknown"),
        pytest.param("/groq/openai/v1/chat/completions", KEY, 401, "GROQ_API_KEY", id="no provider key"),
        pytest.param("/mars/v1/chat/completions", KEY, 400, "does not say which", id="no such provider"),
        pytest.param("/openai/v1/chat/completions", "bk_narrow", 200, "", id="an allowed model"),
    ],
)
def test_nothing_is_free_by_accident(
    engine: budgets.Engine, provider: LoopbackProvider, path: str, key: str | None, status: int, words: str
) -> None:
    async def scene(gate: Gate) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {"authorization": "none"}
        async with gate.post(path, chat(), headers=headers) as answer:
            assert answer.status == status
            assert words in await answer.text()

    played(engine, provider, scene)
    assert len(provider.asked) == (status == 200)
    assert engine.holds() == []


def test_a_model_that_is_not_allowed_is_not_asked(engine: budgets.Engine, provider: LoopbackProvider) -> None:
    async def scene(gate: Gate) -> None:
        headers = {"authorization": "Bearer bk_narrow"}
        async with gate.post("/openai/v1/chat/completions", chat(model="gpt-4o"), headers=headers) as answer:
            assert answer.status == 403
            told = await answer.json()
            assert told["error"]["message"].startswith('budget: ann may not ask for "gpt-4o"')

    played(engine, provider, scene)
    assert provider.asked == []


def test_a_provider_that_refuses_is_heard_and_costs_nothing(
    engine: budgets.Engine, provider: LoopbackProvider
) -> None:
    provider.faults.append(Fault(status=429))

    async def scene(gate: Gate) -> list[str]:
        async with gate.post("/openai/v1/chat/completions", chat()) as answer:
            assert answer.status == 429
            assert answer.headers["retry-after"] == "1"
            assert "simulated" in await answer.text()
        return [each.outcome for each in gate.reports]

    assert played(engine, provider, scene) == ["released"]
    assert (spent(engine), engine.holds()) == (0, [])


def test_a_stream_that_breaks_off_is_charged_for_what_came(
    engine: budgets.Engine, provider: LoopbackProvider
) -> None:
    provider.faults.append(Fault(cut_after_bytes=3_000))

    async def scene(gate: Gate) -> None:
        async with gate.post("/openai/v1/chat/completions", chat(stream=True)) as answer:
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()

    played(engine, provider, scene)
    (charge,) = [each for each in engine.entries("ann") if each.kind == "charge"]
    assert charge.detail["how"].startswith("estimated")
    assert engine.holds() == []


def test_who_hangs_up_pays_what_the_provider_bills(
    engine: budgets.Engine, provider: LoopbackProvider
) -> None:
    provider.gap_seconds = 0.005

    async def scene(gate: Gate) -> None:
        async with gate.post("/openai/v1/chat/completions", chat(stream=True)) as answer:
            await answer.content.readany()
        async with asyncio.timeout(20):
            await gate.told.wait()
        assert [each.outcome for each in gate.reports] == ["charged"]

    played(engine, provider, scene)
    assert spent(engine) == billed(provider) > 0
    assert engine.holds() == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("limit", [None, 30])
def test_a_hundred_at_once_spend_exactly_what_fits(
    engine: budgets.Engine, provider: LoopbackProvider, stream: bool, limit: int | None
) -> None:
    engine.change("ann", budgets.Change(total_nanos=200_000))
    body = chat(stream=stream) if limit is None else chat(stream=stream, max_tokens=limit)

    async def scene(gate: Gate) -> list[int]:
        async def call() -> int:
            async with gate.post("/openai/v1/chat/completions", body) as answer:
                await answer.read()
                return answer.status

        return list(await asyncio.gather(*(call() for _ in range(100))))

    statuses = played(engine, provider, scene, patience=Patience(hold_seconds=5))
    assert set(statuses) <= {200, 402}
    assert statuses.count(200) == len(provider.bills)
    assert spent(engine) == billed(provider) <= 200_000
    assert engine.check().faults == ()
    assert engine.holds() == []


def test_callers_without_limits_use_what_there_is(engine: budgets.Engine) -> None:
    """Money for ten calls, four callers, no `max_tokens`: at least nine of the ten are made."""

    def count(text: str) -> int:
        # Answers are longer than the least that is worth sending a call for.
        return len(text.split()) * (10 if text.startswith("This answer") else 1)

    async def scene(gate: Gate) -> int:
        async def caller() -> int:
            made = 0
            for _ in range(10):
                body = chat(messages=[{"role": "user", "content": "rivers " * 110}])
                async with gate.post("/openai/v1/chat/completions", body) as answer:
                    made += answer.status == 200
            return made

        return sum(await asyncio.gather(*(caller() for _ in range(4))))

    with closing(LoopbackProvider(count, seconds=0.01)) as provider:
        engine.change("ann", budgets.Change(total_nanos=budgets.parse_usd("100")))

        async def one(gate: Gate) -> int:
            body = chat(messages=[{"role": "user", "content": "rivers " * 110}])
            async with gate.post("/openai/v1/chat/completions", body) as answer:
                await answer.read()
            return spent(engine)

        whole = played(engine, provider, one)
        engine.reset("ann")
        engine.change("ann", budgets.Change(total_nanos=10 * whole))
        assert played(engine, provider, scene) >= 9
        assert spent(engine) <= 10 * whole
