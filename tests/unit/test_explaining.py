"""A cost is explained from what was kept with it, and what was not kept is said to be missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest

from budgets.asks import Ask, Image
from budgets.engine.quoting import quote
from budgets.explaining import Explanation, of_charge, of_entry, of_hold, of_quote
from budgets.money import round_up
from budgets.prices import open_book
from budgets.pricing import ModelPrices, Price, cost
from budgets.records import Charge, Entry, EntryKind, Hold, Quote
from budgets.rules import fitted
from budgets.tokens.counter import TiktokenCounter
from budgets.usage import Usage

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
PAGE = "https://provider.example/pricing"
PRICES = ModelPrices(
    provider="openai",
    model="m",
    asked="m",
    rows=(
        Price("input", 150_000, source=PAGE),
        Price("output", Fraction(1_000, 3), source=PAGE),
        Price("web_searches", 10**10),
    ),
    book_version="test",
    uplift=(("eu", Fraction(11, 10)),),
)


def entry(nanos: int, kind: EntryKind = "charge", **detail: Any) -> Entry:
    return Entry("c-1", kind, ("ann", ""), NOW, NOW, nanos, "m", detail)


def charged(**used: int) -> Charge:
    found = cost(Usage.of(how="reported", **used), PRICES)
    return Charge(found.nanos, "m", found.usage, found.pins())


def facts(found: Explanation) -> list[tuple[str, int, str, Any]]:
    return [(line.unit, line.count, line.how, line.picos) for each in found.sums for line in each.lines]


def test_a_charge_is_the_sum_of_its_lines_rounded_up() -> None:
    found = of_charge(charged(input=10, reasoning=2, web_searches=1))
    assert facts(found) == [
        ("input", 10, "reported", 150_000),
        ("reasoning", 2, "reported", Fraction(1_000, 3)),
        ("web_searches", 1, "reported", 10**10),
    ]
    assert found.exact_picos == 10_001_500_000 + Fraction(2_000, 3)
    assert (found.total_nanos, found.adds_up) == (10_001_501, True)
    (used,) = found.sums
    said = [line.terms for line in used.lines]
    assert [(each.priced_as, each.source) for each in said if each] == [
        (None, PAGE),
        ("output", PAGE),
        (None, ""),
    ]


def test_an_entry_is_explained_by_its_own_rows_alone() -> None:
    cost_ = charged(input=7)
    assert cost_.usage is not None
    kept = entry(cost_.nanos, usage=cost_.usage.as_dict(), prices=cost_.prices)
    assert of_entry(kept) == of_charge(cost_)


def test_an_older_entry_is_explained_as_far_as_it_goes() -> None:
    """Rows and tier were always kept; where they came from was not."""
    pins = {"book": "old", "model": "openai/m", "tier": "batch", "rows": {"input": "75000"}}
    found = of_entry(entry(750, usage={"input": 10, "how": "reported"}, prices=pins))
    assert found.adds_up
    assert [line.terms for line in found.sums[0].lines] == [None]
    assert (found.sums[0].tier, found.sums[0].book_day) == ("batch", None)


def test_a_discount_is_a_label_beside_prices_that_have_it_already() -> None:
    pins = {"book": "b", "model": "openai/m", "discount": "10%", "rows": {"input": "135000"}}
    found = of_entry(entry(1350, usage={"input": 10, "how": "reported"}, prices=pins))
    assert (found.sums[0].discount, found.exact_picos, found.adds_up) == ("10%", 1_350_000, True)


def test_a_charge_whose_lines_say_something_else_does_not_add_up() -> None:
    cost_ = charged(input=7)
    assert not of_charge(replace(cost_, nanos=cost_.nanos + 1)).adds_up


def test_a_unit_without_a_kept_price_is_named() -> None:
    pins = {"book": "b", "model": "openai/m", "rows": {"input": "1000"}}
    found = of_entry(entry(3, usage={"input": 3, "output": 9, "how": "reported"}, prices=pins))
    assert (found.unpriced, found.adds_up) == (("output",), False)


def test_several_models_in_one_call_are_summed_apart_and_rounded_once() -> None:
    one = cost(Usage.of(output=1), PRICES)
    pins = {**one.pins(), "others": [{"usage": one.usage.as_dict(), **one.pins(), "model": "openai/n"}]}
    found = of_charge(Charge(1, "m", one.usage, pins))
    assert [each.model for each in found.sums] == ["openai/m", "openai/n"]
    assert (found.exact_picos, found.adds_up) == (Fraction(2_000, 3), True)


def test_a_bill_is_the_providers_figure_and_no_sum() -> None:
    cost_ = Charge(
        round_up(Fraction(1_234_567)),
        "m",
        Usage.of(input=5),
        {"model": "openrouter/m", "billed_picos": "1234567"},
    )
    found = of_charge(cost_)
    assert (found.basis, found.exact_picos, found.sums) == ("bill", 1_234_567, ())
    assert (found.counts, found.how, found.adds_up) == ((("input", 5),), "reported", True)


@pytest.mark.parametrize(
    ("cost_", "basis"),
    [
        pytest.param(Charge(5, how="amount"), "amount", id="an amount"),
        pytest.param(Charge(5, "m", Usage.of(input=5)), "unknown", id="usage whose prices were not kept"),
    ],
)
def test_where_there_is_nothing_to_add_it_says_why(cost_: Charge, basis: str) -> None:
    found = of_charge(cost_)
    assert (found.basis, found.total_nanos, found.exact_picos, found.adds_up) == (basis, 5, None, True)


@pytest.mark.parametrize(
    ("kind", "basis"),
    [("correction", "amount"), ("opened", "nothing"), ("released", "nothing"), ("overrun", "nothing")],
)
def test_every_other_entry_says_what_its_figure_is(kind: EntryKind, basis: str) -> None:
    assert of_entry(entry(5, kind)).basis == basis


# Quotes and holds


def quoted(model: str, **asked: Any) -> Quote:
    ask = Ask("openai-chat", model, texts=("Name three rivers",), messages=1, **asked)
    return quote(ask, book=open_book(), counter=TiktokenCounter(), provider=None, at=NOW)


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        pytest.param("gpt-4o-mini", {}, id="plain"),
        pytest.param("gpt-4o-mini", {"answers": 3, "output_limit": 100}, id="three answers"),
        pytest.param("claude-sonnet-4-5", {"cache_write": "1h"}, id="the cache is written"),
        pytest.param("gpt-5", {"service_tier": "priority"}, id="a dearer tier"),
        pytest.param("gpt-4o-mini", {"unbounded": ("a stored conversation",)}, id="unbounded"),
        pytest.param("text-embedding-3-small", {"output_limit": 0}, id="nothing is written"),
        pytest.param("perplexity/sonar", {}, id="a fee for the call"),
        pytest.param("gpt-4o", {"images": (Image(512, 512),)}, id="a picture"),
        pytest.param("gemini-2.5-flash-native-audio", {"images": (Image(),)}, id="a dearer picture"),
        pytest.param("nano-banana-pro-preview", {"images": (Image(), Image())}, id="a fee for each picture"),
    ],
)
def test_the_most_of_a_quote_is_the_sum_of_its_lines(model: str, asked: dict[str, Any]) -> None:
    made = quoted(model, **asked)
    found = of_quote(made)
    assert found.exact_picos == made.fixed_picos + made.output_picos * made.output_limit
    assert (found.basis, found.total_nanos, found.adds_up) == ("prices", made.most_nanos, True)
    assert found.sums[0].lines[0].how == (made.counted_most or made.counted)


def test_a_quote_that_was_lowered_is_explained_as_lowered() -> None:
    made = quoted("gpt-4o-mini")
    lowered = fitted(made, made.most_nanos // 2)
    assert lowered.limited_by == "budget"
    assert of_quote(lowered).adds_up
    assert of_quote(lowered).sums[0].lines[-1].how == "output limit: budget"


def test_a_quote_of_the_dearest_input_names_the_row_that_bills_it() -> None:
    found = of_quote(quoted("claude-sonnet-4-5", cache_write="1h"))
    assert [line.unit for line in found.sums[0].lines] == ["cache_write_1h", "output"]


def held(nanos: int, **terms: Any) -> Hold:
    return Hold("call-1", ("ann", ""), "m", nanos, NOW, "lease", terms=terms)


def test_a_hold_is_what_its_call_was_quoted_at() -> None:
    made = quoted("gpt-4o-mini")
    kept = held(made.most_nanos, output_limit=made.output_limit, limited_by=made.limited_by, prices=made.pins)
    assert of_hold(kept) == of_quote(made)


def test_a_hold_of_an_amount_and_one_without_prices_say_so() -> None:
    assert of_hold(held(5)).basis == "amount"
    assert of_hold(held(5, output_limit=10, limited_by="caller")).basis == "unknown"
