"""Callers who go away, or read slowly: charged what the provider bills, and no memory is lost to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import budgets
from budgets.dialects.sse import Event, framed
from budgets.gateway.passing import Patience
from tests.support.gate import KEY, Gate, chat, played, spent
from tests.support.provider import LoopbackProvider
from tests.support.scripted import ScriptedProvider, streamed


@pytest.fixture
def engine(tmp_path: Path):
    with budgets.open_engine(tmp_path / "budgets.sqlite", grouped=True) as opened:
        opened.create("ann", budgets.LimitTerms(budgets.parse_usd("5")))
        yield opened


def count(text: str) -> int:
    return len(text.split())


async def hung_up_after(gate: Gate, path: str, body: Any, events: int) -> bool:
    """Read so many events and go away; `False`: the stream was over before."""
    headers = {"authorization": f"Bearer {KEY}"}
    async with gate.session.post(gate.url + path, json=body, headers=headers) as answer:
        assert answer.status == 200
        found = 0
        while found < events:
            line = await answer.content.readline()
            if not line:
                return False
            found += line == b"\n"
        answer.close()
    return True


async def told(gate: Gate, reports: int) -> None:
    async with asyncio.timeout(20):
        while len(gate.reports) < reports:
            gate.told.clear()
            await gate.told.wait()


def chat_bill(usage: dict[str, Any]) -> int:
    return usage["prompt_tokens"] * 150 + usage["completion_tokens"] * 600


def anthropic_bill(usage: dict[str, Any]) -> int:
    return usage["input_tokens"] * 1_000 + usage["output_tokens"] * 5_000


@pytest.mark.parametrize(
    ("path", "body", "bill"),
    [
        pytest.param("/openai/v1/chat/completions", chat(max_tokens=12, stream=True), chat_bill, id="chat"),
        pytest.param(
            "/anthropic/v1/messages",
            {**chat(max_tokens=12, stream=True), "model": "claude-haiku-4-5"},
            anthropic_bill,
            id="anthropic",
        ),
    ],
)
def test_who_hangs_up_anywhere_pays_what_the_provider_bills(
    engine: budgets.Engine, path: str, body: dict[str, Any], bill: Callable[[dict[str, Any]], int]
) -> None:
    async def scene(gate: Gate) -> int:
        events = 0
        while await hung_up_after(gate, path, body, events):
            events += 1
            await told(gate, events)
            assert gate.reports[-1].outcome == "charged"
        await told(gate, events + 1)
        return events

    with closing(LoopbackProvider(count, gap_seconds=0.001)) as provider:
        points = played(engine, provider, scene)
        assert points > 12
        assert len(provider.bills) == points + 1
        assert spent(engine) == sum(map(bill, provider.bills))
    assert engine.holds() == []
    assert engine.check().faults == ()


def test_who_hangs_up_before_the_answer_is_charged_for_it(engine: budgets.Engine) -> None:
    async def scene(gate: Gate) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await gate.post("/openai/v1/chat/completions", chat(max_tokens=12))
        await told(gate, 1)

    with closing(LoopbackProvider(count, seconds=0.5)) as provider:
        played(engine, provider, scene)
        assert spent(engine) == sum(map(chat_bill, provider.bills)) > 0
    assert engine.holds() == []


# Large, and of few tokens.
CHOICE = {"index": 0, "delta": {"content": "a"}, "pad": "x" * 60_000}
LARGE = framed(Event("message", json.dumps({"id": "c", "model": "gpt-4o-mini", "choices": [CHOICE]})))
BODY = chat(stream=True, max_tokens=10_000)


def test_a_slow_reader_holds_the_provider_up_and_costs_no_memory(engine: budgets.Engine) -> None:
    """What nobody takes is not asked for: the provider's writes wait, too."""
    answer = streamed(LARGE for _ in range(1_000))

    async def scene(gate: Gate) -> None:
        async with gate.post("/openai/v1/chat/completions", BODY) as answer:
            await answer.content.readany()
            before = -1
            while provider.written != before:
                before = provider.written
                await asyncio.sleep(0.3)
            assert provider.written < 500
        await told(gate, 1)

    with closing(ScriptedProvider(lambda _, __: answer)) as provider:
        played(engine, provider, scene, patience=Patience(drain_seconds=0.1))


def test_a_reader_who_takes_nothing_is_taken_for_gone(engine: budgets.Engine) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 50, "total_tokens": 60}
    last = framed(Event("message", json.dumps({"model": "gpt-4o-mini", "choices": [], "usage": usage})))
    events = [*[LARGE] * 300, last, b"data: [DONE]\n\n"]

    async def scene(gate: Gate) -> None:
        async with gate.post("/openai/v1/chat/completions", BODY) as answer:
            await told(gate, 1)
            assert gate.reports[0].outcome == "charged"
            with pytest.raises(aiohttp.ClientError):
                await answer.read()

    with closing(ScriptedProvider(lambda _, __: streamed(events))) as provider:
        played(engine, provider, scene, patience=Patience(reader_seconds=0.2))
    assert spent(engine) == 10 * 150 + 50 * 600
