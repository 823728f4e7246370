"""`completion` and `acompletion`, over real HTTP to a provider on loopback."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import budgets
from budgets import acompletion, completion
from budgets.completing import litellm_upstream
from budgets.completing.answers import openai_reply, whole_chunks
from budgets.engine import Engine, LimitTerms
from budgets.errors import (
    BudgetExceededError,
    InvalidValueError,
    MissingKeyError,
    ProviderError,
    UnknownPriceError,
    UnknownUserError,
)
from budgets.money import parse_usd
from budgets.simulated import Fault
from tests.support.provider import LoopbackProvider, loopback_provider

MESSAGES = [{"role": "user", "content": "Hey, how's it going?"}]
MODELS = ["gpt-4o-mini", "claude-haiku-4-5"]


@pytest.fixture
def faults() -> list[Fault | None]:
    return []


@pytest.fixture
def provider(
    faults: list[Fault | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LoopbackProvider]:
    with loopback_provider(*faults) as found:
        for name, value in {
            "BUDGET_STORE": str(tmp_path / "budgets.sqlite"),
            "BUDGET_CONFIG": str(tmp_path / "config.toml"),
            "OPENAI_BASE_URL": f"{found.url}/v1",
            "ANTHROPIC_BASE_URL": found.url,
            "OPENAI_API_KEY": "sk-test",
            "ANTHROPIC_API_KEY": "sk-ant-test",
        }.items():
            monkeypatch.setenv(name, value)
        budgets.max_budget = None
        yield found
        budgets.max_budget = None


@pytest.fixture
def engine(provider: LoopbackProvider) -> Iterator[Engine]:
    with budgets.open_engine() as opened:
        opened.create("ann", LimitTerms(parse_usd("1")))
        yield opened


def spent(engine: Engine) -> int:
    return engine.status("ann").limits[0].totals.spent_nanos


@pytest.mark.parametrize("model", MODELS)
def test_a_reply_has_openais_shape(provider: LoopbackProvider, model: str) -> None:
    reply = completion(model, MESSAGES, max_tokens=50, temperature=0)
    assert reply.choices[0].message.content == reply["choices"][0]["message"]["content"]
    assert "simulated" in reply.choices[0].message.content
    assert reply.choices[0].finish_reason in ("stop", "length")
    assert reply.choices[0].message.tool_calls is None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0
    assert reply.model == model
    assert (provider.asked[0]["max_tokens"], provider.asked[0]["temperature"]) == (50, 0)
    assert "user" not in provider.asked[0]
    assert json.loads(reply.model_dump_json()) == reply.model_dump() == reply
    assert pickle.loads(pickle.dumps(reply)).choices[0].message == reply.choices[0].message
    with pytest.raises(AttributeError, match="no field nonsense"):
        reply.nonsense  # noqa: B018


@pytest.mark.parametrize("model", MODELS)
def test_with_a_user_it_is_booked_and_stamped(engine: Engine, model: str) -> None:
    reply = completion(model, MESSAGES, user="ann")
    charge = engine.entries("ann")[-1]
    assert reply.budget.charge_id == charge.id
    assert parse_usd(reply.budget.cost_usd) == charge.nanos == spent(engine) > 0


@pytest.mark.parametrize("dumped", [False, True])
def test_completing_and_then_updating_counts_once(engine: Engine, dumped: bool) -> None:
    reply = completion("gpt-4o-mini", MESSAGES, user="ann")
    once = spent(engine)
    manager = budgets.BudgetManager("default")
    for _ in range(2):
        manager.update_cost("ann", completion_obj=reply.model_dump() if dumped else reply)
    assert spent(engine) == once
    manager.create_budget(1, "ben")
    with pytest.raises(budgets.errors.ConflictError):
        manager.update_cost("ben", completion_obj=reply)
    manager.engine.close()


def test_without_a_user_it_is_not_booked_and_an_update_charges(engine: Engine) -> None:
    reply = completion("gpt-4o-mini", MESSAGES)
    assert reply.budget.charge_id is None
    assert spent(engine) == 0
    manager = budgets.BudgetManager("default")
    manager.update_cost("ann", completion_obj=reply)
    assert spent(engine) == parse_usd(reply.budget.cost_usd) > 0
    manager.engine.close()


def test_a_damaged_stamp_is_refused(engine: Engine) -> None:
    reply = completion("gpt-4o-mini", MESSAGES, user="ann").model_dump()
    del reply["budget"]["cost_usd"]
    manager = budgets.BudgetManager.on(engine)
    with pytest.raises(InvalidValueError, match="budget of the reply"):
        manager.update_cost("ann", completion_obj=reply)


@pytest.mark.parametrize("model", MODELS)
def test_chunks_come_as_they_arrive(engine: Engine, model: str) -> None:
    stream = completion(model, MESSAGES, user="ann", stream=True)
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert "simulated" in text
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    # Usage was asked for by the budget and not by the caller.
    assert all("usage" not in chunk and chunk.choices for chunk in chunks)
    assert stream.budget is not None
    assert parse_usd(stream.budget.cost_usd) == spent(engine) > 0
    assert list(stream) == []
    manager = budgets.BudgetManager.on(engine)
    once = spent(engine)
    manager.update_cost("ann", completion_obj=stream)
    assert spent(engine) == once


@pytest.mark.parametrize("model", MODELS)
def test_who_asks_for_usage_in_a_stream_gets_it(provider: LoopbackProvider, model: str) -> None:
    chunks = list(completion(model, MESSAGES, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert chunks[-1].usage.prompt_tokens > 0


@pytest.mark.parametrize("stream", [False, True])
def test_what_does_not_fit_is_refused_at_the_call_and_not_sent(
    provider: LoopbackProvider, stream: bool
) -> None:
    budgets.max_budget = 0.000001
    with pytest.raises(BudgetExceededError) as caught:
        completion("gpt-4o", MESSAGES, stream=stream)  # type: ignore[call-overload]
    assert caught.value.max_budget == 0.000001
    assert provider.asked == []
    assert budgets.current_cost == 0


def test_the_store_and_the_process_must_both_have_room(engine: Engine, provider: LoopbackProvider) -> None:
    engine.create("poor", LimitTerms(1_000))
    budgets.max_budget = 1
    with pytest.raises(BudgetExceededError) as caught:
        completion("gpt-4o", MESSAGES, user="poor")
    assert caught.value.values["limit_user"] == "poor"
    budgets.max_budget = 0
    with pytest.raises(BudgetExceededError, match="max_budget"):
        completion("gpt-4o", MESSAGES, user="ann")
    assert provider.asked == []
    assert engine.holds() == []
    budgets.max_budget = 1
    completion("gpt-4o-mini", MESSAGES, user="ann")
    assert budgets.current_cost.nanos == spent(engine) > 0  # type: ignore[attr-defined]


def test_the_cap_lowers_the_output_limit_to_what_it_buys(provider: LoopbackProvider) -> None:
    budgets.max_budget = 0.001
    reply = completion("gpt-4o-mini", MESSAGES)
    assert 256 <= provider.asked[0]["max_tokens"] < 8_192
    assert parse_usd(reply.budget.cost_usd) == budgets.current_cost.nanos  # type: ignore[attr-defined]


def answered(stream: bool) -> int:
    """What one call cost, in nanos; 0 where it was refused."""
    try:
        found: Any = completion(
            "gpt-4o-mini",
            MESSAGES,
            max_tokens=256,
            stream=stream,
            patience_seconds=0,  # type: ignore[call-overload]
        )
    except BudgetExceededError:
        return 0
    if stream:
        list(found)
    return parse_usd(found.budget.cost_usd)


@pytest.mark.parametrize("stream", [False, True])
def test_a_hundred_threads_do_not_pass_the_cap(provider: LoopbackProvider, stream: bool) -> None:
    provider.seconds = 0.2
    budgets.max_budget = 0.001
    with ThreadPoolExecutor(100) as pool:
        costs = list(pool.map(lambda _: answered(stream), range(100)))
    assert 1 <= sum(map(bool, costs)) == len(provider.asked) < 100
    assert sum(costs) == budgets.current_cost.nanos <= 1_000_000  # type: ignore[attr-defined]


@pytest.mark.parametrize("stream", [False, True])
def test_a_hundred_tasks_do_not_pass_the_cap(provider: LoopbackProvider, stream: bool) -> None:
    async def one() -> int:
        try:
            found = await acompletion(
                "gpt-4o-mini", MESSAGES, max_tokens=256, stream=stream, patience_seconds=0
            )
        except BudgetExceededError:
            return 0
        if stream:
            assert [chunk async for chunk in found]
        return parse_usd(found.budget.cost_usd)

    async def many() -> list[int]:
        return await asyncio.gather(*(one() for _ in range(100)))

    provider.seconds = 0.2
    budgets.max_budget = 0.001
    costs = asyncio.run(many())
    assert 1 <= sum(map(bool, costs)) == len(provider.asked) < 100
    assert sum(costs) == budgets.current_cost.nanos <= 1_000_000  # type: ignore[attr-defined]


def test_who_is_patient_uses_the_cap_up(provider: LoopbackProvider) -> None:
    provider.seconds = 0.05
    budgets.max_budget = 0.002
    with ThreadPoolExecutor(8) as pool:
        replies = list(
            pool.map(
                lambda _: completion("gpt-4o-mini", MESSAGES, max_tokens=2_000, patience_seconds=30), range(8)
            )
        )
    # Each may cost more than half of it, so they went one after another.
    assert len(replies) == 8


def test_it_blocks_inside_a_running_loop_as_well(engine: Engine) -> None:
    async def inside() -> Any:
        return completion("gpt-4o-mini", MESSAGES, user="ann")

    assert asyncio.run(inside()).budget.charge_id
    assert asyncio.run(acompletion("gpt-4o-mini", MESSAGES, user="ann")).budget.charge_id


def how_charged(engine: Engine) -> str:
    """How the last charge was counted, once no call is open any more."""
    for _ in range(600):
        if engine.holds() == []:
            break
        time.sleep(0.05)
    charge = engine.entries("ann")[-1]
    assert charge.kind == "charge"
    how: str = charge.detail["usage"]["how"]
    return how


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_that_is_broken_off_is_read_to_its_usage(
    engine: Engine, provider: LoopbackProvider, model: str
) -> None:
    provider.gap_seconds = 0.02
    with completion(model, MESSAGES, user="ann", stream=True) as stream:
        next(stream)
        next(stream)
    # The caller has gone on, while the rest is read.
    assert len(engine.holds()) == 1
    assert list(stream) == []
    assert how_charged(engine) == "reported"


@pytest.mark.parametrize("model", MODELS)
def test_what_takes_too_long_is_charged_as_far_as_it_came(
    engine: Engine, provider: LoopbackProvider, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("budgets.completing.completions.DRAIN_SECONDS", 0.1)
    provider.gap_seconds = 0.02
    stream = completion(model, MESSAGES, user="ann", stream=True)
    while not next(stream).choices[0].delta.content:
        pass
    provider.gap_seconds = 1
    stream.close()
    stream.close()
    assert how_charged(engine).startswith("estimated:")


def test_an_awaited_stream_outlives_its_loop(engine: Engine, provider: LoopbackProvider) -> None:
    async def some() -> None:
        async with await acompletion("gpt-4o-mini", MESSAGES, user="ann", stream=True) as stream:
            async for chunk in stream:
                if chunk.choices[0].delta.content:
                    break

    provider.gap_seconds = 0.02
    asyncio.run(some())
    assert how_charged(engine) == "reported"


def test_an_awaited_stream_that_is_forgotten_is_charged(engine: Engine, provider: LoopbackProvider) -> None:
    async def forgetful() -> Any:
        stream = await acompletion("gpt-4o-mini", MESSAGES, user="ann", stream=True)
        await anext(stream)
        return stream

    provider.gap_seconds = 0.02
    kept = asyncio.run(forgetful())
    assert how_charged(engine) == "reported"
    assert kept.budget is None


def test_a_timeout_and_a_cancelled_task_leave_nothing_open(
    engine: Engine, provider: LoopbackProvider
) -> None:
    provider.gap_seconds = 0.05
    stream = completion("gpt-4o-mini", MESSAGES, user="ann", stream=True, timeout=0.5)
    with pytest.raises(TimeoutError):
        list(stream)
    assert list(stream) == []

    async def cancelled() -> None:
        stream = await acompletion("gpt-4o-mini", MESSAGES, user="ann", stream=True)
        async with asyncio.timeout(0.3), stream:
            async for _ in stream:
                pass

    with pytest.raises(TimeoutError):
        asyncio.run(cancelled())
    assert how_charged(engine) == "reported"
    assert [entry.kind for entry in engine.entries("ann")].count("charge") == 2


@pytest.mark.parametrize("faults", [[Fault(status=400)]])
@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_of_the_provider_costs_nothing(engine: Engine, stream: bool) -> None:
    with pytest.raises(ProviderError, match="400"):
        completion("gpt-4o-mini", MESSAGES, user="ann", stream=stream)  # type: ignore[call-overload]
    assert spent(engine) == 0
    assert engine.holds() == []


@pytest.mark.parametrize("faults", [[Fault(cut_after_bytes=900)]])
def test_a_stream_that_is_cut_raises_and_is_charged(engine: Engine) -> None:
    before = budgets.current_cost.nanos  # type: ignore[attr-defined]
    stream = completion("gpt-4o-mini", MESSAGES, user="ann", stream=True)
    with pytest.raises(ProviderError):
        list(stream)
    assert budgets.current_cost.nanos - before == spent(engine) > 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("wants_usage", [False, True])
def test_a_plain_answer_to_a_stream_is_one_chunk(
    engine: Engine, provider: LoopbackProvider, model: str, wants_usage: bool
) -> None:
    provider.streams = False
    options = {"stream_options": {"include_usage": True}} if wants_usage else {}
    stream = completion(model, MESSAGES, user="ann", stream=True, **options)
    chunk, *more = list(stream)
    assert chunk.object == "chat.completion.chunk"
    assert "simulated" in chunk.choices[0].delta.content
    assert chunk.choices[0].delta.tool_calls is None
    assert chunk.choices[0].finish_reason == "stop"
    assert "message" not in chunk.choices[0]
    assert [each.choices for each in more] == [[]] * wants_usage
    assert all(each.usage.completion_tokens > 0 for each in more)
    assert parse_usd(stream.budget.cost_usd) == spent(engine) > 0


def test_tool_calls_of_a_plain_answer_are_numbered_as_in_a_stream() -> None:
    calls = [{"id": name, "type": "function", "function": {"name": name}} for name in "ab"]
    reply = {
        "id": "1",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"tool_calls": calls}}],
    }
    (chunk,) = whole_chunks(openai_reply(reply), None)
    assert [(call.index, call.id) for call in chunk.choices[0].delta.tool_calls] == [(0, "a"), (1, "b")]


@pytest.mark.parametrize("faults", [[Fault(cut_after_bytes=40)] * 3])
def test_what_nobody_knows_says_where_it_counts(engine: Engine) -> None:
    def hint(**how: Any) -> str:
        with pytest.raises(ProviderError) as caught:
            completion("gpt-4o-mini", MESSAGES, max_tokens=300, **how)
        return caught.value.hint or ""

    assert "budget holds settle" in hint(user="ann")
    assert hint().endswith("booked nowhere")
    budgets.max_budget = 1
    assert "budgets.max_budget" in hint()


@pytest.mark.parametrize("faults", [[Fault(cut_after_bytes=40)]])
def test_what_nobody_knows_counts_against_the_cap(provider: LoopbackProvider) -> None:
    budgets.max_budget = 0.001
    with pytest.raises(ProviderError):
        completion("gpt-4o-mini", MESSAGES, max_tokens=1_600)
    assert budgets.current_cost == 0
    with pytest.raises(BudgetExceededError) as caught:
        completion("gpt-4o-mini", MESSAGES, max_tokens=1_600)
    assert caught.value.values["unconfirmed_usd"] != "0.00"


def test_answers_can_be_sent_back(provider: LoopbackProvider) -> None:
    reply = completion("gpt-4o-mini", MESSAGES)
    completion("gpt-4o-mini", [*MESSAGES, reply.choices[0].message, *MESSAGES])
    assert provider.asked[1]["messages"][1].keys() >= {"role", "content"}
    assert "tool_calls" not in provider.asked[1]["messages"][1]


def test_a_conversation_is_said_in_anthropics_words(provider: LoopbackProvider) -> None:
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "Hey"}]},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Bye"},
    ]
    completion("claude-haiku-4-5", messages, max_completion_tokens=20, stop="x", top_p=0.5)
    (body,) = provider.asked
    assert body["system"] == "Be short."
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert (body["max_tokens"], body["stop_sequences"], body["top_p"]) == (20, ["x"], 0.5)
    assert provider.headers[0]["x-api-key"] == "sk-ant-test"


def test_what_cannot_be_meant_is_said_before_anything_is_sent(
    provider: LoopbackProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("budgets.completing.litellm_upstream.installed", lambda: False)
    with pytest.raises(InvalidValueError) as caught:
        completion("nobody/model", MESSAGES)
    assert "llm-budgets[litellm]" in (caught.value.hint or "")
    with pytest.raises(InvalidValueError, match="anthropic"):
        completion("claude-haiku-4-5", MESSAGES, tools=[{"type": "function", "function": {"name": "f"}}])
    with pytest.raises(UnknownPriceError):
        completion("gpt-unheard-of", MESSAGES)
    with pytest.raises(UnknownUserError):
        completion("gpt-4o-mini", MESSAGES, user="nobody")
    with pytest.raises(InvalidValueError):
        completion("gpt-4o-mini", [])
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(MissingKeyError, match="openai"):
        completion("gpt-4o-mini", MESSAGES)
    assert provider.asked == []


def test_a_key_and_an_address_may_be_given(provider: LoopbackProvider) -> None:
    completion("gpt-4o-mini", MESSAGES, api_key="sk-mine", base_url=f"{provider.url}/v1/")
    assert provider.headers[0]["authorization"] == "Bearer sk-mine"


def test_connections_are_kept_and_one_thread_serves_all(provider: LoopbackProvider) -> None:
    for _ in range(3):
        completion("gpt-4o-mini", MESSAGES)
    assert [thread.name for thread in threading.enumerate()].count("budgets-line") == 1


ENDS_AMID_A_STREAM = """
import budgets
stream = budgets.completion("gpt-4o-mini", [{"role": "user", "content": "Hey"}], user="ann", stream=True)
for chunk in stream:
    if chunk.choices[0].delta.content:
        break
"""


def test_a_program_that_ends_amid_a_stream_has_booked_what_came(
    engine: Engine, provider: LoopbackProvider
) -> None:
    provider.gap_seconds = 0.02
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", ENDS_AMID_A_STREAM],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert engine.entries("ann")[-1].detail["how"].startswith("estimated:")
    assert engine.holds() == []


def test_a_forked_child_has_a_line_of_its_own(engine: Engine) -> None:
    completion("gpt-4o-mini", MESSAGES, user="ann")
    # What forks is a process of its own, in which no other thread holds a lock.
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKS], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [entry.kind for entry in engine.entries("ann")].count("charge") == 3


FORKS = """
import os, budgets
messages = [{"role": "user", "content": "Hey"}]
budgets.completion("gpt-4o-mini", messages, user="ann")
child = os.fork()
if not child:
    budgets.completion("gpt-4o-mini", messages, user="ann")
    os._exit(0)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

THROUGH_LITELLM = """
import sys, budgets
told = {"user": "ann", "mock_response": "Three rivers."}
messages = [{"role": "user", "content": "Name three rivers"}]
assert "litellm" not in sys.modules
reply = budgets.completion("cohere_chat/command-r", messages, **told)
assert reply.choices[0].message.content == "Three rivers.", reply
assert reply.budget.charge_id
stream = budgets.completion("cohere_chat/command-r", messages, stream=True, **told)
assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "Three rivers."
assert stream.budget.charge_id
for failure, _ in (("litellm.RateLimitError", "429"), ("litellm.InternalServerError", "500")):
    try:
        budgets.completion("cohere_chat/command-r", messages, user="ann", mock_response=failure)
    except budgets.errors.ProviderError as error:
        print(error)
"""


def test_a_provider_that_is_not_spoken_goes_through_litellm(engine: Engine) -> None:
    if not litellm_upstream.installed():
        pytest.skip("litellm is not installed")
    # Its import takes seconds, and its warnings are its own.
    ended = subprocess.run(
        [sys.executable, "-c", THROUGH_LITELLM], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "429" in ended.stdout
    charges = [entry for entry in engine.entries("ann") if entry.kind == "charge"]
    assert [charge.model for charge in charges] == ["command-r"] * 2
    # Its mock counts 10 and 20 tokens, at $0.15 and $0.60 per million.
    assert charges[0].nanos == 10 * 150 + 20 * 600
    assert engine.status("ann").limits[0].totals.held_nanos == 0
