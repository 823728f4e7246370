"""A count that follows what calls like it have turned out to be."""

from __future__ import annotations

import pytest

from budgets.asks import Ask, Count
from budgets.engine.estimating import Lessons, sharpened
from budgets.lessons import Estimate, Lesson

MODEL = "openai/gpt-4o-mini"
HOW = "tiktoken:o200k_base +4/message"
SHIPPED = Count(200, 250, HOW)
ASK = Ask("openai-chat", "gpt-4o-mini", texts=("Tell me about holds.",))


def after(
    percents: dict[int, int], *, ask: Ask = ASK, shipped: Count = SHIPPED, window: int | None = 128_000
) -> tuple[Count, Estimate]:
    lesson = Lesson((MODEL, "text", 3, HOW)).with_calls(percents, covered=0)
    lessons: Lessons = {lesson.topic: lesson}
    return sharpened(ask, shipped, model=MODEL, context_window=window, lessons=lessons)


def test_the_likely_figure_follows_the_median() -> None:
    count, estimate = after({104: 143})
    assert count == Count(208, 250, f"learned:{MODEL} n=143 p50 1.04 of {HOW}")
    # What the next report is compared with stays our own count: a factor on a factor would run away.
    assert estimate == Estimate(MODEL, "text", 200, HOW)


def test_the_most_is_raised_where_calls_went_above_it() -> None:
    count, _ = after({130: 100})
    assert (count.likely, count.how) == (260, f"learned:{MODEL} n=100 p50 1.30 of {HOW}")
    assert (count.most, count.most_how) == (274, f"learned:{MODEL} n=100 p99 1.30 of {HOW}")


def test_the_most_is_not_lowered_where_calls_stay_below_it() -> None:
    count, _ = after({40: 100})
    assert (count.likely, count.most) == (80, 250)


@pytest.mark.parametrize(
    ("window", "most"),
    [
        pytest.param(None, 2_100, id="ten times the likely count, and the margin"),
        pytest.param(128_000, 2_100, id="a window far above"),
        pytest.param(1_000, 1_000, id="what the model can read"),
        pytest.param(100, 250, id="a window below what is held anyway"),
    ],
)
def test_a_provider_that_reports_absurd_counts_raises_a_hold_so_far(window: int | None, most: int) -> None:
    count, _ = after({1_000: 500}, window=window)
    assert count.most == most
    assert count.likely <= most


@pytest.mark.parametrize(
    ("ask", "shipped"),
    [
        pytest.param(Ask("openai-chat", "m", texts=("x",), tools=("{}",)), SHIPPED, id="tools"),
        pytest.param(Ask("openai-chat", "m", token_ids=9), SHIPPED, id="ids"),
        pytest.param(ASK, Count(99, 250, HOW), id="a shorter request"),
        pytest.param(ASK, Count(1_000, 1_250, HOW), id="a longer request"),
        pytest.param(ASK, Count(200, 250, "another way of counting"), id="counted otherwise"),
    ],
)
def test_what_was_learned_of_one_topic_says_nothing_of_another(ask: Ask, shipped: Count) -> None:
    count, _ = after({130: 100}, ask=ask, shipped=shipped)
    assert count is shipped


def test_what_few_calls_say_is_not_followed() -> None:
    assert after({130: 19})[0] is SHIPPED
    assert after({130: 20})[0] is not SHIPPED
