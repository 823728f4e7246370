"""The official SDKs' clients under a budget, against a provider on loopback in the true wire format."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import anthropic
import httpx
import openai
import pytest

import budgets
from budgets import doors, process_cap
from budgets.errors import InvalidValueError, UnknownPriceError, UnknownUserError
from budgets.records import Totals
from budgets.simulated import Fault
from tests.support.programs import Where, opened
from tests.support.sdk_provider import Provider, provider

MESSAGES: list[Any] = [{"role": "user", "content": "Tell me about holds."}]
CHAT = {"model": "gpt-4o-mini", "messages": MESSAGES}
MESSAGE = {"model": "claude-haiku-4-5", "messages": MESSAGES, "max_tokens": 200}


@pytest.fixture(params=get_args(Where))
def engine(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[budgets.MeteringEngine]:
    with opened(tmp_path, request.param) as found:
        found.create("ann", budgets.LimitTerms(budgets.parse_usd("1")))
        found.create("poor", budgets.LimitTerms(1_000))
        yield found


@pytest.fixture
def far() -> Iterator[Provider]:
    with provider() as found:
        yield found


def totals(engine: budgets.MeteringEngine, user: str = "ann") -> Totals:
    return engine.status(user).limits[0].totals


def kinds(engine: budgets.MeteringEngine) -> list[str]:
    return [entry.kind for entry in engine.entries("ann") if entry.kind in ("charge", "released")]


def openai_client(
    far: Provider, engine: budgets.MeteringEngine, *, user: str = "ann", **how: Any
) -> openai.OpenAI:
    return budgets.meter(
        openai.OpenAI(api_key="sk", base_url=f"{far.url}/v1", **how), user=user, engine=engine
    )


def anthropic_client(
    far: Provider, engine: budgets.MeteringEngine, *, user: str = "ann", **how: Any
) -> anthropic.Anthropic:
    return budgets.meter(anthropic.Anthropic(api_key="sk", base_url=far.url, **how), user=user, engine=engine)


def one_charge(engine: budgets.MeteringEngine) -> None:
    (charge,) = (entry for entry in engine.entries("ann") if entry.kind == "charge")
    assert charge.detail["usage"]["how"] == "reported"
    assert totals(engine).spent_nanos == charge.nanos > 0
    assert totals(engine).held_nanos == totals(engine).unconfirmed_nanos == 0
    assert engine.check().faults == ()


def test_a_chat_is_charged_what_was_reported(engine: budgets.MeteringEngine, far: Provider) -> None:
    with openai_client(far, engine) as client:
        reply = client.chat.completions.create(**CHAT)
    assert "simulated" in (reply.choices[0].message.content or "")
    one_charge(engine)
    # Nobody had set an output limit.
    assert far.asked[0][1]["max_tokens"] == 8_192


def test_a_streamed_chat_reads_as_it_does_without_a_budget(
    engine: budgets.MeteringEngine, far: Provider
) -> None:
    plain = openai.OpenAI(api_key="sk", base_url=f"{far.url}/v1")
    with plain, openai_client(far, engine) as client:
        bare, metered = (
            [chunk.choices[0].delta.content for chunk in each.chat.completions.create(**CHAT, stream=True)]
            for each in (plain, client)
        )
    assert metered == bare
    assert far.asked[1][1]["stream_options"] == {"include_usage": True}
    one_charge(engine)


def test_a_program_that_asks_for_usage_gets_it(engine: budgets.MeteringEngine, far: Provider) -> None:
    with openai_client(far, engine) as client:
        asked = client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True})
        last = list(asked)[-1]
    assert last.usage is not None
    assert last.choices == []
    one_charge(engine)


@pytest.mark.parametrize("stream", [False, True])
def test_responses_are_charged(engine: budgets.MeteringEngine, far: Provider, stream: bool) -> None:
    with openai_client(far, engine) as client:
        found = client.responses.create(model="gpt-4o-mini", input="hello", stream=stream)
        if stream:
            assert [event.type for event in found][-1] == "response.completed"
    one_charge(engine)
    assert far.asked[0][1]["max_output_tokens"] == 8_192


def test_embeddings_are_charged(engine: budgets.MeteringEngine, far: Provider) -> None:
    with openai_client(far, engine) as client:
        client.embeddings.create(model="text-embedding-3-small", input="hello", encoding_format="float")
    one_charge(engine)


def test_messages_are_charged(engine: budgets.MeteringEngine, far: Provider) -> None:
    with anthropic_client(far, engine) as client:
        client.messages.create(**MESSAGE)
    one_charge(engine)


def test_streamed_messages_are_charged(engine: budgets.MeteringEngine, far: Provider) -> None:
    with anthropic_client(far, engine) as client, client.messages.stream(**MESSAGE) as stream:
        assert "simulated" in stream.get_final_text()
    one_charge(engine)


@pytest.mark.parametrize("stream", [False, True])
def test_async_clients_are_charged(engine: budgets.MeteringEngine, far: Provider, stream: bool) -> None:
    async def main() -> None:
        bare = openai.AsyncOpenAI(api_key="sk", base_url=f"{far.url}/v1")
        async with budgets.meter(bare, user="ann", engine=engine) as client:
            found = await client.chat.completions.create(**CHAT, stream=stream)
            if stream:
                assert all([chunk.choices async for chunk in found])
        one_charge(engine)
        other = anthropic.AsyncAnthropic(api_key="sk", base_url=far.url)
        async with budgets.meter(other, user="ann", engine=engine) as client:
            said = await client.messages.create(**MESSAGE, stream=stream)
            if stream:
                assert [event.type async for event in said][-1] == "message_stop"

    asyncio.run(main())
    assert kinds(engine) == ["charge", "charge"]
    assert engine.holds() == []


def test_what_does_not_fit_is_raised_as_it_is_and_asked_once(
    engine: budgets.MeteringEngine, far: Provider
) -> None:
    """The SDKs wrap what a transport raises, and try again; a refusal must come through both."""
    with openai_client(far, engine, user="poor", max_retries=3) as client:
        for ask in (client, client.with_options(timeout=9)):
            with pytest.raises(budgets.BudgetExceededError, match="poor has") as caught:
                ask.chat.completions.create(**CHAT)
            assert caught.value.values["user"] == "poor"
        with pytest.raises(budgets.BudgetExceededError):
            client.chat.completions.create(**CHAT, stream=True)
        with pytest.raises(budgets.BudgetExceededError):
            client.chat.completions.with_raw_response.create(**CHAT)
    with anthropic_client(far, engine, user="poor", max_retries=3) as other:
        with pytest.raises(budgets.BudgetExceededError):
            other.messages.create(**MESSAGE)
        with pytest.raises(budgets.BudgetExceededError), other.messages.stream(**MESSAGE):
            pass
    assert far.asked == []
    assert engine.holds() == []


def test_an_async_refusal_too(engine: budgets.MeteringEngine, far: Provider) -> None:
    async def main() -> None:
        bare = openai.AsyncOpenAI(api_key="sk", base_url=f"{far.url}/v1")
        async with budgets.meter(bare, user="poor", engine=engine) as client:
            with pytest.raises(budgets.BudgetExceededError):
                await client.chat.completions.create(**CHAT)
        other = anthropic.AsyncAnthropic(api_key="sk", base_url=far.url)
        async with budgets.meter(other, user="poor", engine=engine) as client:
            with pytest.raises(budgets.BudgetExceededError):
                await client.messages.create(**MESSAGE)

    asyncio.run(main())
    assert far.asked == []


def test_an_unpriced_model_is_refused_before_it_is_sent(
    engine: budgets.MeteringEngine, far: Provider
) -> None:
    with openai_client(far, engine) as client, pytest.raises(UnknownPriceError):
        client.chat.completions.create(model="gpt-unheard-of", messages=MESSAGES)
    assert far.asked == []


@pytest.mark.parametrize("status", [429, 500])
def test_a_try_that_the_provider_refused_costs_nothing(engine: budgets.MeteringEngine, status: int) -> None:
    with provider(Fault(status=status)) as far, openai_client(far, engine, max_retries=1) as client:
        client.chat.completions.create(**CHAT)
        assert len(far.asked) == 2
    assert kinds(engine) == ["released", "charge"]
    one_charge(engine)


def test_a_refusal_of_the_provider_is_the_sdks_own_error(engine: budgets.MeteringEngine) -> None:
    with (
        provider(Fault(status=400)) as far,
        openai_client(far, engine) as client,
        pytest.raises(openai.BadRequestError, match="this failure is simulated"),
    ):
        client.chat.completions.create(**CHAT)
    assert totals(engine).taken_nanos == 0
    assert kinds(engine) == ["released"]


def test_a_provider_that_was_never_reached_costs_nothing(
    engine: budgets.MeteringEngine, far: Provider
) -> None:
    far.close()
    with openai_client(far, engine, max_retries=0) as client, pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(**CHAT)
    assert kinds(engine) == ["released"]


def test_an_answer_that_breaks_off_stays_held_unconfirmed(
    engine: budgets.MeteringEngine, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        provider(Fault(cut_after_bytes=40)) as far,
        openai_client(far, engine, max_retries=0) as client,
        pytest.raises(openai.APIConnectionError),
    ):
        client.chat.completions.create(**CHAT)
    assert totals(engine).unconfirmed_nanos > 0
    assert totals(engine).held_nanos == 0
    assert "budget holds settle" in caplog.text


@pytest.mark.parametrize("closed", ["close", "response", "drop"])
def test_a_stream_that_is_closed_early_is_charged_for_what_came(
    engine: budgets.MeteringEngine, far: Provider, closed: str
) -> None:
    far.pause()
    with openai_client(far, engine) as client:
        stream = client.chat.completions.create(**CHAT, stream=True)
        assert next(chunk for chunk in stream if chunk.choices[0].delta.content)
        if closed == "close":
            stream.close()
        elif closed == "response":
            stream.response.close()
        else:
            del stream
            gc.collect()
        (charge,) = (entry for entry in engine.entries("ann") if entry.kind == "charge")
    assert charge.detail["how"].startswith("estimated:")
    assert engine.holds() == []


def test_an_async_stream_that_is_closed_early_is_charged(
    engine: budgets.MeteringEngine, far: Provider
) -> None:
    async def main() -> None:
        bare = openai.AsyncOpenAI(api_key="sk", base_url=f"{far.url}/v1")
        async with budgets.meter(bare, user="ann", engine=engine) as client:
            stream = await client.chat.completions.create(**CHAT, stream=True)
            async with stream:
                async for chunk in stream:
                    if chunk.choices[0].delta.content:
                        break

    asyncio.run(main())
    assert kinds(engine) == ["charge"]
    assert engine.holds() == []


def test_an_async_call_that_is_cancelled_is_written_down(
    engine: budgets.MeteringEngine, far: Provider
) -> None:
    far.pause()

    async def main() -> None:
        bare = openai.AsyncOpenAI(api_key="sk", base_url=f"{far.url}/v1")
        async with budgets.meter(bare, user="ann", engine=engine) as client:

            async def read() -> None:
                async for chunk in await client.chat.completions.create(**CHAT, stream=True):
                    if chunk.choices[0].delta.content:
                        begun.set()

            begun = asyncio.Event()
            task = asyncio.create_task(read())
            await asyncio.wait_for(begun.wait(), 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert kinds(engine) == ["charge"]
    assert engine.holds() == []


@pytest.mark.parametrize("grouped", [False, True])
def test_of_a_hundred_tasks_exactly_those_pass_that_fit(tmp_path: Path, far: Provider, grouped: bool) -> None:
    request = {**CHAT, "max_tokens": 500}

    async def main(engine: budgets.MeteringEngine) -> list[str]:
        bare = openai.AsyncOpenAI(api_key="sk", base_url=f"{far.url}/v1")
        async with budgets.meter(bare, user="ann", engine=engine) as client:
            # No answer ends before all have asked, so that no hold makes room for another.
            far.pause()

            async def ask() -> str:
                try:
                    stream = await client.chat.completions.create(**request, stream=True)
                except budgets.BudgetExceededError as error:
                    return error.code
                answered.append(stream)
                return "answered"

            answered: list[Any] = []
            said = await asyncio.gather(*(ask() for _ in range(100)))
            far.go_on()
            for stream in answered:
                assert [chunk async for chunk in stream]
            return said

    with budgets.open_engine(tmp_path / "many.sqlite", grouped=grouped) as engine:
        engine.create("ann")
        with engine.holding("ann", request) as hold:
            assert hold.quote is not None
            most = hold.quote.most_nanos
            hold.release()
        engine.change("ann", budgets.Change(total_nanos=10 * most))
        said = asyncio.run(main(engine))
        assert said.count("answered") == 10
        assert said.count("busy") == 90
        assert len(far.asked) == 10
        assert engine.holds() == []
        assert engine.check().faults == ()


def test_of_a_hundred_threads_exactly_those_pass_that_fit(
    engine: budgets.MeteringEngine, far: Provider
) -> None:
    request = {**CHAT, "max_tokens": 500}
    with engine.holding("ann", request) as hold:
        assert hold.quote is not None
        most = hold.quote.most_nanos
        hold.release()
    engine.create("ten", budgets.LimitTerms(10 * most))
    far.pause()
    with openai_client(far, engine, user="ten") as client, ThreadPoolExecutor(20) as threads:

        def ask(_: int) -> Any:
            try:
                return client.chat.completions.create(**request, stream=True)
            except budgets.BudgetBusyError as error:
                return error.code

        said = list(threads.map(ask, range(100)))
        far.go_on()
        answered = [each for each in said if not isinstance(each, str)]
        assert len(answered) == 10
        assert all(list(stream) for stream in answered)
    assert len(far.asked) == 10
    assert engine.holds() == []


def test_what_costs_nothing_passes(engine: budgets.MeteringEngine, far: Provider) -> None:
    with openai_client(far, engine, user="poor") as client:
        assert [model.id for model in client.models.list()] == ["gpt-4o-mini"]
    with anthropic_client(far, engine, user="poor") as other:
        counted = other.messages.count_tokens(model="claude-haiku-4-5", messages=MESSAGES)
        assert counted.input_tokens == 7
    assert len(far.asked) == 2


def test_what_cannot_be_metered_is_refused(engine: budgets.MeteringEngine, far: Provider) -> None:
    with openai_client(far, engine) as client:
        with pytest.raises(InvalidValueError, match="/v1/audio/transcriptions cannot be metered"):
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"RIFF"))
        with pytest.raises(InvalidValueError, match="/v1/batches"):
            client.batches.create(completion_window="24h", endpoint="/v1/chat/completions", input_file_id="f")
        with pytest.raises(InvalidValueError, match="/v1/images/variations"):
            client.images.create_variation(image=("a.png", b"png"))
    assert far.asked == []


def test_a_client_of_ones_own_keeps_what_it_was_set_to(engine: budgets.MeteringEngine, far: Provider) -> None:
    seen: list[str] = []
    own = httpx.Client(
        headers={"x-team": "blue"}, event_hooks={"request": [lambda r: seen.append(r.headers["x-team"])]}
    )
    bare = openai.OpenAI(api_key="sk", base_url=f"{far.url}/v1", http_client=own)
    with budgets.meter(bare, user="ann", engine=engine) as client:
        client.chat.completions.create(**CHAT)
    assert seen == ["blue"]
    assert own.is_closed


def test_an_engine_of_its_own_has_the_settings_of_the_command_line(
    tmp_path: Path, far: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDGET_STORE", str(tmp_path / "own.sqlite"))
    monkeypatch.setenv("BUDGET_CONFIG", str(tmp_path / "config.toml"))
    with budgets.open_engine() as engine:
        engine.create("ann", budgets.LimitTerms(budgets.parse_usd("1")))
        bare = openai.OpenAI(api_key="sk", base_url=f"{far.url}/v1")
        with budgets.meter(bare, user="ann") as client:
            client.chat.completions.create(**CHAT)
        one_charge(engine)


def test_a_client_may_become_garbage_in_the_middle_of_a_transaction(
    tmp_path: Path, far: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDGET_STORE", str(tmp_path / "own.sqlite"))
    monkeypatch.setenv("BUDGET_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setattr(doors, "_LONGEST_WAIT_SECONDS", 0.05)
    with budgets.open_engine() as engine:
        engine.create("ann", budgets.LimitTerms(budgets.parse_usd("1")))
        client = budgets.meter(openai.OpenAI(api_key="sk", base_url=f"{far.url}/v1"), user="ann")
        client.chat.completions.create(**CHAT)
        with engine.store.transaction("default") as txn:
            (lease,) = txn.leases()
            client.close()
            del client
            gc.collect()
            # Its engine has to wait for the end of this, and this does not wait for the engine.
            assert txn.leases() == [lease]
        for thread in threading.enumerate():
            if thread.name == "budgets-close":
                thread.join()
        with engine.store.reading("default") as view:
            assert view.leases() == []
        one_charge(engine)


def test_meter_refuses_what_it_cannot_meter(engine: budgets.MeteringEngine, far: Provider) -> None:
    with pytest.raises(InvalidValueError, match="no client"):
        budgets.meter(object(), user="ann", engine=engine)
    with openai_client(far, engine) as client, pytest.raises(InvalidValueError, match="metered already"):
        budgets.meter(client, user="ann", engine=engine)
    with openai.OpenAI(api_key="sk") as bare:
        with pytest.raises(UnknownUserError):
            budgets.meter(bare, user="nobody", engine=engine)
        with pytest.raises(InvalidValueError, match="not a provider"):
            budgets.meter(bare, user="ann", engine=engine, provider="nobody")


def test_a_store_that_fails_after_the_answer_does_not_cost_the_answer(
    engine: budgets.MeteringEngine,
    far: Provider,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: Any) -> None:
        raise budgets.errors.StoreError("no space is left")

    with openai_client(far, engine) as client:
        monkeypatch.setattr(engine, "settle", full)
        assert client.chat.completions.create(**CHAT).choices
    assert len(far.asked) == 1
    assert totals(engine).held_nanos > 0
    assert [record.levelno for record in caplog.records if "not written" in record.message] == [
        logging.CRITICAL
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_the_cap_of_the_process_holds_too(
    engine: budgets.MeteringEngine, far: Provider, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    request = {**CHAT, "max_tokens": 500}
    with openai_client(far, engine) as client:
        monkeypatch.setattr(process_cap, "_count", process_cap._Count(None))
        budgets.max_budget = 0.001
        try:
            list(client.chat.completions.create(**request, stream=stream))
            assert budgets.current_cost == totals(engine).spent_nanos / 1e9 > 0
            budgets.max_budget = 0.0001
            with pytest.raises(budgets.BudgetExceededError, match="max_budget"):
                client.chat.completions.create(**request, stream=stream)
        finally:
            budgets.max_budget = None
    assert len(far.asked) == 1
    assert engine.holds() == []
