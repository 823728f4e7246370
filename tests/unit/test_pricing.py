"""Tokens become money: exactly, rounded once, up, and never at a guess."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets.errors import InvalidValueError, UnknownPriceError
from budgets.prices.sheets import Sheet, choose, end_of, picos_per_unit
from budgets.pricing import (
    FALLBACKS,
    ModelPrices,
    Picos,
    Price,
    cost,
    dearest_input,
    dearest_output,
)
from budgets.usage import UNITS, Usage


def prices(
    *,
    provider: str = "openai",
    free: bool = False,
    tiers: dict[str, dict[int, Picos]] | None = None,
    **rows: Picos,
) -> ModelPrices:
    plain = tuple(Price(unit, picos) for unit, picos in rows.items())
    tiered = tuple(Price(unit, each[above], above) for unit, each in (tiers or {}).items() for above in each)
    return ModelPrices(
        provider=provider, model="m", asked="m", rows=plain + tiered, book_version="test", free=free
    )


def used(counts: Mapping[str, int]) -> Usage:
    """Counts by unit, where the units are data."""
    return Usage.of(how="reported", **counts)


def test_a_cost_is_rounded_once_up_and_not_per_line() -> None:
    """Three lines of 0.25 nanos are one nano together, and would be three if each were rounded."""
    third = cost(Usage.of(input=1, cached_input=1, output=1), prices(input=250, cached_input=250, output=250))
    assert (third.exact_picos, third.nanos) == (750, 1)


@pytest.mark.parametrize(
    ("picos", "nanos"),
    [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2), (Fraction(1, 3), 1), (Fraction(3000, 3), 1)],
)
def test_rounding_goes_up_to_the_next_nano(picos: Picos, nanos: int) -> None:
    assert cost(Usage.of(input=1), prices(input=picos)).nanos == nanos


def test_seven_cached_tokens_at_a_fraction_of_a_nano_keep_their_fraction() -> None:
    """7 tokens at $0.01875 per million are 131.25 nanos."""
    found = cost(Usage.of(cached_input=7), prices(cached_input=picos_per_unit("cached_input", "0.01875")))
    assert (found.exact_picos, found.nanos) == (131_250, 132)


@given(
    counts=st.dictionaries(st.sampled_from(list(UNITS)), st.integers(0, 10**7)),
    rates=st.lists(
        st.one_of(st.integers(0, 10**9), st.fractions(0, 10**6)), min_size=len(UNITS), max_size=len(UNITS)
    ),
)
def test_a_cost_is_the_sum_of_its_lines_and_less_than_a_nano_above_it(
    counts: dict[str, int], rates: list[Picos]
) -> None:
    table = dict(zip(UNITS, rates, strict=True))
    found = cost(used(counts), prices(free=False, tiers=None, provider="openai", **table))
    assert found.exact_picos == sum(counts[unit] * table[unit] for unit in counts)
    assert found.exact_picos == sum(line.product for line in found.lines)
    assert 0 <= found.nanos * 1000 - found.exact_picos < 1000


def test_plain_prices_stay_integers() -> None:
    assert type(cost(Usage.of(input=5, output=7), prices(input=2, output=3)).exact_picos) is int


def test_no_usage_costs_nothing() -> None:
    assert cost(Usage.of(), prices(input=1)).nanos == 0


@pytest.mark.parametrize(("tokens", "rate"), [(0, 3), (1, 3), (200_000, 3), (200_001, 6)])
def test_a_tier_applies_strictly_above_its_threshold_and_to_the_whole_call(tokens: int, rate: int) -> None:
    tiered = prices(tiers={"input": {0: 3, 200_000: 6}, "output": {0: 15, 200_000: 22}})
    assert tiered.row("input", tokens).picos == rate
    assert cost(Usage.of(input=tokens, output=10), tiered).exact_picos == tokens * rate + 10 * (
        15 if rate == 3 else 22
    )


def test_the_tier_follows_from_all_that_was_read() -> None:
    """Cached tokens and cache writes count towards the threshold."""
    tiered = prices(tiers={each: {0: 1, 100: 10} for each in ("input", "cached_input", "cache_write")})
    assert cost(Usage.of(input=50, cached_input=50), tiered).exact_picos == 100
    assert cost(Usage.of(input=50, cached_input=50, cache_write=1), tiered).exact_picos == 1010


@pytest.mark.parametrize(
    ("unit", "priced_as"),
    [
        ("reasoning", "output"),
        ("cached_input", "input"),
        ("cached_input_audio", "input_audio"),
        ("input_image", "input"),
        ("cache_write", "input"),
    ],
)
def test_a_unit_without_a_price_is_billed_as_the_written_fallback(unit: str, priced_as: str) -> None:
    found = cost(used({unit: 2}), prices(input=3, output=5, input_audio=7))
    line = found.lines[0]
    assert (line.unit, line.priced_as, line.product) == (unit, priced_as, 2 * line.picos)
    assert line.picos == {"input": 3, "output": 5, "input_audio": 7}[priced_as]


def test_every_fallback_says_why() -> None:
    assert all(fallback.why and fallback.unit in UNITS for fallback in FALLBACKS.values())


@pytest.mark.parametrize(
    "unit",
    ["cache_write_1h", "input_audio", "output_audio", "output_image", "web_searches", "cached_input_audio"],
)
def test_a_unit_that_a_guess_would_undercharge_is_an_error(unit: str) -> None:
    with pytest.raises(UnknownPriceError) as caught:
        cost(used({unit: 1}), prices(input=3, output=5, cache_write=4))
    missing = "input_audio" if unit == "cached_input_audio" else unit
    assert missing in str(caught.value)
    assert caught.value.values["unit"] == missing
    assert caught.value.hint is not None
    assert f"--{missing.replace('_', '-')}" in caught.value.hint


def test_a_cache_write_is_not_billed_as_input_where_writing_costs_more() -> None:
    with pytest.raises(UnknownPriceError, match="cache_write"):
        cost(Usage.of(cache_write=1), prices(provider="anthropic", input=3, output=15))


def test_a_call_without_a_fee_of_its_own_costs_none() -> None:
    found = cost(Usage.of(requests=1, input=1), prices(input=3))
    assert found.exact_picos == 3
    assert cost(Usage.of(requests=1), prices(requests=5_000_000)).exact_picos == 5_000_000


def test_a_free_model_costs_nothing_whatever_it_used() -> None:
    assert cost(used(dict.fromkeys(UNITS, 9)), prices(free=True)).nanos == 0


def test_pins_say_which_prices_were_used() -> None:
    third = Fraction(250_000, 3)
    found = cost(Usage.of(input=1, cache_write=3), prices(input=150_000, cache_write=third, output=9))
    assert found.pins() == {
        "book": "test",
        "model": "openai/m",
        "rows": {"input": "150000", "cache_write": "250000/3"},
        "terms": [{"units": ["input", "cache_write"]}],
    }


def test_pins_say_what_goes_without_saying_not_at_all_and_the_same_once() -> None:
    """A charge is written down for every call, so what is true of several rows is said once."""
    page, day = "https://provider.example/pricing", datetime(2026, 11, 1, tzinfo=UTC)
    found = ModelPrices(
        provider="openai",
        model="m",
        asked="m",
        rows=(
            Price("input", 1, starts=day.date(), source=page),
            Price("output", 2, starts=day.date(), source=page),
            Price("output", 3, 100, hours=(time(16, 30), time(0, 30)), source=page),
            Price("web_searches", 7, starts=day),
        ),
        book_version="test",
        book_day=day.date(),
    )
    usage = Usage.of(input=100, reasoning=1, output=1, web_searches=1)
    assert cost(usage, found).pins()["terms"] == [
        {"units": ["input", "output"], "from": "2026-11-01", "source": page},
        {"units": ["reasoning"], "as": "output", "from": "2026-11-01", "source": page},
        {"units": ["web_searches"], "from": "2026-11-01T00:00:00Z"},
    ]
    pins = cost(Usage.of(input=101, output=1), found).pins()
    assert pins["book_day"] == "2026-11-01"
    assert pins["terms"][1] == {"units": ["output"], "above": 100, "hours": "16:30-00:30", "source": page}


@pytest.mark.parametrize(
    ("cache_write", "most"),
    [(None, 30), ("5m", 37), ("1h", 60)],
)
def test_the_most_for_input_follows_the_caching_that_is_asked_for(cache_write: str | None, most: int) -> None:
    claude = prices(
        provider="anthropic", input=30, cached_input=3, cache_write=37, cache_write_1h=60, output=150
    )
    assert dearest_input(claude, 1000, cache_write).picos == most


def test_the_most_for_input_holds_a_write_fee_that_comes_without_asking() -> None:
    """OpenAI writes its cache by itself, and newer models bill that at 1.25 times the input."""
    assert dearest_input(prices(input=100, cache_write=125), 10, None).picos == 125


def test_the_most_covers_pictures_that_are_billed_higher() -> None:
    dear = prices(input=100, input_image=300)
    assert dearest_input(dear, 10, None, media=["image"]).picos == 300
    assert dearest_input(dear, 10, None).picos == 100
    assert dearest_input(prices(input=100), 10, None, media=["image"]).picos == 100


def test_the_most_covers_sound_and_pictures_in_the_answer() -> None:
    dear = prices(input=100, output=200, output_audio=900, output_image=700)
    assert dearest_output(dear, 10).picos == 200
    assert dearest_output(dear, 10, media=["text", "image"]).picos == 700
    assert dearest_output(dear, 10, media=["audio", "image"]).picos == 900
    assert dearest_output(prices(input=100, output=200), 10, media=["audio", "nonsense"]).picos == 200


def test_the_most_for_an_hour_of_cache_without_its_price_is_an_error() -> None:
    with pytest.raises(UnknownPriceError, match="cache_write_1h"):
        dearest_input(prices(provider="anthropic", input=30, cache_write=37), 1000, "1h")


def test_the_most_for_caching_of_another_kind_is_an_error() -> None:
    with pytest.raises(InvalidValueError):
        dearest_input(prices(input=1), 1, "2h")


def test_the_most_is_the_dearest_tier_that_can_be_reached() -> None:
    """Counted tokens are an upper bound, so a lower tier counts too, where it is the dearer one."""
    odd = prices(tiers={"input": {0: 9, 100: 5}, "output": {0: 10, 100: 20}})
    assert [dearest_input(odd, tokens, None).picos for tokens in (0, 100, 101)] == [9, 9, 9]
    assert [dearest_output(odd, tokens).picos for tokens in (0, 100, 101)] == [10, 10, 20]


def test_the_most_for_output_knows_dear_reasoning() -> None:
    assert dearest_output(prices(output=8, reasoning=30), 10).picos == 30
    assert dearest_output(prices(output=8, reasoning=3), 10).picos == 8


@pytest.mark.parametrize("picos", [0.5, -1, Fraction(-1, 3), True])
def test_a_price_is_exact_and_not_negative(picos: object) -> None:
    with pytest.raises(InvalidValueError):
        Price("input", picos)  # type: ignore[arg-type]


def test_a_price_has_a_known_unit() -> None:
    with pytest.raises(InvalidValueError):
        Price("tokens", 1)


@pytest.mark.parametrize(
    ("text", "picos"),
    [
        ("0.15", 150_000),
        ("3", 3_000_000),
        ("0", 0),
        ("0.000001", 1),
        ("0.0000005", Fraction(1, 2)),
        ("0.0833333333333333", Fraction(833333333333333, 10**10)),
    ],
)
def test_dollars_per_million_are_picos_per_token(text: str, picos: Picos) -> None:
    assert picos_per_unit("input", text) == picos
    assert type(picos_per_unit("input", text)) is type(picos)


def test_searches_are_priced_each() -> None:
    assert picos_per_unit("web_searches", "0.01") == 10**10


@pytest.mark.parametrize("text", ["", "-1", "1e3", "1,000", "nan", "1_000", " 1", "0x1", "1/3", "\u0661"])
def test_a_price_text_is_plain_decimals(text: str) -> None:
    with pytest.raises(InvalidValueError):
        picos_per_unit("input", text)


def _at(hour: int, minute: int = 0, *, day: int = 1) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("first", "end", "inside", "outside"),
    [
        (time(1), time(4), [_at(1), _at(3, 59)], [_at(0, 59), _at(4)]),
        (time(22), time(2), [_at(22), _at(23, 59), _at(0), _at(1, 59)], [_at(21, 59), _at(2), _at(12)]),
    ],
)
def test_a_daily_window_is_half_open_and_may_cross_midnight(
    first: time, end: time, inside: list[datetime], outside: list[datetime]
) -> None:
    sheet = Sheet((), None, (first, end))
    assert all(sheet.in_effect(at) for at in inside)
    assert not any(sheet.in_effect(at) for at in outside)


def test_the_last_sheet_in_effect_counts_and_a_day_starts_at_midnight_utc() -> None:
    dated = datetime(2026, 11, 3, 6, tzinfo=UTC)
    sheets = [Sheet(()), Sheet((), _at(0, day=2).date()), Sheet((), dated)]
    moments = [_at(23, 59), _at(0, day=2), _at(5, 59, day=3), _at(6, day=3)]
    assert [choose(sheets, at) for at in moments] == [0, 1, 1, 2]
    assert [end_of(sheets, place) for place in range(3)] == [sheets[1].starts, dated, None]
    assert choose(sheets[1:], _at(0)) is None
