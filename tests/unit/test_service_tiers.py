"""A call is billed by the service tier and the region it was made in, and never at a guess."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from budgets.asks import Ask, Count, Image
from budgets.engine.quoting import quote
from budgets.errors import UnknownPriceError
from budgets.prices import bundled, open_book
from budgets.pricing import ModelPrices, Picos, Price, cost, dearest_input, dearest_output
from budgets.usage import Usage

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def prices(*rows: Price, uplift: dict[str, Fraction] | None = None, free: bool = False) -> ModelPrices:
    return ModelPrices(
        provider="openai",
        model="m",
        asked="m",
        rows=rows,
        book_version="test",
        uplift=tuple((uplift or {}).items()),
        free=free,
    )


def tiered(tier: str, **picos: Picos) -> tuple[Price, ...]:
    return tuple(Price(unit, each, tier=tier) for unit, each in picos.items())


STANDARD = tiered("standard", input=100, cached_input=10, cache_write=125, output=400, web_searches=7)


@pytest.mark.parametrize("name", [None, "", "auto", "default", "standard", "standard_only", "on_demand"])
def test_the_standard_tier_has_many_names(name: str | None) -> None:
    found = prices(*STANDARD, *tiered("batch", input=50, output=200))
    assert found.for_call(name) is found


def test_a_tier_that_the_book_does_not_know_is_an_error() -> None:
    with pytest.raises(UnknownPriceError, match="no price for the service tier") as caught:
        prices(*STANDARD).for_call("warp")
    assert caught.value.values == {"model": "m", "tier": "warp"}


def test_a_free_model_is_free_in_every_tier() -> None:
    assert cost(Usage.of(input=9), prices(free=True).for_call("priority")).nanos == 0


def test_what_a_cheaper_tier_does_not_price_has_the_standard_price() -> None:
    found = prices(*STANDARD, *tiered("batch", input=50, output=200)).for_call("batch")
    usage = Usage.of(input=1, cached_input=1, output=1, reasoning=1, web_searches=1)
    assert [line.picos for line in cost(usage, found).lines] == [50, 10, 200, 200, 7]


def test_a_dearer_tier_does_not_take_a_standard_price_for_a_token() -> None:
    """A cached token is billed as input; a cache write, which costs more than input, is an error."""
    found = prices(*STANDARD, *tiered("priority", input=200, output=800)).for_call("priority")
    usage = Usage.of(input=1, cached_input=1, output=1, reasoning=1, web_searches=1)
    assert [line.picos for line in cost(usage, found).lines] == [200, 200, 800, 800, 7]
    with pytest.raises(UnknownPriceError, match=r"cache_write .* in the service tier priority"):
        cost(Usage.of(cache_write=1), found)
    with pytest.raises(UnknownPriceError, match="cache_write"):
        dearest_input(found, 10, None)


def test_a_region_multiplies_tokens_and_nothing_else() -> None:
    found = prices(*STANDARD, uplift={"eu": Fraction("1.1")})
    usage = Usage.of(input=1, output=1, web_searches=1)
    assert [line.picos for line in cost(usage, found.for_call(None, "eu")).lines] == [110, 440, 7]
    assert [line.picos for line in cost(usage, found.for_call(None, "moon")).lines] == [100, 400, 7]


def test_a_tier_and_a_region_apply_together() -> None:
    found = prices(*STANDARD, *tiered("batch", input=51), uplift={"us": Fraction("1.1")})
    assert found.for_call("batch", "us").row("input", 1).picos == Fraction(561, 10)


def test_pins_say_the_tier_and_the_region() -> None:
    found = prices(*STANDARD, *tiered("batch", input=50), uplift={"us": Fraction("1.1")})
    pins = cost(Usage.of(input=1), found.for_call("batch", "us")).pins()
    assert (pins["tier"], pins["region"], pins["rows"]) == ("batch", "us", {"input": "55"})
    assert {"tier", "region"}.isdisjoint(cost(Usage.of(input=1), found).pins())


def test_what_is_kept_of_tiers_and_regions_is_bounded() -> None:
    found = prices(*STANDARD)
    for number in range(1000):
        found.for_call(None, f"region-{number}")
    assert len(found._calls) < 100


class _Counter:
    def count(self, ask: Ask, *, provider: str) -> Count:
        return Count(100, 120, "test")

    def count_text(self, text: str, *, provider: str, model: str) -> Count:
        return Count(len(text), len(text), "test")


class _Book:
    version = "test"

    def __init__(self, found: ModelPrices) -> None:
        self._found = found

    def find(self, model: str, *, provider: str | None = None, at: datetime) -> ModelPrices:
        return self._found

    def nearest(self, model: str) -> list[str]:
        return []


@pytest.mark.parametrize(
    ("tier", "region", "most_input", "output"),
    [
        (None, None, 125, 400),
        ("auto", None, 125, 400),
        ("batch", None, 60, 200),
        ("priority", None, 250, 800),
        ("priority", "eu", 275, 880),
    ],
)
def test_a_quote_holds_the_tier_and_region_that_are_asked_for(
    tier: str | None, region: str | None, most_input: int, output: int
) -> None:
    found = prices(
        *STANDARD,
        *tiered("batch", input=50, cache_write=60, output=200),
        *tiered("priority", input=200, cache_write=250, output=800),
        uplift={"eu": Fraction("1.1")},
    )
    ask = Ask(dialect="openai-chat", model="m", service_tier=tier, region=region)
    made = quote(ask, book=_Book(found), counter=_Counter(), provider=None, at=NOON)
    assert made.fixed_picos == 120 * most_input
    assert made.output_picos == output


def test_a_quote_holds_what_pictures_are_billed_beside_their_tokens() -> None:
    found = prices(*STANDARD, *tiered("standard", input_image=300))
    ask = Ask(dialect="openai-chat", model="m", images=(Image(), Image()))
    plain, dear, each = (
        quote(asked, book=_Book(book), counter=_Counter(), provider=None, at=NOON).fixed_picos
        for asked, book in (
            (replace(ask, images=()), found),
            (ask, found),
            (ask, prices(*found.rows, Price("input_images", 7))),
        )
    )
    assert (plain, dear, each) == (120 * 125, 120 * 300, 120 * 300 + 2 * 7)


def test_a_quote_of_a_tier_without_a_price_is_an_error() -> None:
    ask = Ask(dialect="openai-chat", model="m", service_tier="warp")
    with pytest.raises(UnknownPriceError, match="service tier"):
        quote(ask, book=_Book(prices(*STANDARD)), counter=_Counter(), provider=None, at=NOON)


def _variants() -> list[tuple[str, str, str]]:
    from genai_prices.data import providers

    return [
        (f"{seller.id}/{model.id}", by, tier)
        for seller in providers
        for model in seller.models
        for variant in model.price_variants or []
        for by, tier in variant.when.items()
        if by in ("processing", "service_tier", "speed") and tier != "default"
    ]


def test_sums_in_every_tier_equal_the_sources() -> None:
    from genai_prices.data import providers
    from genai_prices.types import Usage as TheirUsage

    book, theirs = (
        open_book(),
        {(each.id, model.id): (each, model) for each in providers for model in each.models},
    )
    checked = 0
    for full, by, tier in _variants():
        seller_id, _, model_id = full.partition("/")
        seller, model = theirs[seller_id, model_id]
        found = book.find(model_id, provider=seller_id, at=NOON).for_call(tier)
        if found.own_row("input", 0) is None:
            assert found.own_row("input_seconds", 0) or found.own_row("pages", 0)
            continue
        for tokens in (12_347, 1_234_567):
            counts = {"input": tokens, "output": 789} if found.own_row("output", 0) else {"input": tokens}
            expected = model.calc_price(
                TheirUsage(input_tokens=tokens, output_tokens=counts.get("output", 0)),
                seller,
                genai_request_timestamp=NOON,
                price_context={by: tier},
            )
            ours = cost(Usage.of(how="reported", **counts), found)
            assert Fraction(ours.exact_picos) / 10**12 == Fraction(expected.total_price), (full, tier)
            checked += 1
    assert checked > 300


def test_every_tier_of_the_book_can_be_quoted_or_says_what_is_missing() -> None:
    book = open_book()
    for line in bundled.PATH.read_bytes().splitlines()[1:]:
        raw = json.loads(line)
        provider, _, model = raw["id"].partition("/")
        found = book.find(model, provider=provider, at=NOON)
        for tier in found.tiers:
            try:
                dearest_input(found.for_call(tier), 300_000, None)
                dearest_output(found.for_call(tier), 300_000)
            except UnknownPriceError as error:
                assert error.hint
