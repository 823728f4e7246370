"""What the providers' own SDKs make of a refusal: used up is said once, busy is asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import openai
import pytest
from google import genai

import budgets
from budgets.gateway import refusals
from budgets.gateway.passing import Patience
from tests.support.gate import KEY, Gate, played, spent
from tests.support.scripted import Answered, ScriptedProvider, plain

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 7,
    "model": "gpt-4o-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Rhine"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 2, "total_tokens": 14},
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5",
    "content": [{"type": "text", "text": "Rhine"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 12, "output_tokens": 2},
}
CONTENT = {
    "candidates": [{"content": {"parts": [{"text": "Rhine"}], "role": "model"}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 2, "totalTokenCount": 14},
    "modelVersion": "gemini-2.5-flash-lite",
}


def answer(path: str, body: dict[str, Any]) -> Answered:
    return plain(MESSAGE if path.endswith("/messages") else CONTENT if "gemini" in path else CHAT)


@pytest.fixture
def engine(tmp_path: Path):
    with budgets.open_engine(tmp_path / "budgets.sqlite", grouped=True) as opened:
        opened.create("ann", budgets.LimitTerms(budgets.parse_usd("1")))
        yield opened


class Asked(NamedTuple):
    """One SDK: a call with so many tokens of output that gives the text, and what it raises."""

    call: Callable[[str, int], str | None]
    used_up: type[Exception]


def by_openai(url: str, tokens: int) -> str | None:
    with openai.OpenAI(base_url=f"{url}/openai/v1", api_key=KEY, max_retries=2) as client:
        made = client.chat.completions.create(
            model="gpt-4o-mini", max_tokens=tokens, messages=[{"role": "user", "content": "Name a river"}]
        )
    return made.choices[0].message.content


def by_anthropic(url: str, tokens: int) -> str | None:
    with anthropic.Anthropic(base_url=f"{url}/anthropic", api_key=KEY, max_retries=2) as client:
        made = client.messages.create(
            # Above some tokens the SDK itself insists on a stream, unless a time-out is set.
            timeout=60,
            model="claude-haiku-4-5",
            max_tokens=tokens,
            messages=[{"role": "user", "content": "Name a river"}],
        )
    return getattr(made.content[0], "text", None)


def by_google(url: str, tokens: int) -> str | None:
    retrying = genai.types.HttpRetryOptions(attempts=3, initial_delay=0.01, max_delay=0.05)
    options = genai.types.HttpOptions(base_url=f"{url}/google", retry_options=retrying)
    client = genai.Client(api_key=KEY, http_options=options)
    try:
        config = genai.types.GenerateContentConfig(max_output_tokens=tokens)
        made = client.models.generate_content(
            model="gemini-2.5-flash-lite", contents="Name a river", config=config
        )
    finally:
        client.close()
    return made.text


SDKS = [
    pytest.param(Asked(by_openai, openai.APIStatusError), id="openai"),
    pytest.param(Asked(by_anthropic, anthropic.APIStatusError), id="anthropic"),
    pytest.param(Asked(by_google, genai.errors.ClientError), id="google-genai"),
]


@pytest.mark.parametrize("sdk", SDKS)
def test_a_budget_that_is_used_up_is_said_once(engine: budgets.Engine, sdk: Asked) -> None:
    engine.change("ann", budgets.Change(total_nanos=1_000))

    async def scene(gate: Gate) -> str:
        with pytest.raises(sdk.used_up) as raised:
            await asyncio.to_thread(sdk.call, gate.url, 1_000)
        assert getattr(raised.value, "status_code", getattr(raised.value, "code", None)) == 402
        assert [each.outcome for each in gate.reports] == ["refused"]
        return str(raised.value)

    with closing(ScriptedProvider(answer)) as provider:
        said = played(engine, provider, scene)
        assert provider.asked == []
    assert "budget: ann has $0.000001 left" in said
    assert spent(engine) == 0


@pytest.mark.parametrize("sdk", SDKS)
def test_a_busy_budget_is_asked_again(
    engine: budgets.Engine, sdk: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "BUSY_SECONDS", 1)
    engine.hold("ann", budgets.parse_usd("0.999999"), model="gpt-4o-mini", hold_id="other")

    async def scene(gate: Gate) -> str | None:
        made = asyncio.create_task(asyncio.to_thread(sdk.call, gate.url, 1_000))
        async with asyncio.timeout(20):
            await gate.told.wait()
        assert gate.reports[0].error is not None
        assert gate.reports[0].error.code == "busy"
        engine.release("other", reason="done")
        return await made

    with closing(ScriptedProvider(answer)) as provider:
        assert played(engine, provider, scene, patience=Patience(hold_seconds=0)) == "Rhine"
        assert len(provider.asked) == 1
    assert spent(engine) > 0
    assert engine.holds() == []
