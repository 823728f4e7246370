"""The decisions, at their edges: zero, exactly the limit, one more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets import rules
from budgets.errors import InvalidValueError
from budgets.money import MOST_NANOS
from budgets.periods import NEVER, PeriodRule
from budgets.records import Left, Limit, Quote, Totals
from budgets.rules import TICK, Counter

JAN, FEB, MAR, APR = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3, 4))
MONTHLY = Limit("m", 10, PeriodRule(1, "month"))


def counter(
    total: int | None, *, spent: int = 0, held: int = 0, unconfirmed: int = 0, user: str = "ann"
) -> Counter:
    limit = Limit(f"of-{user}", total, NEVER)
    return Counter(user, limit, Totals(limit.id, JAN, FEB, spent, held, unconfirmed))


# Does it fit?


@pytest.mark.parametrize(
    ("needed", "counters", "reason"),
    [
        pytest.param(1, [], None, id="nothing limits it"),
        pytest.param(10**18, [counter(None, spent=5)], None, id="a tally limits nothing"),
        pytest.param(10, [counter(10)], None, id="exactly the limit"),
        pytest.param(11, [counter(10)], "exceeded", id="one more"),
        pytest.param(3, [counter(10, spent=3, held=2, unconfirmed=2)], None, id="exactly what is left"),
        pytest.param(4, [counter(10, spent=3, held=2, unconfirmed=2)], "busy", id="one more, and calls run"),
        pytest.param(5, [counter(10, spent=3, held=2, unconfirmed=2)], "busy", id="all that calls hold"),
        pytest.param(6, [counter(10, spent=3, held=2, unconfirmed=2)], "exceeded", id="more than they hold"),
        pytest.param(
            1, [counter(10, unconfirmed=10)], "exceeded", id="waiting does not help the unconfirmed"
        ),
        pytest.param(0, [counter(0)], None, id="what costs nothing fits a budget of nothing"),
        pytest.param(0, [counter(10, spent=99)], None, id="what costs nothing fits an overrun"),
        pytest.param(1, [counter(10, spent=12)], "exceeded", id="an overrun"),
        pytest.param(1, [counter(0)], "exceeded", id="a budget of nothing"),
        pytest.param(5, [counter(10), counter(4, user="team")], "exceeded", id="it must fit all of them"),
    ],
)
def test_a_call_fits_or_does_not(needed: int, counters: list[Counter], reason: str | None) -> None:
    refusal = rules.admit("ann", counters, needed)
    assert (refusal.reason if refusal else None) == reason


def test_the_refusal_names_the_limit_with_the_least_left() -> None:
    counters = [counter(10, spent=8), counter(20, spent=19, user="team"), counter(9, spent=6, user="")]
    refusal = rules.admit("ann", counters, 5)
    assert refusal is not None
    assert (refusal.user, refusal.limit_user, refusal.limit_id) == ("ann", "team", "of-team")
    assert (refusal.total_nanos, refusal.spent_nanos, refusal.left_nanos) == (20, 19, 1)
    assert (refusal.needed_nanos, refusal.resets_at) == (5, FEB)


def test_where_waiting_cannot_help_the_refusal_names_the_limit_that_it_cannot_help() -> None:
    """Raising the limit that only runs late would not let the call through."""
    refusal = rules.admit("ann", [counter(10, held=10), counter(10, spent=8, user="team")], 5)
    assert refusal is not None
    assert (refusal.reason, refusal.limit_user) == ("exceeded", "team")


@given(
    st.integers(0, 30),
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), max_size=4
    ),
)
def test_what_is_admitted_passes_no_limit(needed: int, figures: list[tuple[int, int, int, int]]) -> None:
    counters = [
        counter(total, spent=spent, held=held, unconfirmed=unconfirmed)
        for total, spent, held, unconfirmed in figures
    ]
    fits = all(needed + sum(taken) <= total for total, *taken in figures)
    assert (rules.admit("ann", counters, needed) is None) == (fits or needed == 0)


def test_what_is_left_is_the_least_on_the_path_and_says_whose() -> None:
    assert rules.left_over([]) == Left(None)
    assert rules.left_over([counter(None, spent=3)]) == Left(None)
    found = rules.left_over([counter(10, spent=3), counter(None), counter(4, held=5, user="team")])
    assert found == Left(-1, "team", "of-team", FEB)


@pytest.mark.parametrize(
    ("total", "taken", "excess"), [(10, 9, 0), (10, 10, 0), (10, 11, 1), (0, 3, 3), (None, 99, 0)]
)
def test_what_stands_above_a_limit(total: int | None, taken: int, excess: int) -> None:
    found = counter(total, spent=taken)
    assert rules.excess_nanos(found.limit, found.totals) == excess


# Boosts and thresholds


def boosted(total: int | None, boost: int, *, spent: int = 0, held: int = 0) -> Counter:
    made = counter(total, spent=spent, held=held)
    return made._replace(totals=replace(made.totals, boost_nanos=boost))


def test_a_boost_is_room() -> None:
    found = boosted(10, 5, spent=9, held=4)
    assert rules.free_nanos(found) == 2
    assert rules.left_over([found]).nanos == 2
    assert rules.admit("ann", [found], 2) is None
    refusal = rules.admit("ann", [found], 3)
    assert refusal is not None
    assert refusal.reason == "busy"
    assert (refusal.total_nanos, refusal.boost_nanos, refusal.left_nanos) == (10, 5, 2)
    assert rules.excess_nanos(found.limit, found.totals) == 0
    over = boosted(10, 5, spent=16)
    assert rules.excess_nanos(over.limit, over.totals) == 1
    assert rules.free_nanos(boosted(None, 5)) is None


@pytest.mark.parametrize(
    ("found", "percents"),
    [
        pytest.param(boosted(10, 0), [], id="nothing spent"),
        pytest.param(boosted(10, 0, spent=4, held=6), [], id="what is held may come back"),
        pytest.param(boosted(10, 0, spent=5), [50], id="exactly the threshold"),
        pytest.param(boosted(10, 0, spent=7), [50], id="between two"),
        pytest.param(boosted(10, 0, spent=12), [50, 80, 100], id="beyond the limit"),
        pytest.param(boosted(10, 10, spent=9), [], id="a boost is part of the limit"),
        pytest.param(boosted(0, 0), [], id="nothing spent of nothing"),
        pytest.param(boosted(0, 0, spent=1), [50, 80, 100], id="a nano of nothing"),
        pytest.param(boosted(None, 0, spent=99), [], id="a tally"),
        pytest.param(boosted(3, 0, spent=1), [], id="a third is less than half"),
        pytest.param(boosted(10**18, 0, spent=5 * 10**17 - 1), [], id="a nano less than half of a billion"),
    ],
)
def test_a_threshold_is_reached_by_what_is_spent(found: Counter, percents: list[int]) -> None:
    assert rules.reached(replace(found.limit, warn_at=(50, 80, 100)), found.totals) == percents


def test_thresholds_are_sorted_and_each_is_there_once() -> None:
    assert rules.check_thresholds([80, 1, 50, 80, 100]) == (1, 50, 80, 100)
    assert rules.check_thresholds([]) == ()


@pytest.mark.parametrize("percent", [0, 101, -5])
def test_a_threshold_is_a_share_of_the_limit(percent: int) -> None:
    with pytest.raises(InvalidValueError, match="no threshold"):
        rules.check_thresholds([50, percent])


# How much is held


def quote(**changes: Any) -> Quote:
    """$1 for the prompt and a cent for each token of the answer, 100 of them at most."""
    made = Quote(
        model="m",
        provider="p",
        input_tokens=1,
        input_tokens_most=1,
        counted="test",
        prompt_nanos=100,
        fixed_picos=100_000,
        output_picos=1_000,
        output_limit=100,
        limited_by="default",
        floor=20,
        book_version="1",
    )
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("left", "output_limit", "limited_by"),
    [
        pytest.param(None, 100, "default", id="nothing limits it"),
        pytest.param(200, 100, "default", id="exactly enough"),
        pytest.param(199, 99, "budget", id="a token too much"),
        pytest.param(120, 20, "budget", id="exactly the floor"),
        pytest.param(119, 100, "default", id="below the floor it is not worth it"),
        pytest.param(0, 100, "default", id="nothing is left"),
        pytest.param(-5, 100, "default", id="less than nothing is left"),
    ],
)
def test_an_answer_is_shortened_to_what_is_left_down_to_a_floor(
    left: int | None, output_limit: int, limited_by: str
) -> None:
    found = rules.fitted(quote(), left)
    assert (found.output_limit, found.limited_by) == (output_limit, limited_by)


def test_the_callers_own_limit_is_never_touched() -> None:
    asked = quote(limited_by="caller")
    assert rules.fitted(asked, 150) == asked


@pytest.mark.parametrize(
    ("left", "sharers", "output_limit", "limited_by"),
    [
        pytest.param(400, 2, 100, "default", id="the part is exactly enough"),
        pytest.param(398, 2, 99, "budget", id="the part is a token too little"),
        pytest.param(200, 4, 20, "budget", id="made up to the floor"),
        pytest.param(119, 4, 100, "default", id="the whole is below the floor"),
    ],
)
def test_calls_that_wait_share_what_is_left(
    left: int, sharers: int, output_limit: int, limited_by: str
) -> None:
    found = rules.fitted(quote(), left, sharers)
    assert (found.output_limit, found.limited_by) == (output_limit, limited_by)


@given(
    st.integers(0, 10**6),
    st.integers(0, 10**4),
    st.integers(1, 10**4),
    st.integers(1, 10**4),
    st.integers(0, 10**5),
    st.integers(1, 9),
)
def test_a_call_whose_least_fits_holds_no_more_than_is_left(
    fixed: int, output: int, limit: int, floor: int, left: int, sharers: int
) -> None:
    asked = quote(fixed_picos=fixed, output_picos=output, output_limit=limit, floor=floor)
    if asked.least_nanos <= left:
        found = rules.fitted(asked, left, sharers)
        assert found.most_nanos <= left
        assert min(floor, limit) <= found.output_limit <= limit


# Which period is it


def test_a_period_does_not_reach_back_past_a_reset() -> None:
    reset_at = FEB + timedelta(days=3)
    limit = replace(MONTHLY, reset_at=reset_at)
    assert rules.period_for(limit, reset_at - TICK) == Totals("m", FEB, MAR)
    assert rules.period_for(limit, reset_at) == Totals("m", reset_at, MAR)
    assert rules.period_for(limit, MAR - TICK) == Totals("m", reset_at, MAR)
    assert rules.period_for(limit, MAR) == Totals("m", MAR, APR)


def test_a_period_is_half_open() -> None:
    totals = Totals("m", FEB, MAR)
    assert [rules.contains(totals, at) for at in (FEB - TICK, FEB, MAR - TICK, MAR)] == [
        False,
        True,
        True,
        False,
    ]
    assert [rules.has_ended(totals, at) for at in (FEB - TICK, MAR - TICK, MAR)] == [False, False, True]
    assert not rules.has_ended(Totals("m", FEB, None), datetime(8999, 1, 1, tzinfo=UTC))


def test_the_period_that_counts_is_the_opened_one_until_it_ends() -> None:
    opened = Totals("m", FEB, MAR, spent_nanos=4)
    assert rules.standing(MONTHLY, opened, MAR - TICK) is opened
    assert rules.standing(MONTHLY, opened, MAR) == Totals("m", MAR, APR)
    assert rules.standing(MONTHLY, None, FEB) == Totals("m", FEB, MAR)


def test_where_an_edge_has_moved_the_next_period_begins_where_the_opened_one_ends() -> None:
    """A newer time zone database may move midnight; no moment may count twice."""
    end = MAR + timedelta(hours=1)
    assert rules.standing(MONTHLY, Totals("m", FEB, end), end) == Totals("m", end, APR)


def test_a_gap_is_filled_up_to_its_opened_neighbours() -> None:
    before, after = Totals("m", JAN, FEB + timedelta(days=2)), Totals("m", MAR - timedelta(days=2), APR)
    found = rules.gap_period(MONTHLY, FEB + timedelta(days=9), [before, after])
    assert found == Totals("m", FEB + timedelta(days=2), MAR - timedelta(days=2))
    assert rules.gap_period(MONTHLY, FEB, []) == Totals("m", FEB, MAR)
    assert rules.gap_period(replace(MONTHLY, rule=NEVER), FEB, [Totals("m", MAR, None)]).end == MAR


def test_ledger_time_is_the_later_of_the_clock_and_what_was_counted() -> None:
    assert rules.ledger_time(FEB, []) == FEB
    assert rules.ledger_time(FEB, [None, Totals("m", JAN, None)]) == FEB
    assert rules.ledger_time(JAN, [Totals("m", FEB, None)]) == FEB
    assert rules.ledger_time(FEB, [Totals("m", JAN, None, touched_at=MAR)]) == MAR


def test_a_reset_begins_strictly_after_what_was_counted() -> None:
    assert rules.after_last(Totals("m", JAN, None, touched_at=FEB), FEB) == FEB + TICK
    assert rules.after_last(Totals("m", JAN, None, touched_at=FEB), MAR) == MAR
    assert rules.after_last(Totals("m", FEB, None), FEB) == FEB + TICK


# Values at the door


@pytest.mark.parametrize("name", ["ann", "a b", "日本", "1234", "-x", "a/b", "x" * rules.LONGEST_NAME])
def test_a_name_is_kept_as_it_is(name: str) -> None:
    assert rules.check_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * (rules.LONGEST_NAME + 1), "a\x00b", "\udcff"])
def test_a_name_that_cannot_be_kept_is_refused(name: str) -> None:
    with pytest.raises(InvalidValueError):
        rules.check_name(name)


@pytest.mark.parametrize("nanos", [0, 1, MOST_NANOS])
def test_an_amount_in_bounds(nanos: int) -> None:
    assert rules.check_amount(nanos, "a limit") == nanos


@pytest.mark.parametrize("nanos", [-1, MOST_NANOS + 1, 1.0, True, "1", None])
def test_an_amount_out_of_bounds_or_no_whole_number(nanos: Any) -> None:
    with pytest.raises(InvalidValueError, match="a limit must be whole nano-dollars"):
        rules.check_amount(nanos, "a limit")
