"""Repricing: the same counts at other prices; what has no counts stays as it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from budgets.engine.repricing import AMOUNT, BILLED, CORRECTION, ModelRepriced, reprice
from budgets.money import round_up
from budgets.prices import open_book
from budgets.prices.overlay import set_discount, set_price
from budgets.pricing import PriceBook, cost
from budgets.records import Entry
from budgets.usage import Usage

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return open_book()


def _charge(
    book: PriceBook, model: str, *, tier: str | None = None, at: datetime = NOON, **counts: int
) -> Entry:
    usage = Usage.of(**counts)
    found = cost(usage, book.find(model, at=at).for_call(tier))
    detail = {"usage": usage.as_dict(), "prices": found.pins(), "how": "reported"}
    return Entry("c-1", "charge", ("ann", ""), at, at, found.nanos, found.prices.model, detail)


def _amount(nanos: int, **more: Any) -> Entry:
    return Entry("c-2", "charge", ("ann", ""), NOON, NOON, nanos, "a-model", {"how": "amount", **more})


def _only(found: list[ModelRepriced]) -> ModelRepriced:
    (model,) = found
    return model


def test_by_the_book_that_charged_it_comes_to_the_same_sum(book: PriceBook) -> None:
    charges = [
        _charge(book, "openai/gpt-4o-mini", input=1_001, cached_input=7, output=3),
        _charge(book, "anthropic/claude-sonnet-4-5", input=300_000, output=5),
        _charge(book, "anthropic/claude-opus-4-6", tier="batch", input=11, output=5),
        _charge(
            book, "deepseek/deepseek-v4-pro", at=datetime(2026, 11, 20, 2, tzinfo=UTC), input=9, output=1
        ),
    ]
    found = reprice(charges, book)
    assert [each.difference_nanos for each in found] == [0, 0, 0, 0]
    assert sum(each.repriced_nanos for each in found) == sum(each.nanos for each in charges)
    assert {each.model for each in found} == {each.detail["prices"]["model"] for each in charges}
    assert all(each.kept == {} for each in found)


def test_own_prices_and_discounts_of_now_count(book: PriceBook, tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    set_price(own, "gpt-4o-mini", prices={"input": "1", "output": "1"}, now=NOON)
    set_discount(own, "25", provider="anthropic", starts=date(2026, 1, 1), now=NOON)
    charges = [
        _charge(book, "openai/gpt-4o-mini", input=1_000_000),
        _charge(book, "anthropic/claude-sonnet-4-5", input=1_000, output=1_000),
    ]
    found = {each.model: each for each in reprice(charges, open_book(own))}
    assert found["openai/gpt-4o-mini"].repriced_nanos == 10**9
    assert found["openai/gpt-4o-mini"].difference_nanos == 850_000_000
    sonnet = found["anthropic/claude-sonnet-4-5"]
    assert (sonnet.charged.nanos, sonnet.repriced_nanos) == (18_000_000, 13_500_000)
    assert [*found] == ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"], "the greatest difference first"


def test_a_call_takes_the_price_of_its_moment_or_of_the_one_asked_for(book: PriceBook) -> None:
    before = datetime(2026, 8, 1, 12, tzinfo=UTC)
    charge = _charge(book, "deepseek/deepseek-v4-pro", at=before, input=10**6)
    assert _only(reprice([charge], book)).difference_nanos == 0
    assert _only(reprice([charge], book, at=NOON)).repriced_nanos == 660_000_000


def test_several_models_of_one_call_are_rounded_once(book: PriceBook) -> None:
    first, second = (_charge(book, "openai/gpt-4o-mini", cached_input=1) for _ in range(2))
    pins = {
        **first.detail["prices"],
        "others": [{"usage": second.detail["usage"], **second.detail["prices"]}],
    }
    both = replace(first, nanos=round_up(150_000), detail={**first.detail, "prices": pins})
    assert _only(reprice([both], book)).repriced_nanos == 150


def test_a_call_that_has_a_price_itself_is_counted(book: PriceBook, tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text('[[price]]\nmodel = "gpt-4o-mini"\ninput = "1"\noutput = "1"\nrequests = "0.01"\n')
    charge = _charge(book, "openai/gpt-4o-mini", input=1)
    assert _only(reprice([charge], open_book(own))).repriced_nanos == 10_001_000


def test_what_has_no_counts_stays_and_says_why(book: PriceBook) -> None:
    billed = _amount(
        5, usage={"input": 1, "how": "reported"}, prices={"model": "openrouter/x", "billed_picos": "5000"}
    )
    corrected = replace(_amount(-2), kind="correction", detail={"corrects": "c-2"})
    found = {each.model: each for each in reprice([_amount(7), _amount(8), corrected, billed], book)}
    plain = found["a-model"]
    assert (plain.charged.entries, plain.repriced_nanos, plain.kept_nanos) == (0, 0, 13)
    assert {why: (each.entries, each.nanos) for why, each in plain.kept.items()} == {
        AMOUNT: (2, 15),
        CORRECTION: (1, -2),
    }
    assert {why: each.nanos for why, each in found["openrouter/x"].kept.items()} == {BILLED: 5}


@pytest.mark.parametrize(
    ("pins", "usage", "why"),
    [
        ({"model": "openai/no-such-model"}, {"input": 1}, 'no price for "no-such-model"'),
        ({"model": "openai/gpt-4o-mini"}, {"cache_write_1h": 1}, "has no price for cache_write_1h"),
        ({"model": "openai/gpt-4o-mini", "tier": "x"}, {"input": 1}, 'no price for the service tier "x"'),
        ({"model": "openai/gpt-4o-mini"}, {"thoughts": 1}, "thoughts is not a unit"),
    ],
)
def test_what_the_book_does_not_know_stays_and_says_so(
    book: PriceBook, pins: dict[str, Any], usage: dict[str, Any], why: str
) -> None:
    model = _only(reprice([_amount(9, prices=pins, usage={**usage, "how": "reported"})], book))
    (said,) = model.kept
    assert why in said
    assert (model.kept_nanos, model.charged.entries) == (9, 0)


def test_a_price_that_only_the_owner_had_is_found_again(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    set_price(own, "on-my-desk", prices={"input": "2", "output": "2"}, now=NOON)
    charge = _charge(open_book(own), "on-my-desk", input=1_000)
    assert charge.detail["prices"]["model"] == "own/on-my-desk"
    assert _only(reprice([charge], open_book(own))).difference_nanos == 0
