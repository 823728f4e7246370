"""Discounts on a whole account: exact, dated, pinned, and never taken off an own price."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest

from budgets.errors import ConfigError, InvalidValueError
from budgets.prices import open_book
from budgets.prices.discounts import parse_percent
from budgets.prices.overlay import set_discount, set_price
from budgets.pricing import cost, dearest_input, percent_text
from budgets.usage import Usage

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINI = Usage.of(input=1_000, cached_input=7, output=300)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "prices.toml"


def _picos(own: Path, model: str = "openai/gpt-4o-mini", at: datetime = NOON) -> Fraction:
    return Fraction(cost(MINI, open_book(own).find(model, at=at)).exact_picos)


@pytest.mark.parametrize(
    ("text", "percent", "shown"),
    [
        ("10%", Fraction(10), "10%"),
        (" 12.5 ", Fraction(25, 2), "12.5%"),
        ("0", Fraction(0), "0%"),
        ("99.999999%", Fraction(99999999, 10**6), "99.999999%"),
        ("00.10 %", Fraction(1, 10), "0.1%"),
    ],
)
def test_a_percentage_is_exact(text: str, percent: Fraction, shown: str) -> None:
    assert parse_percent(text) == percent
    assert percent_text(percent) == shown


@pytest.mark.parametrize(
    "text", ["", "100", "100%", "-5", "-5%", "1e1", "ten", "10%%", "0.0000001", "nan", "٣"]
)
def test_what_is_no_discount_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError, match="is not a discount"):
        parse_percent(text)


def test_a_discount_is_taken_off_every_unit_exactly(own: Path) -> None:
    listed = _picos(own)
    set_discount(own, "33.3%", now=NOON)
    assert _picos(own) == listed * Fraction(667, 1000)
    assert _picos(own, at=NOON - timedelta(seconds=1)) == listed, "without a day it holds from now on"
    prices = open_book(own).find("openai/gpt-4o-mini", at=NOON)
    assert prices.row("web_searches", 0).picos == 10**10 * Fraction(667, 1000)
    assert prices.row("input", 0).source.endswith(", less 33.3%")


def test_a_discount_holds_for_tiers_regions_and_what_is_held(own: Path) -> None:
    before = open_book(own).find("claude-opus-4-6", at=NOON)
    set_discount(own, "10", provider="anthropic", now=NOON)
    after = open_book(own).find("claude-opus-4-6", at=NOON)
    for tier, region in ((None, None), ("batch", None), (None, "us")):
        was, now = (cost(MINI, each.for_call(tier, region)).exact_picos for each in (before, after))
        assert Fraction(now) == was * Fraction(9, 10)
    held, full = (dearest_input(each, 10**5, "1h").picos for each in (after, before))
    assert Fraction(held) == full * Fraction(9, 10)


def test_a_providers_own_discount_counts_before_one_of_all(own: Path) -> None:
    listed = _picos(own)
    set_discount(own, "10", provider="openai", starts=date(2026, 1, 1), now=NOON)
    set_discount(own, "50", starts=date(2026, 6, 1), now=NOON)
    assert _picos(own) == listed * Fraction(9, 10), "the two are not multiplied"
    assert _picos(own, "azure/gpt-4o-mini") == listed / 2


def test_discounts_have_their_days(own: Path) -> None:
    listed = _picos(own)
    set_discount(own, "10", starts=date(2026, 11, 1), now=NOON)
    set_discount(own, "40", starts=date(2026, 11, 10), ends=datetime(2026, 11, 20, 6, tzinfo=UTC), now=NOON)
    set_discount(own, "0", starts=date(2026, 12, 1), now=NOON)

    def paid(month: int, day: int, hour: int = 0) -> Fraction:
        return _picos(own, at=datetime(2026, month, day, hour, tzinfo=UTC)) / listed

    assert [paid(10, 31), paid(11, 1), paid(11, 10), paid(11, 20, 5), paid(11, 20, 6), paid(12, 1)] == [
        1,
        Fraction(9, 10),
        Fraction(6, 10),
        Fraction(6, 10),
        Fraction(9, 10),
        1,
    ]


def test_of_two_discounts_of_one_day_the_lower_one_counts(own: Path) -> None:
    listed = _picos(own)
    for percent in ("50", "5"):
        set_discount(own, percent, starts=date(2026, 11, 1), now=NOON)
    assert _picos(own) == listed * Fraction(95, 100)


def test_an_own_price_has_no_discount(own: Path) -> None:
    set_discount(own, "50", starts=date(2026, 1, 1), now=NOON)
    set_price(own, "gpt-4o-mini", prices={"input": "1", "output": "1"}, now=NOON)
    assert _picos(own) == 1_307_000_000


def test_a_charge_pins_the_discount_and_what_was_paid(own: Path) -> None:
    set_discount(own, "12.5%", starts=date(2026, 1, 1), now=NOON)
    found = cost(Usage.of(input=8), open_book(own).find("openai/gpt-4o-mini", at=NOON))
    assert found.pins()["discount"] == "12.5%"
    assert found.pins()["rows"] == {"input": "131250"}
    assert found.exact_picos == 8 * 131_250
    assert "+own-" in found.pins()["book"]


def test_a_warm_answer_is_the_same_object_and_follows_the_days(own: Path) -> None:
    set_discount(own, "10", starts=date(2026, 11, 1), ends=date(2026, 11, 23), now=NOON)
    book = open_book(own)
    first = book.find("openai/gpt-4o-mini", at=NOON)
    assert book.find("openai/gpt-4o-mini", at=NOON) is first
    assert book.find("openai/gpt-4o-mini", at=NOON + timedelta(days=1)).discount_percent == 0


def test_the_version_changes_with_discounts_alone(own: Path) -> None:
    set_price(own, "m", prices={"input": "1", "output": "1"}, now=NOON)
    before = open_book(own).version
    set_discount(own, "10", now=NOON)
    assert open_book(own).version != before


def test_a_list_has_what_is_paid(own: Path) -> None:
    set_discount(own, "50", provider="openai", starts=date(2026, 1, 1), now=NOON)
    rates = {f"{each.provider}/{each.model}": each for each in open_book(own).current(NOON)}
    assert rates["openai/gpt-4o-mini"].row("input", 0).picos == 75_000
    assert rates["anthropic/claude-sonnet-4-5"].discount_percent == 0


def test_a_provider_that_nobody_knows_is_refused_and_nothing_written(own: Path) -> None:
    with pytest.raises(InvalidValueError, match="no price is of a provider") as caught:
        set_discount(own, "10", provider="opnai", now=NOON)
    assert "openai" in (caught.value.hint or "")
    assert not own.exists()
    set_discount(own, "10", provider="xai", now=NOON)
    assert 'provider = "xai"' in own.read_text()
    assert open_book(own).find("grok-4", provider="x-ai", at=NOON).discount_percent == 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[discount]]\npercent = 10\n", "discount 1: its percent is no text"),
        ('[[discount]]\npercent = "110"\n', "is not a discount"),
        ('[[discount]]\npercent = "-1"\n', "is not a discount"),
        ('[[discount]]\npercent = "1"\nprovider = ""\n', "its provider is not a name"),
        ('[[discount]]\npercent = "1"\nfrom = 2026-01-02\nto = 2026-01-02\n', "it ends before it begins"),
        ('[[discount]]\npercent = "1"\nto = "soon"\n', '"soon" is not a day'),
        ('[[discount]]\npercent = "1"\nmodel = "m"\n', '"model" is not understood'),
        ('[discount]\npercent = "1"\n', "discount is one table"),
        ("discount = [1]\n", "it is not a table"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_with_its_place(own: Path, text: str, said: str) -> None:
    own.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        open_book(own)
    assert str(own) in caught.value.message
    assert caught.value.hint


def test_prices_and_discounts_in_one_file_keep_hand_edits(own: Path) -> None:
    own.write_text("# ours\n")
    set_discount(own, "10", provider="openai", starts=date(2026, 1, 1), now=NOON)
    set_price(own, "m", prices={"input": "1", "output": "1"}, now=NOON)
    set_discount(own, "20", provider="openai", ends=date(2027, 1, 1), now=NOON)
    text = own.read_text()
    assert text.startswith("# ours\n\n[[discount]]\n")
    assert text.count("[[discount]]") == 2
    assert 'from = "2026-11-22T12:00:00Z"\nto = "2027-01-01"\n' in text
    assert _picos(own) == _picos(own.with_name("none.toml")) * Fraction(8, 10)
