"""What is learned from pairs of an estimate and a report, by the table."""

from __future__ import annotations

from collections import Counter

import pytest

from budgets.lessons import Estimate, Lesson, hundredths, percent_of, size_of

TOPIC = ("openai/gpt-4o-mini", "text", 3, "tiktoken:o200k_base")


def lesson(*percents: int) -> Lesson:
    return Lesson(TOPIC).with_calls(Counter(percents), covered=len(percents))


@pytest.mark.parametrize(
    ("reported", "estimated", "percent"),
    [
        pytest.param(100, 100, 100, id="the same"),
        pytest.param(143, 137, 104, id="to the nearest"),
        pytest.param(1, 200, 1, id="half a percent is one"),
        pytest.param(1, 10**9, 1, id="never none"),
        pytest.param(10**12, 1, 1_000, id="never more than ten times"),
    ],
)
def test_a_report_is_a_part_of_its_estimate(reported: int, estimated: int, percent: int) -> None:
    assert percent_of(reported, estimated=estimated) == percent


@pytest.mark.parametrize(("tokens", "size"), [(0, 2), (1, 2), (99, 2), (100, 3), (999, 3), (1_000, 4)])
def test_estimates_of_one_order_of_size_belong_together(tokens: int, size: int) -> None:
    assert size_of(tokens) == size
    least, most = Lesson(("m", "text", size, "c")).tokens
    assert least <= max(tokens, 1) <= most


def test_a_median_is_a_value_that_was_there() -> None:
    assert lesson(90, 130).median_percent == 90
    assert lesson(90, 130, 131).median_percent == 130


@pytest.mark.parametrize(
    ("percents", "high"),
    [
        pytest.param([100] * 19 + [900], 100, id="one in twenty decides nothing"),
        pytest.param([100] * 18 + [900] * 2, 900, id="two do"),
        pytest.param([100] * 990 + [900] * 10, 100, id="nor does one in a hundred"),
        pytest.param([100] * 989 + [900] * 11, 900, id="more do"),
    ],
)
def test_the_highest_calls_do_not_decide_alone(percents: list[int], high: int) -> None:
    assert lesson(*percents).high_percent == high


def test_an_error_counts_in_both_directions() -> None:
    found = lesson(*[100] * 10, *[90] * 9, 130)
    assert [found.error_percent(share) for share in (50, 95, 100)] == [0, 10, 30]


def test_tokens_are_rounded_up() -> None:
    found = lesson(*[104] * 20)
    assert (found.counts, found.likely(101), found.most_percent, found.most(101)) == (True, 106, 110, 112)


def test_few_calls_say_nothing() -> None:
    assert not lesson(*[104] * 19).counts


def test_a_factor_is_written_as_people_do() -> None:
    assert [hundredths(percent) for percent in (4, 104, 1_000)] == ["0.04", "1.04", "10.00"]


def test_an_estimate_comes_back_as_it_was_kept() -> None:
    estimate = Estimate("openai/gpt-4o-mini", "text+tools", 1_234, "tiktoken:o200k_base")
    assert Estimate.from_dict(estimate.as_dict()) == estimate
    assert estimate.topic == ("openai/gpt-4o-mini", "text+tools", 4, "tiktoken:o200k_base")
