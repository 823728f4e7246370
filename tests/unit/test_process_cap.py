"""`budgets.max_budget`: the cap of this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import budgets
from budgets import process_cap
from budgets.errors import BudgetBusyError, BudgetExceededError, InvalidValueError
from budgets.money import parse_usd
from budgets.records import Quote


@pytest.fixture(autouse=True)
def no_cap() -> Iterator[None]:
    budgets.max_budget = None
    yield
    budgets.max_budget = None


def quote(output_limit: int, limited_by: Any = "default") -> Quote:
    """A prompt of $0.10, and a millionth of a dollar for each token of the answer."""
    return Quote(
        "m", "p", 1, 1, "test", 0, 10**11, 10**6, output_limit, limited_by, min(256, output_limit), "v1"
    )


def test_none_is_no_cap_and_what_is_spent_is_counted_all_the_same() -> None:
    before = process_cap.spent_nanos()
    with process_cap.held(parse_usd("1000")) as cap:
        cap.settle(parse_usd("700"))
    assert budgets.max_budget is None
    assert process_cap.spent_nanos() == before + parse_usd("700")


def test_it_counts_from_setting_it_on() -> None:
    with process_cap.held(5) as cap:
        cap.settle(5)
    budgets.max_budget = 0.001
    assert budgets.current_cost == budgets._current_cost == 0
    with process_cap.held(400_000) as cap:
        cap.settle(250_000)
    assert budgets.current_cost == budgets._current_cost == 0.00025
    # Another amount goes on counting.
    budgets.max_budget = "0.0005"  # type: ignore[assignment]
    assert budgets.current_cost == 0.00025
    assert budgets.max_budget.exact == "0.0005"  # type: ignore[attr-defined]


def test_zero_allows_nothing_but_what_costs_nothing() -> None:
    budgets.max_budget = 0
    process_cap.hold(0).settle(0)
    with pytest.raises(BudgetExceededError):
        process_cap.hold(1)


@pytest.mark.parametrize("nonsense", [-1, float("nan"), float("inf"), "much", True, 1e-12, 2e9, [], {}])
def test_nonsense_is_refused_at_the_assignment(nonsense: Any) -> None:
    budgets.max_budget = 2
    with pytest.raises(InvalidValueError):
        budgets.max_budget = nonsense
    assert budgets.max_budget == 2


def test_the_cap_itself_fits_and_a_nano_more_does_not() -> None:
    budgets.max_budget = 0.001
    process_cap.hold(1_000_000).settle(1_000_000)
    with pytest.raises(BudgetExceededError) as caught:
        process_cap.hold(1, user="ann")
    error = caught.value
    assert not isinstance(error, BudgetBusyError)
    assert (error.current_cost, error.max_budget) == (0.001, 0.001)
    assert error.values["user"] == "ann"
    assert error.values["needed_usd"] == "0.000000001"
    assert str(error) == (
        "this process has $0.00 left of its max_budget of $0.001, this call may cost $0.000000001"
    )


def test_what_is_held_is_busy_and_not_spent() -> None:
    budgets.max_budget = 1
    running = process_cap.hold(parse_usd("0.8"))
    with pytest.raises(BudgetBusyError) as caught:
        process_cap.hold(parse_usd("0.3"))
    assert caught.value.values["held_usd"] == "0.80"
    running.release()
    process_cap.hold(parse_usd("0.3")).release()
    assert budgets.current_cost == 0


def test_a_quote_is_lowered_to_what_the_cap_leaves() -> None:
    budgets.max_budget = 0.101
    held = process_cap.hold(quote(8_192))
    assert held.quote is not None
    assert (held.quote.output_limit, held.quote.limited_by) == (1_000, "budget")
    assert held.nanos == parse_usd("0.101")
    held.release()
    with pytest.raises(BudgetExceededError, match="may cost"):
        process_cap.hold(quote(8_192, "caller"))
    budgets.max_budget = 0.1001
    with pytest.raises(BudgetExceededError, match="costs at least"):
        process_cap.hold(quote(8_192))


def test_a_block_that_does_not_say_what_it_cost_leaves_it_counted() -> None:
    budgets.max_budget = 1
    with pytest.raises(RuntimeError), process_cap.held(parse_usd("0.8")):
        raise RuntimeError
    with pytest.raises(BudgetExceededError) as caught:
        process_cap.hold(parse_usd("0.3"))
    assert caught.value.values["unconfirmed_usd"] == "0.80"
    assert budgets.current_cost == 0


def test_each_end_counts_once() -> None:
    budgets.max_budget = 1
    held = process_cap.hold(parse_usd("0.5"))
    held.settle(7)
    held.settle(7)
    held.release()
    held.doubt()
    held.shrink(1)
    assert process_cap.spent_nanos() == 7
    process_cap.hold(parse_usd("1") - 7).release()


def test_a_cost_above_its_hold_is_counted_all_the_same() -> None:
    budgets.max_budget = 1
    process_cap.hold(parse_usd("0.5")).settle(parse_usd("1.5"))
    assert budgets.current_cost == 1.5
    with pytest.raises(BudgetExceededError, match=r"-\$0\.50 left"):
        process_cap.hold(1)


def test_running_calls_stay_counted_where_they_began() -> None:
    before = process_cap.hold(100)
    budgets.max_budget = 1
    before.settle(parse_usd("5"))
    assert budgets.current_cost == 0


def test_a_hundred_threads_at_once_get_exactly_what_fits() -> None:
    budgets.max_budget = 10
    barrier = threading.Barrier(100)

    def call(_: int) -> bool:
        barrier.wait()
        try:
            with process_cap.held(parse_usd("1")) as cap:
                barrier.wait()
                cap.settle(parse_usd("1"))
        except BudgetExceededError:
            barrier.wait()
            return False
        return True

    with ThreadPoolExecutor(100) as pool:
        assert sum(pool.map(call, range(100))) == 10
    assert budgets.current_cost == 10


def test_the_two_names_are_found_where_one_looks() -> None:
    assert {"max_budget", "current_cost"} <= set(dir(budgets))
    assert "max_budget" not in vars(budgets)
