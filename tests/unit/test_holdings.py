"""Calls that a program makes itself: held before a block, settled in it, and never lost sight of."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import anthropic
import openai
import pytest

import budgets
from budgets.errors import InvalidValueError, UnknownUserError, UnreadableReplyError
from budgets.records import Totals
from tests.support.programs import Where, opened
from tests.support.sdk_provider import Provider, provider

MESSAGES: list[Any] = [{"role": "user", "content": "Tell me about holds."}]
CHAT = {"model": "gpt-4o-mini", "messages": MESSAGES}
MESSAGE = {"model": "claude-haiku-4-5", "messages": MESSAGES, "max_tokens": 200}
REPLY = {
    "model": "gpt-4o-mini",
    "choices": [],
    "usage": {"prompt_tokens": 1_000, "completion_tokens": 100},
}
# 1,000 x $0.15 and 100 x $0.60 for a million tokens.
REPLY_NANOS = 150_000 + 60_000


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


def test_what_is_held_is_settled_to_what_it_cost(engine: budgets.MeteringEngine) -> None:
    with engine.holding("ann", CHAT) as hold:
        assert hold.request == {**CHAT, "max_tokens": 8_192}
        assert hold.quote is not None
        assert totals(engine).held_nanos == hold.quote.most_nanos
        receipt = hold.settle(REPLY)
    assert receipt.nanos == totals(engine).spent_nanos == REPLY_NANOS
    assert receipt == hold.receipt
    assert receipt.entry.id == hold.id
    assert totals(engine).held_nanos == 0


def test_what_does_not_fit_does_not_enter(engine: budgets.MeteringEngine) -> None:
    with pytest.raises(budgets.BudgetExceededError), engine.holding("poor", CHAT):
        pytest.fail("it was entered")
    assert engine.holds() == []


@pytest.mark.parametrize(
    ("request_", "ask"),
    [
        pytest.param(CHAT, lambda o, _a, r: o.chat.completions.create(**r), id="chat"),
        pytest.param(
            {"model": "gpt-4o-mini", "input": "hello"},
            lambda o, _a, r: o.responses.create(**r),
            id="responses",
        ),
        pytest.param(
            {"model": "text-embedding-3-small", "input": "hello", "encoding_format": "float"},
            lambda o, _a, r: o.embeddings.create(**r),
            id="embeddings",
        ),
        pytest.param(MESSAGE, lambda _o, a, r: a.messages.create(**r), id="messages"),
    ],
)
def test_an_sdks_reply_is_read_by_its_shape(
    engine: budgets.MeteringEngine, far: Provider, request_: dict[str, Any], ask: Any
) -> None:
    with (
        openai.OpenAI(api_key="sk", base_url=f"{far.url}/v1") as one,
        anthropic.Anthropic(api_key="sk", base_url=far.url) as other,
        engine.holding("ann", request_) as hold,
    ):
        receipt = hold.settle(ask(one, other, hold.request))
    assert receipt.entry.detail["usage"]["how"] == "reported"
    assert receipt.nanos > 0


def test_a_litellm_request_names_its_provider_in_front(engine: budgets.MeteringEngine) -> None:
    """LiteLLM speaks OpenAI's format to its callers, whoever serves the model."""
    request = {"model": "anthropic/claude-haiku-4-5", "messages": MESSAGES}
    with engine.holding("ann", request) as hold:
        # $1 and $5 for a million tokens.
        assert hold.settle({**REPLY, "model": "claude-haiku-4-5"}).nanos == 1_000_000 + 500_000


def test_a_watched_stream_is_charged_at_its_end(engine: budgets.MeteringEngine, far: Provider) -> None:
    with (
        openai.OpenAI(api_key="sk", base_url=f"{far.url}/v1") as client,
        engine.holding("ann", {**CHAT, "stream": True}) as hold,
    ):
        texts = [
            chunk.choices[0].delta.content
            for chunk in hold.watch(client.chat.completions.create(**hold.request))
        ]
    assert any(texts)
    assert hold.receipt is not None
    assert hold.receipt.entry.detail["usage"]["how"] == "reported"


def test_a_watched_stream_of_messages_too(engine: budgets.MeteringEngine, far: Provider) -> None:
    with (
        anthropic.Anthropic(api_key="sk", base_url=far.url) as client,
        engine.holding("ann", {**MESSAGE, "stream": True}) as hold,
    ):
        assert list(hold.watch(client.messages.create(**hold.request)))
    assert hold.receipt is not None
    assert hold.receipt.entry.detail["usage"]["how"] == "reported"


def test_a_watched_stream_that_is_left_early_is_charged_for_what_came(
    engine: budgets.MeteringEngine, far: Provider
) -> None:
    far.pause()
    with (
        openai.OpenAI(api_key="sk", base_url=f"{far.url}/v1") as client,
        engine.holding("ann", {**CHAT, "stream": True}) as hold,
    ):
        for chunk in hold.watch(client.chat.completions.create(**hold.request)):
            if chunk.choices[0].delta.content:
                break
    far.go_on()
    assert hold.receipt is not None
    assert hold.receipt.entry.detail["how"].startswith("estimated:")


def test_the_async_twin(engine: budgets.MeteringEngine, far: Provider) -> None:
    async def main() -> None:
        async with openai.AsyncOpenAI(api_key="sk", base_url=f"{far.url}/v1") as client:
            async with engine.holding("ann", CHAT) as hold:
                receipt = await hold.settle(await client.chat.completions.create(**hold.request))
            assert receipt.nanos > 0
            async with engine.holding("ann", {**CHAT, "stream": True}) as hold:
                stream = await client.chat.completions.create(**hold.request)
                assert [chunk async for chunk in hold.watch(stream)]
            assert hold.receipt is not None
            async with engine.holding("ann", 5) as hold:
                await hold.release()
            async with engine.holding("ann", {**CHAT, "stream": True}) as hold:
                stream = await client.chat.completions.create(**hold.request)
                async for chunk in hold.watch(stream):
                    if chunk.choices[0].delta.content:
                        break

    asyncio.run(main())
    assert engine.holds() == []


def test_an_amount_can_be_held(engine: budgets.MeteringEngine) -> None:
    with engine.holding("ann", 500, model="a-plotter") as hold:
        assert hold.request == {}
        assert hold.quote is None
        assert totals(engine).held_nanos == 500
        assert hold.settle(300).entry.model == "a-plotter"
    with engine.holding("ann", 500) as hold:
        hold.settle(budgets.Charge(200, "b-plotter", how="amount"))
    with engine.holding("ann", 500_000) as hold:
        hold.settle(REPLY)
    assert totals(engine).spent_nanos == 500 + REPLY_NANOS


def test_a_block_that_does_not_settle_stays_held_unconfirmed(
    engine: budgets.MeteringEngine, caplog: pytest.LogCaptureFixture
) -> None:
    with engine.holding("ann", 500):
        pass
    assert totals(engine).unconfirmed_nanos == 500
    assert "a call of ann: its block ended without settling" in caplog.text
    assert "budget holds settle" in caplog.text


class RefusedError(Exception):
    def __init__(self, status_code: int | None) -> None:
        self.status_code = status_code


@pytest.mark.parametrize(
    ("error", "unconfirmed"),
    [
        pytest.param(RefusedError(400), 0, id="400"),
        pytest.param(RefusedError(429), 0, id="429"),
        pytest.param(RefusedError(408), 500, id="time-out"),
        pytest.param(RefusedError(500), 500, id="500"),
        pytest.param(RefusedError(None), 500, id="no-status"),
        pytest.param(KeyError("x"), 500, id="another"),
    ],
)
def test_an_exception_lets_go_only_where_the_provider_refused(
    engine: budgets.MeteringEngine, error: Exception, unconfirmed: int
) -> None:
    with pytest.raises(type(error)), engine.holding("ann", 500):
        raise error
    assert totals(engine).unconfirmed_nanos == unconfirmed
    assert totals(engine).held_nanos == 0


def test_a_program_that_knows_better_lets_go(engine: budgets.MeteringEngine) -> None:
    def work() -> None:
        with engine.holding("ann", 500) as hold:
            hold.release("nothing was sent")
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert engine.holds() == []


def test_a_reply_that_does_not_say_what_it_used(engine: budgets.MeteringEngine) -> None:
    """A plain model's answer is counted here; of one that thinks unseen, nobody knows."""
    with engine.holding("ann", CHAT) as hold:
        said = hold.settle({"model": "gpt-4o-mini", "choices": [{"message": {"content": "a river"}}]})
    assert said.entry.detail["how"].startswith("estimated:")
    with (
        pytest.raises(UnreadableReplyError) as caught,
        engine.holding("ann", {**CHAT, "model": "gpt-5-mini"}) as hold,
    ):
        hold.settle({"model": "gpt-5-mini", "choices": []})
    assert "holds settle" in (caught.value.hint or "")
    assert totals(engine).unconfirmed_nanos > 0


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param("a river", id="text"),
        pytest.param(None, id="nothing"),
        pytest.param(True, id="truth"),
        pytest.param(1.5, id="float"),
    ],
)
def test_what_is_no_reply_is_said(engine: budgets.MeteringEngine, reply: object) -> None:
    with pytest.raises(InvalidValueError, match="is no reply"), engine.holding("ann", CHAT) as hold:
        hold.settle(reply)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        pytest.param("5", "neither a request nor an amount", id="text"),
        pytest.param(True, "neither a request nor an amount", id="truth"),
        pytest.param({"messages": MESSAGES}, "does not name its model", id="no-model"),
        pytest.param({**CHAT, "model": "llama-3"}, "does not say who serves it", id="whose"),
    ],
)
def test_what_cannot_be_held_is_said(engine: budgets.MeteringEngine, wanted: Any, words: str) -> None:
    with pytest.raises(InvalidValueError, match=words):
        engine.holding("ann", wanted)


def test_an_sdks_object_among_the_messages_is_read(engine: budgets.MeteringEngine) -> None:
    said = openai.types.chat.ChatCompletionMessage(role="assistant", content="Rivers bend.")
    with engine.holding("ann", {**CHAT, "messages": [*MESSAGES, said]}) as hold:
        hold.release()


# The decorator


def test_a_decorated_function_is_metered(engine: budgets.MeteringEngine) -> None:
    asked: list[dict[str, Any]] = []

    @engine.metered("ann")
    def ask(**request: Any) -> dict[str, Any]:
        """Asks."""
        asked.append(request)
        return REPLY

    assert ask(**CHAT) is REPLY
    assert ask.__doc__ == "Asks."
    assert asked == [{**CHAT, "max_tokens": 8_192}]
    assert totals(engine).spent_nanos == REPLY_NANOS


def test_a_decorated_coroutine_is_metered(engine: budgets.MeteringEngine) -> None:
    @engine.metered("ann")
    async def ask(**_: Any) -> Any:
        return SimpleNamespace(model_dump=lambda **_: REPLY)

    asyncio.run(ask(**CHAT))
    assert totals(engine).spent_nanos == REPLY_NANOS


def test_a_decorated_function_is_not_called_when_it_does_not_fit(engine: budgets.MeteringEngine) -> None:
    @engine.metered("poor")
    def ask(**_: Any) -> None:
        pytest.fail("it was called")

    with pytest.raises(budgets.BudgetExceededError):
        ask(**CHAT)


def test_a_decorated_stream_is_refused(engine: budgets.MeteringEngine) -> None:
    @engine.metered("ann")
    def ask(**_: Any) -> None:
        pytest.fail("it was called")

    with pytest.raises(InvalidValueError, match="streamed"):
        ask(**CHAT, stream=True)
    assert engine.holds() == []


# A run


def test_a_run_has_a_budget_of_its_own_under_its_user(engine: budgets.MeteringEngine) -> None:
    with engine.run("ann", total="0.002") as run:
        assert run.user.startswith("ann/run-")
        assert engine.status(run.user).path == (run.user, "ann", budgets.ROOT)
        with run.holding(1_500_000) as hold:
            hold.settle(1_200_000)
        assert run.spent == 1_200_000
        assert run.left == 800_000
        with pytest.raises(budgets.BudgetExceededError, match="run-"), run.holding(900_000):
            pytest.fail("it was entered")
    assert totals(engine).spent_nanos == run.spent == 1_200_000
    assert engine.users() == ["ann", "poor"]
    with pytest.raises(budgets.BudgetExceededError), run.holding(1):
        pytest.fail("the run is over")


def test_the_limit_above_a_run_holds_as_well(engine: budgets.MeteringEngine) -> None:
    with (
        engine.run("poor", total="2") as run,
        pytest.raises(budgets.BudgetExceededError, match="poor has"),
        run.holding(2_000),
    ):
        pytest.fail("it was entered")


def test_an_async_run(engine: budgets.MeteringEngine) -> None:
    async def main() -> None:
        async with engine.run("ann", total="1") as run, run.holding(CHAT) as hold:
            await hold.settle(REPLY)
        assert run.spent == REPLY_NANOS

    asyncio.run(main())
    assert engine.users() == ["ann", "poor"]


def test_a_run_needs_a_user_and_an_amount(engine: budgets.MeteringEngine) -> None:
    with pytest.raises(UnknownUserError), engine.run("nobody", total="1"):
        pytest.fail("it was entered")
    with pytest.raises(InvalidValueError):
        engine.run("ann", total="much")
