"""What LiteLLM calls, under a budget, with the real LiteLLM against a provider on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import budgets

ROOT = Path(__file__).parent.parent.parent

# In a process of its own: LiteLLM takes seconds to import, warns, and keeps state for the whole process.
PROGRAM = """
import asyncio, json, logging, sys, time
import litellm
import budgets
from budgets.simulated import Fault
from tests.support.sdk_provider import provider

litellm.suppress_debug_info = True
logging.disable(logging.ERROR)
MESSAGES = [{"role": "user", "content": "Tell me about holds."}]
story, store = sys.argv[1:]
faults = {
    # The SDK that LiteLLM uses tries again once, then LiteLLM does.
    "retried": [Fault(status=429)] * 2,
    "refused_by_provider": [Fault(status=400)],
    "failed": [Fault(status=500)],
}

def sums(engine, user):
    for _ in range(10 if story == "retried" else 500):
        if not [hold for hold in engine.holds() if not hold.unconfirmed]:
            break
        time.sleep(0.02)
    totals = engine.status(user).limits[0].totals
    kinds = [entry.kind for entry in engine.entries(user) if entry.kind in ("charge", "released", "overrun")]
    hows = [entry.detail["how"] for entry in engine.entries(user) if entry.kind == "charge"]
    return dict(spent=totals.spent_nanos, held=totals.held_nanos, unconfirmed=totals.unconfirmed_nanos,
                kinds=kinds, hows=hows, faults=len(engine.check().faults))

async def settled(engine):
    for _ in range(10 if story == "retried" else 500):
        if not [hold for hold in engine.holds() if not hold.unconfirmed]:
            return
        await asyncio.sleep(0.02)

with budgets.open_engine(store) as engine, provider(*faults.get(story, [])) as far:
    user = "poor" if "refused" in story and "provider" not in story else "ann"
    engine.create(user, budgets.LimitTerms(1_000 if user == "poor" else 10**9))
    litellm.callbacks = [budgets.litellm_callback(engine, user=user)]
    how = dict(model="gpt-4o-mini", messages=MESSAGES, api_base=far.url + "/v1", api_key="sk", max_retries=0)
    said = None

    async def ask(**more):
        reply = await litellm.acompletion(**how, **more)
        if more.get("stream"):
            assert [chunk async for chunk in reply if chunk.choices]
        await settled(engine)

    async def embed():
        where = dict(api_base=far.url + "/v1", api_key="sk")
        await litellm.aembedding("text-embedding-3-small", input=["a"], **where)
        await settled(engine)

    async def claude():
        await litellm.acompletion("anthropic/claude-haiku-4-5", MESSAGES, api_base=far.url, api_key="sk")
        await settled(engine)

    async def picture():
        await litellm.aimage_generation("a river", model="openai/gpt-image-1", api_base=far.url, api_key="sk")

    async def failing():
        try:
            await ask()
        finally:
            await settled(engine)

    try:
        match story:
            case "async": asyncio.run(ask())
            case "async_stream": asyncio.run(ask(stream=True))
            case "async_refused": asyncio.run(ask())
            case "async_refused_retries": asyncio.run(ask(num_retries=3))
            case "retried": asyncio.run(ask(num_retries=1))
            case "refused_by_provider" | "failed": asyncio.run(failing())
            case "blocking": litellm.completion(**how)
            case "blocking_stream": list(litellm.completion(**how, stream=True))
            case "blocking_refused": litellm.completion(**how)
            case "embedding": asyncio.run(embed())
            case "anthropic": asyncio.run(claude())
            case "picture": asyncio.run(picture())
    except budgets.BudgetError as error:
        said = error.code
    except Exception as error:
        said = type(error).__name__
    if story == "blocking_refused":
        for _ in range(500):
            if [entry for entry in engine.entries(user) if entry.kind == "charge"]:
                break
            time.sleep(0.02)
    asked = [body for _, body in far.asked]
    limits = [body.get("max_tokens") for body in asked]
    print(json.dumps(dict(said=said, calls=len(asked), limits=limits, **sums(engine, user))))
"""


def told(story: str, folder: Path) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, story, str(folder / "budgets.sqlite")],
        cwd=ROOT,
        env={
            **os.environ,
            "BUDGET_CONFIG": str(folder / "config.toml"),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["faults"] == 0
    return dict(found)


@pytest.mark.parametrize("story", ["async", "async_stream", "blocking", "embedding", "anthropic"])
def test_a_call_is_charged_once_what_was_reported(story: str, tmp_path: Path) -> None:
    found = told(story, tmp_path)
    assert found["said"] is None
    assert found["held"] == 0
    assert found["kinds"] == ["charge"]
    assert found["hows"] == ["reported"]
    assert found["spent"] > 0
    if story.startswith("async"):
        assert found["limits"] == [8_192]


def test_a_blocking_stream_is_charged_at_our_own_count(tmp_path: Path) -> None:
    """LiteLLM reports no tokens at all for it, which is not what the provider bills."""
    found = told("blocking_stream", tmp_path)
    assert found["kinds"] == ["charge"]
    assert found["hows"][0].startswith("estimated:")
    assert found["spent"] > 0


@pytest.mark.parametrize("story", ["async_refused", "async_refused_retries"])
def test_an_async_call_that_does_not_fit_is_not_made(story: str, tmp_path: Path) -> None:
    found = told(story, tmp_path)
    assert found["said"] == "budget_exceeded"
    assert found["calls"] == found["spent"] == found["held"] == 0


def test_a_blocking_call_that_does_not_fit_is_made_and_shown(tmp_path: Path) -> None:
    found = told("blocking_refused", tmp_path)
    assert found["calls"] == 1
    assert found["kinds"] == ["charge", "overrun"]


def test_a_try_that_litellm_makes_again_by_itself_is_held_and_ends_unconfirmed(tmp_path: Path) -> None:
    """Of the outcome of its own `num_retries` LiteLLM tells nobody."""
    found = told("retried", tmp_path)
    assert found["said"] is None
    assert found["calls"] == 3
    assert found["kinds"] == ["released"]
    assert found["held"] > 0
    with budgets.open_engine(tmp_path / "budgets.sqlite") as engine:
        assert [hold.nanos for hold in engine.expire()] == [found["held"]]


def test_a_call_that_the_provider_refused_costs_nothing(tmp_path: Path) -> None:
    found = told("refused_by_provider", tmp_path)
    assert found["said"] == "BadRequestError"
    assert found["kinds"] == ["released"]
    assert found["held"] == 0


def test_a_call_that_failed_there_stays_unconfirmed(tmp_path: Path) -> None:
    found = told("failed", tmp_path)
    assert found["said"] == "InternalServerError"
    assert found["unconfirmed"] > 0


def test_what_cannot_be_metered_is_refused(tmp_path: Path) -> None:
    found = told("picture", tmp_path)
    assert found["said"] == "invalid_value"
    assert found["calls"] == 0
