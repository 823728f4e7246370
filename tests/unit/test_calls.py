"""One metered call and all that can happen to it. The far side is simulated, in its wire format."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from budgets import calls, metering
from budgets.config import load_settings
from budgets.dialects import by_name
from budgets.engine import Engine, LimitTerms
from budgets.errors import (
    BudgetBusyError,
    BudgetExceededError,
    InvalidValueError,
    ProviderError,
    UnknownPriceError,
    UnreadableReplyError,
)
from budgets.money import parse_usd
from budgets.providers import named
from budgets.simulated import Fault, SimulatedUpstream
from budgets.tokens.counting import count_text
from budgets.upstream import Answer, OutgoingCall
from budgets.wiring import open_engine

SERVED = [
    pytest.param("openai", "gpt-4o-mini", id="openai"),
    pytest.param("anthropic", "claude-haiku-4-5", id="anthropic"),
]
BOTH_WAYS = [pytest.param(False, id="plain"), pytest.param(True, id="streamed")]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    settings = load_settings(
        {"BUDGET_CONFIG": str(tmp_path / "config.toml")}, store=str(tmp_path / "budgets.sqlite")
    )
    opened = open_engine(settings)
    opened.create("ann", LimitTerms(parse_usd("1")))
    yield opened
    opened.store.close()


def request_of(
    provider: str, model: str, *, stream: bool = False, limit: int | None = None, **more: Any
) -> metering.Request:
    served = named(provider)
    dialect = by_name(served.dialect)
    body = dialect.build_request(
        model=model,
        messages=[{"role": "user", "content": "Tell me about holds."}],
        system=None,
        temperature=None,
        stream=stream,
    )
    if limit is not None:
        body = dialect.limit_output(body, limit)
    return metering.Request("ann", served, "http://simulated", "sk-secret", body | more)


def make(engine: Engine, request: metering.Request, *faults: Fault | None, **how: Any) -> calls.Outcome:
    upstream = SimulatedUpstream(count_text, faults)
    return asyncio.run(calls.complete(engine, upstream, request, **how))


def totals(engine: Engine):
    return engine.status("ann").limits[0].totals


@pytest.mark.parametrize(("provider", "model"), SERVED)
@pytest.mark.parametrize("stream", BOTH_WAYS)
def test_a_call_is_held_then_charged_what_was_reported(
    engine: Engine, provider: str, model: str, stream: bool
) -> None:
    heard: list[str] = []
    outcome = make(engine, request_of(provider, model, stream=stream), on_text=heard.append)
    receipt = outcome.receipt
    assert "simulated" in "".join(heard)
    assert receipt.entry.detail["usage"]["how"] == "reported"
    assert 0 < receipt.nanos < (receipt.held_nanos or 0)
    assert totals(engine).spent_nanos == receipt.nanos
    assert totals(engine).held_nanos == 0
    assert engine.check().faults == ()


@pytest.mark.parametrize("stream", BOTH_WAYS)
def test_nothing_is_sent_when_it_does_not_fit(engine: Engine, stream: bool) -> None:
    engine.create("poor", LimitTerms(1_000))
    upstream = SimulatedUpstream(count_text)
    request = metering.Request(
        "poor", named("openai"), "http://simulated", None, request_of("openai", "gpt-4o", stream=stream).body
    )
    with pytest.raises(BudgetExceededError):
        asyncio.run(calls.complete(engine, upstream, request))
    assert upstream.calls == 0
    assert engine.holds() == []


def test_an_unpriced_model_is_refused_before_anything_is_held(engine: Engine) -> None:
    upstream = SimulatedUpstream(count_text)
    with pytest.raises(UnknownPriceError):
        asyncio.run(calls.complete(engine, upstream, request_of("openai", "gpt-unheard-of")))
    assert upstream.calls == 0


class Watched:
    """Passes calls on and remembers them; what is held while a call runs can be looked at."""

    def __init__(self, engine: Engine, *faults: Fault | None) -> None:
        self.inner = SimulatedUpstream(count_text, faults)
        self.engine = engine
        self.bodies: list[dict[str, Any]] = []
        self.held: list[int] = []

    def send(self, call: OutgoingCall):
        self.bodies.append(json.loads(call.body))
        self.held.append(totals(self.engine).held_nanos)
        return self.inner.send(call)


def test_the_hold_is_in_the_store_when_the_call_leaves(engine: Engine) -> None:
    upstream = Watched(engine)
    outcome = asyncio.run(calls.complete(engine, upstream, request_of("openai", "gpt-4o-mini")))
    assert upstream.held == [outcome.receipt.held_nanos]


@pytest.mark.parametrize(
    ("provider", "model", "field"),
    [
        pytest.param("openai", "gpt-4o-mini", "max_tokens", id="openai"),
        pytest.param("openai", "gpt-5-mini", "max_completion_tokens", id="openai-reasoning"),
        pytest.param("anthropic", "claude-haiku-4-5", "max_tokens", id="anthropic"),
    ],
)
def test_a_request_without_an_output_limit_gets_one(
    engine: Engine, provider: str, model: str, field: str
) -> None:
    upstream = Watched(engine)
    asyncio.run(calls.complete(engine, upstream, request_of(provider, model)))
    assert upstream.bodies[0][field] == 8_192


def test_the_callers_own_limit_is_sent_as_it_is(engine: Engine) -> None:
    upstream = Watched(engine)
    asyncio.run(calls.complete(engine, upstream, request_of("openai", "gpt-4o-mini", limit=17)))
    assert upstream.bodies[0]["max_tokens"] == 17


def test_what_is_left_buys_fewer_tokens_and_the_caller_is_told(engine: Engine) -> None:
    engine.create("poor", LimitTerms(parse_usd("0.002")))
    upstream = Watched(engine)
    whole = request_of("anthropic", "claude-haiku-4-5", stream=True)
    request = metering.Request("poor", whole.provider, whole.base_url, None, whole.body)
    outcome = asyncio.run(calls.complete(engine, upstream, request))
    assert 256 <= upstream.bodies[0]["max_tokens"] < 8_192
    assert outcome.quote.limited_by == "budget"
    assert (outcome.receipt.held_nanos or 0) <= parse_usd("0.002")


def test_below_the_floor_no_empty_answer_is_bought(engine: Engine) -> None:
    engine.create("poor", LimitTerms(parse_usd("0.001")))
    whole = request_of("anthropic", "claude-haiku-4-5")
    request = metering.Request("poor", whole.provider, whole.base_url, None, whole.body)
    with pytest.raises(BudgetExceededError, match="costs at least"):
        make(engine, request)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 529])
@pytest.mark.parametrize("stream", BOTH_WAYS)
def test_a_refused_call_costs_nothing(engine: Engine, status: int, stream: bool) -> None:
    with pytest.raises(ProviderError, match=str(status)) as caught:
        make(engine, request_of("openai", "gpt-4o-mini", stream=stream), Fault(status=status))
    assert "this failure is simulated" in caught.value.message
    assert caught.value.values["status"] == status
    assert totals(engine).taken_nanos == 0


def test_a_provider_that_was_never_reached_costs_nothing(engine: Engine) -> None:
    with pytest.raises(ProviderError):
        make(engine, request_of("openai", "gpt-4o-mini"), Fault(unreachable=True))
    assert totals(engine).taken_nanos == 0
    assert [entry.kind for entry in engine.entries("ann")][-1] == "released"


@pytest.mark.parametrize(("provider", "model"), SERVED)
def test_a_cut_stream_is_charged_for_what_came(engine: Engine, provider: str, model: str) -> None:
    with pytest.raises(ProviderError):
        make(engine, request_of(provider, model, stream=True), Fault(cut_after_bytes=800))
    charge = engine.entries("ann")[-1]
    assert charge.kind == "charge"
    assert charge.detail["how"].startswith("estimated:")
    assert totals(engine).spent_nanos == charge.nanos > 0
    assert totals(engine).held_nanos == 0


def test_a_plain_reply_that_breaks_off_keeps_its_hold_unconfirmed(engine: Engine) -> None:
    with pytest.raises(ProviderError):
        make(engine, request_of("openai", "gpt-4o-mini"), Fault(cut_after_bytes=40))
    assert totals(engine).spent_nanos == totals(engine).held_nanos == 0
    assert totals(engine).unconfirmed_nanos > 0
    (hold,) = engine.holds()
    assert hold.unconfirmed


def test_a_reasoning_model_that_breaks_off_may_have_thought_unseen(engine: Engine) -> None:
    with pytest.raises(ProviderError):
        make(engine, request_of("openai", "gpt-5-mini", stream=True), Fault(cut_after_bytes=800))
    assert totals(engine).spent_nanos == 0
    assert totals(engine).unconfirmed_nanos > 0


@pytest.mark.parametrize("stream", BOTH_WAYS)
@pytest.mark.parametrize(("provider", "model"), SERVED)
def test_an_answer_without_usage_is_charged_at_our_own_count(
    engine: Engine, provider: str, model: str, stream: bool
) -> None:
    outcome = make(engine, request_of(provider, model, stream=stream), Fault(omit_usage=True))
    assert outcome.receipt.entry.detail["usage"]["how"].startswith("estimated:")
    assert outcome.receipt.nanos > 0


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"prompt_tokens": 7, "completion_tokens": 0}, id="zero"),
        pytest.param({"prompt_tokens": 7}, id="missing"),
        pytest.param({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, id="all zero"),
    ],
)
def test_an_answer_that_usage_leaves_out_is_charged_at_our_own_count(
    engine: Engine, body: dict[str, int]
) -> None:
    message = {"role": "assistant", "content": "Rivers run to the sea."}
    reply = {"model": "gpt-4o-mini", "choices": [{"message": message}], "usage": body}
    charge = asyncio.run(
        calls.complete(engine, Babble(json.dumps(reply).encode()), request_of("openai", "gpt-4o-mini"))
    ).receipt.entry
    used = charge.detail["usage"]
    assert used["how"].startswith("estimated:")
    assert used["output"] > 0
    # What was told of the input stays; where nothing was, it is the quote's.
    assert used["input"] == (body["prompt_tokens"] or used["input"]) > 0


class Babble:
    """Answers 200 with something that is no reply."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def send(self, call: OutgoingCall):
        from contextlib import asynccontextmanager

        async def chunks():
            yield self.body

        @asynccontextmanager
        async def answer():
            yield Answer(200, {"content-type": "application/json"}, chunks())

        return answer()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>proxy login</html>", id="html"),
        pytest.param(b"[]", id="list"),
        pytest.param(
            b'{"choices": [], "usage": {"prompt_tokens": -5, "completion_tokens": 1}}', id="negative"
        ),
        pytest.param(b'{"choices": [], "usage": {"prompt_tokens": "5", "completion_tokens": 1}}', id="text"),
    ],
)
def test_a_reply_that_cannot_be_read_keeps_its_hold_unconfirmed(engine: Engine, body: bytes) -> None:
    with pytest.raises(UnreadableReplyError) as caught:
        asyncio.run(calls.complete(engine, Babble(body), request_of("openai", "gpt-4o-mini")))
    assert "holds settle" in (caught.value.hint or "")
    assert totals(engine).unconfirmed_nanos > 0


def test_a_second_model_in_the_reply_is_charged_too(engine: Engine) -> None:
    """Anthropic's advisor is another model that works inside the call and is on the same bill."""
    usage = {
        "input_tokens": 10,
        "output_tokens": 5,
        "iterations": [
            {"type": "message", "input_tokens": 10, "output_tokens": 5},
            {"type": "advisor_message", "model": "claude-opus-4-1", "input_tokens": 100, "output_tokens": 50},
        ],
    }
    body = {"type": "message", "model": "claude-haiku-4-5", "content": [], "usage": usage}
    outcome = asyncio.run(
        calls.complete(engine, Babble(json.dumps(body).encode()), request_of("anthropic", "claude-haiku-4-5"))
    )
    # 10 x $1 + 5 x $5 of Haiku 4.5, 100 x $15 + 50 x $75 of Opus 4.1, per million tokens.
    assert outcome.receipt.nanos == 10_000 + 25_000 + 1_500_000 + 3_750_000
    assert outcome.receipt.entry.detail["prices"]["others"][0]["model"] == "anthropic/claude-opus-4-1"


def test_a_request_that_cannot_be_limited_is_let_go(engine: Engine) -> None:
    engine.create("poor", LimitTerms(parse_usd("0.03")))
    whole = request_of("anthropic", "claude-haiku-4-5", thinking={"type": "enabled", "budget_tokens": 8_000})
    request = metering.Request("poor", whole.provider, whole.base_url, None, whole.body)
    with pytest.raises(InvalidValueError):
        make(engine, request)
    assert engine.holds() == []


def test_a_busy_budget_is_waited_for(engine: Engine) -> None:
    running = engine.hold("ann", parse_usd("1"), model="m")
    timer = threading.Timer(0.1, engine.release, (running.hold.id,), {"reason": "it ended"})
    timer.start()
    outcome = make(engine, request_of("openai", "gpt-4o-mini"), patience_seconds=20)
    timer.join()
    assert outcome.receipt.nanos > 0


def test_without_patience_a_busy_budget_says_so(engine: Engine) -> None:
    engine.hold("ann", parse_usd("1"), model="m")
    with pytest.raises(BudgetBusyError):
        make(engine, request_of("openai", "gpt-4o-mini"))


def test_nothing_that_was_said_is_stored(engine: Engine, tmp_path: Path) -> None:
    make(engine, request_of("openai", "gpt-4o-mini", stream=True))
    engine.store.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for secret in (b"Tell me about holds", b"sk-secret", b"This answer is simulated"):
        assert secret not in kept


def naps() -> tuple[list[float], Any]:
    """Pauses that take no time, and how long they were to be."""
    taken: list[float] = []

    async def pause(seconds: float) -> None:
        taken.append(seconds)

    return taken, pause


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(unreachable=True), id="not-reached"),
        pytest.param(Fault(status=429), id="too-many"),
        pytest.param(Fault(status=503), id="unavailable"),
        pytest.param(Fault(status=529), id="overloaded"),
    ],
)
def test_a_try_that_cost_nothing_is_made_again(engine: Engine, fault: Fault) -> None:
    taken, pause = naps()
    outcome = make(engine, request_of("openai", "gpt-4o-mini"), fault, fault, retries=2, pause=pause)
    assert len(taken) == 2
    assert totals(engine).spent_nanos == outcome.receipt.nanos
    assert [entry.kind for entry in engine.entries("ann") if entry.kind in ("charge", "released")] == [
        "charge"
    ]


def test_when_every_try_fails_the_hold_is_let_go(engine: Engine) -> None:
    _, pause = naps()
    with pytest.raises(ProviderError, match="429"):
        make(engine, request_of("openai", "gpt-4o-mini"), *[Fault(status=429)] * 3, retries=2, pause=pause)
    assert totals(engine).taken_nanos == 0


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(status=400), id="our-fault"),
        pytest.param(Fault(status=500), id="may-have-worked"),
        pytest.param(Fault(cut_after_bytes=40), id="broke-off"),
    ],
)
def test_a_try_that_may_have_cost_something_is_not_made_again(engine: Engine, fault: Fault) -> None:
    taken, pause = naps()
    with pytest.raises(ProviderError):
        make(engine, request_of("openai", "gpt-4o-mini"), fault, retries=2, pause=pause)
    assert taken == []


def test_who_gives_up_between_two_tries_is_charged_nothing(engine: Engine) -> None:
    async def give_up(_seconds: float) -> None:
        raise asyncio.CancelledError

    told: list[str] = []
    with pytest.raises(asyncio.CancelledError):
        make(
            engine,
            request_of("openai", "gpt-4o-mini"),
            Fault(status=429),
            retries=2,
            pause=give_up,
            on_broken_off=told.append,
        )
    assert totals(engine).taken_nanos == 0
    assert told == ["nothing was charged"]
