"""Laws of what is learned: neither the order of calls nor the cuts between them matter, no hold shrinks."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from budgets.asks import Ask, Count
from budgets.engine.estimating import sharpened
from budgets.engine.learning import added
from budgets.lessons import MOST_PERCENT, Estimate, Learned
from budgets.records import ROOT, Entry

AT = datetime(2026, 1, 31, tzinfo=UTC)

estimates = st.builds(
    Estimate,
    st.sampled_from(["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"]),
    st.sampled_from(["text", "text+tools"]),
    st.sampled_from([0, 7, 99, 100, 5_000, 10**6]),
    st.sampled_from(["tiktoken:o200k_base", "calibrated:anthropic"]),
)
# Whatever a provider may say, up to what a usage block can carry.
reports = st.one_of(st.integers(0, 200), st.integers(0, 10**12))
calls = st.lists(st.tuples(estimates, reports, st.booleans()), max_size=60)


def entries(told: list[tuple[Estimate, int, bool]]) -> list[Entry]:
    return [
        Entry(
            f"call-{number}",
            "charge",
            ("ann", ROOT),
            AT,
            AT,
            10,
            "model",
            {
                "how": "reported",
                "held_nanos": 10 if covered else 9,
                "estimate": estimate.as_dict(),
                "usage": {"input": reported, "how": "reported"},
            },
        )
        for number, (estimate, reported, covered) in enumerate(told)
    ]


@given(calls.flatmap(lambda told: st.tuples(st.just(told), st.permutations(told))))
def test_the_order_of_calls_makes_no_difference(both: tuple[list, list]) -> None:
    one, other = (added(Learned(), entries(told)).lessons for told in both)
    assert one == other


@given(calls, st.integers(0, 60))
def test_learning_in_two_goes_is_learning_in_one(told: list, cut: int) -> None:
    written = entries(told)
    assert added(added(Learned(), written[:cut]), written[cut:]) == added(Learned(), written)


@given(
    estimates.filter(lambda estimate: estimate.likely > 0),
    st.lists(reports.filter(bool), min_size=20, max_size=60),
    st.integers(0, 10**6),
    st.none() | st.integers(1, 10**6),
)
def test_a_hold_never_shrinks_and_never_grows_without_end(
    estimate: Estimate, reported: list[int], spare: int, window: int | None
) -> None:
    told = [(estimate, each, True) for each in reported]
    lessons = {lesson.topic: lesson for lesson in added(Learned(), entries(told)).lessons}
    shipped = Count(estimate.likely, estimate.likely + spare, estimate.counted)
    ask = Ask("openai-chat", "m", texts=("x",), tools=("{}",) if "tools" in estimate.kind else ())
    count, kept = sharpened(ask, shipped, model=estimate.model, context_window=window, lessons=lessons)
    assert count.how.startswith(f"learned:{estimate.model} n={len(reported)} ")
    assert kept == estimate
    assert shipped.most <= count.most
    assert 0 <= count.likely <= count.most
    highest = -(-shipped.likely * (MOST_PERCENT + MOST_PERCENT // 20) // 100)
    assert count.most <= max(shipped.most, highest if window is None else min(highest, window))
