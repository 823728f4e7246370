"""
Recorded calls, made again through the whole metered call against a provider on loopback.

The judge of each charge is `genai_prices`, which reads the same reply and prices it by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from budgets import calls, metering
from budgets.config import load_settings
from budgets.dialects import by_name
from budgets.engine import Engine, LimitTerms
from budgets.errors import BudgetError, ProviderError, UnknownPriceError, UnreadableReplyError
from budgets.money import round_up
from budgets.providers import PROVIDERS, Provider
from budgets.upstream import HttpUpstream
from budgets.wiring import open_engine
from tests.support.recorded import HOSTS, judged_picos, needs_recorded, recorded, reply_of
from tests.support.recording import Recording, Replay

pytestmark = needs_recorded

CALLS = list(recorded())
ANSWERED = [call for call in CALLS if call.values[0]["status"] == 200]
REFUSED = [call for call in CALLS if call.values[0]["status"] >= 400]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    settings = load_settings(
        {"BUDGET_CONFIG": str(tmp_path / "config.toml")}, store=str(tmp_path / "budgets.sqlite")
    )
    opened = open_engine(settings)
    opened.create("ann", LimitTerms(1_000_000 * 10**9))
    yield opened
    opened.store.close()


def _provider(call: dict[str, Any]) -> Provider:
    return next(each for each in PROVIDERS if each.id == HOSTS[call["host"]][0])


async def _make(engine: Engine, replay: Replay, call: dict[str, Any], on_text: Any = str) -> calls.Outcome:
    request = metering.Request("ann", _provider(call), replay.url, "a-key", call["request"])
    async with HttpUpstream(silence_seconds=5) as upstream:
        return await calls.complete(engine, upstream, request, on_text=on_text)


def _make_now(engine: Engine, replay: Replay, call: dict[str, Any], **how: Any) -> calls.Outcome:
    replay.recording = Recording.of(call, **how)
    return asyncio.run(_make(engine, replay, call))


@pytest.mark.parametrize("call", ANSWERED)
def test_a_charge_is_what_the_judge_says_of_the_samereply_of(
    engine: Engine, replay: Replay, call: dict[str, Any]
) -> None:
    judged = judged_picos(call)
    try:
        outcome = _make_now(engine, replay, call)
    except UnknownPriceError:
        assert judged is None, "the judge knows a price that we do not"
        assert engine.status("ann").limits[0].totals.taken_nanos == 0, "nothing is held for a call not made"
        return
    except UnreadableReplyError:
        # A stream that ended in an error event, of a model that reasons unseen: nobody knows.
        assert not reply_of(call)["usage"]
        assert engine.status("ann").limits[0].totals.unconfirmed_nanos > 0
        return
    usage = outcome.receipt.entry.detail["usage"]
    if judged is not None and not outcome.reported.others:
        assert outcome.receipt.nanos == round_up(judged)
    if reply_of(call)["usage"]:
        assert usage["how"] == "reported"
    assert engine.status("ann").limits[0].totals.spent_nanos == outcome.receipt.nanos
    assert engine.check().faults == ()


@pytest.mark.parametrize(
    "call", [call for call in ANSWERED if call.values[0].get("text") and reply_of(call.values[0])["usage"]]
)
def test_one_byte_at_a_time_gives_the_same_charge(
    engine: Engine, replay: Replay, call: dict[str, Any]
) -> None:
    whole = _make_now(engine, replay, call)
    pieces = _make_now(engine, replay, call, one_byte_pieces=True)
    assert pieces.receipt.nanos == whole.receipt.nanos
    assert pieces.reported.text == whole.reported.text


@pytest.mark.parametrize("call", ANSWERED)
def test_what_is_held_is_enough(engine: Engine, replay: Replay, call: dict[str, Any]) -> None:
    """Where the request bounds the call and the provider keeps to it, a charge is never above its hold."""
    try:
        outcome = _make_now(engine, replay, call)
    except (UnknownPriceError, UnreadableReplyError):
        pytest.skip("the call is not made, or nobody knows what it cost")
    if outcome.quote.bounded and not outcome.reported.others:
        assert outcome.receipt.overshoot_nanos == 0


@pytest.mark.parametrize("call", REFUSED)
def test_a_call_that_the_provider_refuses_costs_nothing(
    engine: Engine, replay: Replay, call: dict[str, Any]
) -> None:
    try:
        _make_now(engine, replay, call)
    except UnknownPriceError:
        pass
    except ProviderError as error:
        assert error.values["status"] == call["status"]
        assert str(call["status"]) in error.message
    else:
        pytest.fail("a refusal was taken for an answer")
    assert engine.status("ann").limits[0].totals.taken_nanos == 0
    assert engine.holds() == []


CUT = [call for call in ANSWERED if call.values[0].get("text")]


@pytest.mark.parametrize("call", CUT)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9], ids=["at-once", "early", "late"])
def test_a_cut_stream_is_charged_or_doubted_never_forgotten(
    engine: Engine, replay: Replay, call: dict[str, Any], share: float
) -> None:
    replay.recording = Recording.of(call, cut_after=int(len(call["text"].encode()) * share))
    heard: list[str] = []
    with pytest.raises(BudgetError):
        asyncio.run(_make(engine, replay, call, heard.append))
    totals = engine.status("ann").limits[0].totals
    assert totals.held_nanos == 0
    assert totals.spent_nanos + totals.unconfirmed_nanos > 0
    assert engine.check().faults == ()


@pytest.mark.parametrize("call", CUT[:2] + CUT[-1:])
def test_a_provider_that_falls_silent_is_given_up(
    engine: Engine, replay: Replay, call: dict[str, Any]
) -> None:
    replay.recording = Recording.of(call, stall_after=len(call["text"]) // 2)

    async def impatient() -> None:
        request = metering.Request("ann", _provider(call), replay.url, None, call["request"])
        async with HttpUpstream(silence_seconds=0.2) as upstream:
            await calls.complete(engine, upstream, request)

    with pytest.raises(ProviderError, match="silent"):
        asyncio.run(impatient())
    totals = engine.status("ann").limits[0].totals
    assert totals.held_nanos == 0
    assert totals.spent_nanos + totals.unconfirmed_nanos > 0


def _speaks_early(call: dict[str, Any]) -> bool:
    reader = by_name(_provider(call).dialect).read_stream()
    return bool(reader.feed(call["text"].encode()[: len(call["text"]) // 2]))


@pytest.mark.parametrize("call", [call for call in CUT if _speaks_early(call.values[0])])
def test_a_cancelled_stream_is_charged_for_what_came(
    engine: Engine, replay: Replay, call: dict[str, Any]
) -> None:
    replay.recording = Recording.of(call, stall_after=len(call["text"]) * 2 // 3)

    async def interrupted() -> None:
        heard = asyncio.Event()
        request = metering.Request("ann", _provider(call), replay.url, None, call["request"])
        async with HttpUpstream() as upstream:
            running = asyncio.create_task(
                calls.complete(engine, upstream, request, on_text=lambda text: heard.set() if text else None)
            )
            await asyncio.wait(
                {running, asyncio.create_task(heard.wait())}, return_when="FIRST_COMPLETED", timeout=10
            )
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

    asyncio.run(interrupted())
    totals = engine.status("ann").limits[0].totals
    assert totals.held_nanos == 0
    assert totals.spent_nanos + totals.unconfirmed_nanos > 0
    assert engine.check().faults == ()
