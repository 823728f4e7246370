"""Money comes in as text and goes out as text, exactly; nothing else does."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets.errors import InvalidValueError
from budgets.money import MOST_NANOS, format_usd, money, parse_usd, round_up, shown


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("0", 0),
        ("10", 10_000_000_000),
        ("12.50", 12_500_000_000),
        ("$12.50", 12_500_000_000),
        (" 7 ", 7_000_000_000),
        ("1.", 1_000_000_000),
        ("007", 7_000_000_000),
        ("0.000000001", 1),
        ("0.1000000000000000000000000000000", 100_000_000),
        ("1,000.50", 1_000_500_000_000),
        ("$1,000,000,000", MOST_NANOS),
        ("1000000000.000000000", MOST_NANOS),
    ],
)
def test_an_amount_is_read_exactly(text: str, nanos: int) -> None:
    assert parse_usd(text) == nanos


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("-5", "never negative"),
        ("-$5", "never negative"),
        ("nan", "plain number"),
        ("NaN", "plain number"),
        ("inf", "for none"),
        ("-inf", "never negative"),
        ("Infinity", "for none"),
        ("1e400", "write the number out"),
        ("1e-3", "write the number out"),
        ("1,5", "a point for decimals"),
        ("1.000,50", "a point for decimals"),
        ("1,00", "a point for decimals"),
        ("10,00,000", "plain number"),
        ("1,000,00.5", "plain number"),
        ("0.0000000001", "at most nine decimals"),
        ("0." + "0" * 29 + "1", "at most nine decimals"),
        ("1000000000.000000001", "smaller amount"),
        ("1" * 40, "smaller amount"),
        ("", "plain number"),
        ("$", "plain number"),
        (".5", "plain number"),
        ("+5", "plain number"),
        ("5 USD", "plain number"),
        ("5€", "plain number"),
        ("0x10", "plain number"),
        ("1_000", "plain number"),
        ("٣", "plain number"),
        ("12.5\n0", "plain number"),
        ("1" * 100_000, "plain number"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        parse_usd(text)
    assert hint in (refused.value.hint or "")


def test_a_refusal_shows_what_came_in_cut_and_harmless() -> None:
    with pytest.raises(InvalidValueError, match=r'^"\?\[31mred') as refused:
        parse_usd("\x1b[31mred" + "!" * 100)
    assert len(refused.value.message) < 100
    assert shown("\x00" * 3) == '"???"'


@pytest.mark.parametrize(
    ("nanos", "text", "read_aloud"),
    [
        (0, "0.00", "$0.00"),
        (1, "0.000000001", "$0.000000001"),
        (31_500, "0.0000315", "$0.0000315"),
        (100_000_000, "0.10", "$0.10"),
        (1_000_500_000_000, "1000.50", "$1,000.50"),
        (-1_200_000_000, "-1.20", "-$1.20"),
        (-1, "-0.000000001", "-$0.000000001"),
        (MOST_NANOS, "1000000000.00", "$1,000,000,000.00"),
    ],
)
def test_an_amount_is_shown_in_full(nanos: int, text: str, read_aloud: str) -> None:
    assert format_usd(nanos) == text
    assert money(nanos) == read_aloud


@given(st.integers(0, MOST_NANOS))
def test_what_is_shown_is_read_back(nanos: int) -> None:
    assert parse_usd(format_usd(nanos)) == nanos
    assert parse_usd(money(nanos)) == nanos


@pytest.mark.parametrize(
    ("picos", "nanos"),
    [(0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2), (Fraction(1, 10**9), 1), (Fraction(2_000), 2)],
)
def test_a_cost_is_rounded_up_to_a_nano(picos: int | Fraction, nanos: int) -> None:
    found = round_up(picos)
    assert (found, type(found)) == (nanos, int)


@given(st.fractions(0, 10**15))
def test_rounding_never_takes_too_little_and_never_a_nano_too_much(picos: Fraction) -> None:
    assert 0 <= round_up(picos) * 1_000 - picos < 1_000
