"""Answers that are written when nobody waits: refused, or followed to their end and charged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import budgets
from budgets.dialects.sse import Event, framed
from budgets.gateway.passing import Patience
from tests.support.gate import KEY, Gate, played, spent
from tests.support.scripted import Answered, ScriptedProvider, plain, streamed

PATH = "/openai/v1/responses"
BODY = {"model": "gpt-4o-mini", "input": "Name a river", "background": True, "max_output_tokens": 50}
RUNNING = {
    "id": "resp_1",
    "object": "response",
    "model": "gpt-4o-mini",
    "status": "in_progress",
    "output": [],
}
USAGE = {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30}
WHOLE = {**RUNNING, "status": "completed", "usage": USAGE}
COST = 10 * 150 + 20 * 600
QUICK = Patience(poll_seconds=0.01)


@pytest.fixture
def engine(tmp_path: Path):
    with budgets.open_engine(tmp_path / "budgets.sqlite", grouped=True) as opened:
        opened.create("ann", budgets.LimitTerms(budgets.parse_usd("1")))
        yield opened


@contextmanager
def provider(polls: Callable[[int], Answered]) -> Iterator[ScriptedProvider]:
    """It begins, and then says at each asking what *polls* says."""
    asked = 0

    def answer(path: str, body: dict[str, Any]) -> Answered:
        nonlocal asked
        if path.endswith("/responses"):
            if body.get("stream"):
                event = {"type": "response.created", "response": RUNNING, "sequence_number": 0}
                return streamed([framed(Event("response.created", json.dumps(event)))])
            return plain(RUNNING)
        if path.endswith("/cancel"):
            return plain({**RUNNING, "status": "cancelled"})
        asked += 1
        return polls(asked)

    opened = ScriptedProvider(answer)
    try:
        yield opened
    finally:
        opened.close()


async def told(gate: Gate) -> str:
    async with asyncio.timeout(20):
        await gate.told.wait()
    return gate.reports[0].outcome


def test_it_is_refused_by_name_unless_the_owner_allows_it(engine: budgets.Engine) -> None:
    async def scene(gate: Gate) -> None:
        async with gate.post(PATH, BODY) as answer:
            assert answer.status == 400
            assert "leave `background` out" in (await answer.json())["error"]["message"]

    with provider(lambda _: plain(WHOLE)) as opened:
        played(engine, opened, scene)
        assert opened.paths == []
    assert engine.holds() == []


@pytest.mark.parametrize("stream", [False, True])
def test_it_is_charged_when_it_is_whole(engine: budgets.Engine, stream: bool) -> None:
    def polls(number: int) -> Answered:
        # Still being written, out of order, and then whole.
        return plain(RUNNING) if number == 1 else plain({}, 503) if number == 2 else plain(WHOLE)

    async def scene(gate: Gate) -> None:
        async with gate.post(PATH, {**BODY, "stream": stream}) as answer:
            assert answer.status == 200
            await answer.read()
        assert len(engine.holds()) == 1
        assert await told(gate) == "charged"

    with provider(polls) as opened:
        played(engine, opened, scene, allow_background=True, patience=QUICK)
        assert opened.paths[1:] == ["/v1/responses/resp_1"] * 3
        assert opened.headers[1]["authorization"] == "Bearer sk-real"
    assert spent(engine) == COST
    assert engine.holds() == []


@pytest.mark.parametrize(
    ("last", "patience"),
    [
        pytest.param(plain({}, 404), QUICK, id="deleted"),
        pytest.param(plain(RUNNING), Patience(poll_seconds=0.01, background_seconds=0.1), id="never whole"),
        pytest.param(plain({"id": "resp_1", "status": "failed"}), QUICK, id="failed without usage"),
    ],
)
def test_what_nobody_knows_stays_held(engine: budgets.Engine, last: Answered, patience: Patience) -> None:
    async def scene(gate: Gate) -> str:
        body = {**BODY, "model": "gpt-5-mini", "max_output_tokens": 5_000}
        async with gate.post(PATH, body) as answer:
            await answer.read()
        return await told(gate)

    with provider(lambda _: last) as opened:
        assert played(engine, opened, scene, allow_background=True, patience=patience) == "unconfirmed"
    assert [hold.unconfirmed for hold in engine.holds()] == [True]
    assert spent(engine) == 0


def test_when_the_gateway_ends_it_stays_held(engine: budgets.Engine) -> None:
    async def scene(gate: Gate) -> None:
        async with gate.post(PATH, BODY) as answer:
            await answer.read()

    with provider(lambda _: plain(RUNNING)) as opened:
        played(engine, opened, scene, allow_background=True, patience=QUICK)
    assert [hold.unconfirmed for hold in engine.holds()] == [True]
    assert engine.check().faults == ()


def test_only_its_owner_may_see_it_and_cancel_it(engine: budgets.Engine) -> None:
    engine.create("bob", budgets.LimitTerms(budgets.parse_usd("1")))

    async def scene(gate: Gate) -> None:
        async with gate.post(PATH, BODY) as answer:
            await answer.read()
        for method, path in (("GET", ""), ("GET", "/input_items"), ("POST", "/cancel"), ("DELETE", "")):
            for key, status in ((KEY, 200), ("bk_bob", 404)):
                headers = {"authorization": f"Bearer {key}"}
                url = f"{gate.url}{PATH}/resp_1{path}"
                async with gate.session.request(method, url, headers=headers) as answer:
                    assert answer.status == status, (method, path, key)

    with provider(lambda _: plain(RUNNING)) as opened:
        played(engine, opened, scene, allow_background=True)
        assert len(opened.paths) == 1 + 4
