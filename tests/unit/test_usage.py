"""Counts by unit: disjoint, whole, and summed by what they are."""

from __future__ import annotations

from typing import Any

import pytest

from budgets.errors import InvalidValueError
from budgets.usage import (
    INPUT_UNITS,
    MOST_COUNT,
    OUTPUT_UNITS,
    PRICED_BY_THE_HOUR,
    PRICED_EACH,
    TOKEN_UNITS,
    UNITS,
    Usage,
    priced_for,
)


def test_counts_stand_in_the_order_of_the_units_and_without_zeros() -> None:
    usage = Usage.of(reasoning=3, output=0, cached_input=2, input=1)
    assert list(usage) == [("input", 1), ("cached_input", 2), ("reasoning", 3)]
    assert usage == Usage.of(input=1, cached_input=2, reasoning=3)


def test_an_absent_count_is_zero() -> None:
    assert Usage.of(input=5)["input"] == 5
    assert Usage.of(input=5)["output"] == 0


def test_input_and_output_are_sums_and_nothing_is_in_both() -> None:
    usage = Usage(tuple((unit, 1) for unit in UNITS))
    assert usage.input_tokens == len(INPUT_UNITS)
    assert usage.output_tokens == len(OUTPUT_UNITS)
    assert not set(INPUT_UNITS) & set(OUTPUT_UNITS)
    assert {*INPUT_UNITS, *OUTPUT_UNITS} <= TOKEN_UNITS <= UNITS.keys()
    assert not {"requests", "web_searches", "images", "pages", "input_seconds"} & TOKEN_UNITS


@pytest.mark.parametrize(
    ("unit", "so_many"),
    [
        ("input", 1_000_000),
        ("pixels", 1_000_000),
        ("input_characters", 1_000_000),
        ("input_seconds", 3_600),
        ("output_seconds", 3_600),
        ("requests", 1),
        ("images", 1),
        ("pages", 1),
    ],
)
def test_a_price_is_given_for_so_many_of_its_unit(unit: str, so_many: int) -> None:
    assert priced_for(unit) == so_many


def test_units_that_are_not_priced_by_the_million_are_units() -> None:
    assert set(UNITS) >= PRICED_EACH | PRICED_BY_THE_HOUR
    assert not PRICED_EACH & PRICED_BY_THE_HOUR


def test_for_json_it_says_how_it_was_counted() -> None:
    assert Usage.of(input=1, how="bound:bytes").as_dict() == {"input": 1, "how": "bound:bytes"}
    assert Usage.of().as_dict() == {"how": "reported"}


@pytest.mark.parametrize("count", [-1, MOST_COUNT + 1, 1.0, True, None, "1"])
def test_a_count_is_a_whole_number_in_bounds(count: Any) -> None:
    with pytest.raises(InvalidValueError, match="count of input"):
        Usage.of(input=count)


def test_the_most_that_can_be_counted_can_be_counted() -> None:
    assert Usage.of(input=MOST_COUNT)["input"] == MOST_COUNT


def test_an_unknown_unit_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidValueError, match="tokens is not a unit") as refused:
        Usage.of(tokens=1)
    assert "cached_input" in (refused.value.hint or "")
