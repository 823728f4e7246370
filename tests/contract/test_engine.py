"""The engine on every kind of store: leases, threads, what `check` finds, and what a refusal says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from budgets.clock import FixedClock
from budgets.engine import LEASE_SECONDS, RENEW_SECONDS, Change, LimitTerms
from budgets.errors import (
    BudgetBusyError,
    BudgetExceededError,
    InvalidValueError,
    UnknownHoldError,
    UnknownUserError,
)
from budgets.periods import NEVER, PeriodRule
from budgets.ports import Store, Transaction
from budgets.records import ROOT, Budget, Charge, Entry, Lease, Limit, Process, Quote
from budgets.writer import Writer
from tests.support.engines import START, FakeProcesses, open_engine

pytestmark = pytest.mark.usefixtures("door")

MONTHLY = PeriodRule(1, "month")


# Leases


@pytest.mark.parametrize("grouped", [False, True], ids=["alone", "grouped"])
def test_threads_that_begin_together_share_one_lease(store: Store, grouped: bool) -> None:
    """With a lease each, those that lost would never be renewed, and their holds would be doubted."""
    writer = Writer(store, "default", FixedClock(START)) if grouped else None
    engine = open_engine(store, runner=writer)
    engine.create("ann")
    barrier = threading.Barrier(8)

    def hold(number: int) -> None:
        barrier.wait()
        engine.hold("ann", 1, hold_id=f"c{number}")

    threads = [threading.Thread(target=hold, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if writer is not None:
        writer.close()
    assert len({each.lease_id for each in engine.holds()}) == 1
    with store.reading("default") as view:
        assert len(view.leases()) == 1


def test_a_lease_is_renewed_when_a_quarter_has_passed_and_not_before(store: Store) -> None:
    clock = FixedClock(START)
    engine = open_engine(store, clock=clock)
    engine.create("ann")

    def expires_after_hold() -> float:
        engine.hold("ann", 1)
        with store.reading("default") as view:
            (lease,) = view.leases()
        return (lease.expires_at - START).total_seconds()

    assert expires_after_hold() == LEASE_SECONDS
    clock.advance(seconds=RENEW_SECONDS - 1)
    assert expires_after_hold() == LEASE_SECONDS
    clock.advance(seconds=1)
    assert expires_after_hold() == RENEW_SECONDS + LEASE_SECONDS
    clock.advance(seconds=5)
    engine.renew_lease()
    with store.reading("default") as view:
        assert view.leases()[0].expires_at == clock() + timedelta(seconds=LEASE_SECONDS)


@pytest.mark.local
def test_a_hold_always_has_a_lease(store: Store) -> None:
    """Another process whose clock ran ahead has ended a lease that is fresh by ours."""
    engine = open_engine(store)
    ahead = open_engine(store, clock=FixedClock(START + timedelta(hours=1)), processes=FakeProcesses(2))
    engine.create("ann")
    engine.hold("ann", 1, hold_id="before")
    assert [each.id for each in ahead.expire()] == ["before"]
    engine.hold("ann", 1, hold_id="after")
    with store.reading("default") as view:
        assert [lease.process.pid for lease in view.leases()] == [1]
    assert engine.check().faults == ()
    assert {each.id: each.unconfirmed for each in engine.holds()} == {"before": True, "after": False}


def test_a_refused_transaction_does_not_count_as_a_renewal(store: Store) -> None:
    engine = open_engine(store)
    with pytest.raises(UnknownUserError):
        engine.hold("ann", 1)
    with store.reading("default") as view:
        assert view.leases() == []
    engine.create("ann")
    engine.hold("ann", 1)
    with store.reading("default") as view:
        assert len(view.leases()) == 1


def test_a_lease_is_given_back_when_nothing_is_held(store: Store) -> None:
    engine = open_engine(store)
    engine.create("ann")
    engine.end_lease()
    engine.hold("ann", 1, hold_id="c1")
    engine.end_lease()
    with store.reading("default") as view:
        assert len(view.leases()) == 1, "a call is running"
    engine.release("c1", reason="failed")
    engine.end_lease()
    engine.end_lease()
    with store.reading("default") as view:
        assert view.leases() == []
    engine.hold("ann", 1)
    assert engine.check().faults == ()


@pytest.mark.local
def test_an_owner_may_have_the_holds_of_the_dead_released(store: Store) -> None:
    processes = FakeProcesses()
    engine = open_engine(store, processes=processes)
    engine.create("ann", LimitTerms(10))
    engine.hold("ann", 7, hold_id="c1")
    processes.gone.add(1)
    other = open_engine(store, processes=FakeProcesses(2, processes.gone), on_expiry="release")
    assert other.hold("ann", 10, hold_id="c2").left.nanos == 0
    released = [entry for entry in other.entries() if entry.kind == "released"]
    assert [(entry.id, entry.detail["reason"]) for entry in released] == [
        ("c1.released", "its process ended")
    ]
    assert other.settle("c1", Charge(5)).left.nanos == -5
    assert other.check().faults == ()


def test_a_process_that_was_stopped_for_an_hour_settles_as_if_nothing_had_been(store: Store) -> None:
    clock = FixedClock(START)
    engine, other = (
        open_engine(store, clock=clock),
        open_engine(store, clock=clock, processes=FakeProcesses(2)),
    )
    engine.create("ann", LimitTerms(10))
    engine.hold("ann", 4, hold_id="c1")
    clock.advance(hours=1)
    assert [each.id for each in other.expire()] == ["c1"]
    receipt = engine.settle("c1", Charge(3))
    assert (receipt.held_nanos, receipt.left.nanos, receipt.entry.at) == (4, 7, START)
    assert receipt.entry.detail["late"]
    assert receipt.entry.recorded_at == clock()
    status = other.status("ann").limits[0].totals
    assert (status.spent_nanos, status.held_nanos, status.unconfirmed_nanos) == (3, 0, 0)
    assert other.check().faults == ()


# Threads


def test_parallel_calls_never_hold_more_than_fits(store: Store) -> None:
    """Check, call, then write lets all of them pass; holding first lets through exactly what fits."""
    engine = open_engine(store)
    engine.create("ann", LimitTerms(10))
    accepted: list[str] = []

    def call(number: int) -> None:
        try:
            engine.hold("ann", 3, hold_id=f"c{number}")
        except BudgetBusyError:
            return
        accepted.append(f"c{number}")

    threads = [threading.Thread(target=call, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(accepted) == 3
    assert engine.status("ann").left.nanos == 1


# Quotes and refusals


def quote(**changes: Any) -> Quote:
    made = Quote(
        model="gpt",
        provider="openai",
        input_tokens=1,
        input_tokens_most=1,
        counted="test",
        prompt_nanos=100,
        fixed_picos=100_000,
        output_picos=1_000,
        output_limit=1_000,
        limited_by="default",
        floor=200,
        book_version="1",
    )
    return replace(made, **changes)


def test_a_quote_is_lowered_to_what_is_left_and_says_so(store: Store) -> None:
    engine = open_engine(store)
    engine.create("ann", LimitTerms(700))
    held = engine.hold("ann", quote())
    assert held.quote is not None
    assert (held.quote.output_limit, held.quote.limited_by) == (600, "budget")
    assert (held.hold.nanos, held.left.nanos, held.hold.model) == (700, 0, "gpt")
    assert dict(held.hold.terms) == {"output_limit": 600, "limited_by": "budget"}


def test_below_the_floor_a_quote_is_refused_with_the_floor(store: Store) -> None:
    engine = open_engine(store)
    engine.create("ann", LimitTerms(299))
    with pytest.raises(BudgetExceededError) as refused:
        engine.hold("ann", quote())
    assert refused.value.values["needed_usd"] == "0.0000003"
    with pytest.raises(BudgetExceededError) as refused:
        engine.hold("ann", quote(limited_by="caller"))
    assert refused.value.values["needed_usd"] == "0.0000011"


def test_a_refusal_says_who_which_limit_of_whom_what_is_left_and_when(store: Store) -> None:
    engine = open_engine(store)
    engine.create("team", LimitTerms(2_000_000_000, MONTHLY))
    engine.create("ann", parent="team")
    engine.hold("ann", 500_000_000)
    with pytest.raises(
        BudgetExceededError, match=r"team has \$1.50 left until 2026-02-01 00:00 UTC"
    ) as refused:
        engine.hold("ann", 3_000_000_000)
    values = refused.value.values
    assert refused.value.code == "budget_exceeded"
    assert (values["user"], values["limit_user"]) == ("ann", "team")
    assert (values["total_usd"], values["held_usd"], values["left_usd"]) == ("2.00", "0.50", "1.50")
    assert values["resets_at"] == "2026-02-01T00:00:00Z"
    assert "budget set --user team" in (refused.value.hint or "")
    with pytest.raises(BudgetBusyError, match="running calls hold"):
        engine.hold("ann", 1_600_000_000)
    assert [each.nanos for each in engine.holds("team")] == [500_000_000]


# The shape of things


def test_parents_are_a_tree_of_limited_depth(store: Store) -> None:
    engine = open_engine(store)
    engine.create("u0")
    for depth in range(1, 17):
        engine.create(f"u{depth}", parent=f"u{depth - 1}")
    with pytest.raises(InvalidValueError, match="more than 16"):
        engine.create("u17", parent="u16")
    engine.create("v0")
    engine.create("v1", parent="v0")
    with pytest.raises(InvalidValueError, match="more than 16"):
        engine.change("v0", Change(parent="u15"))
    engine.change("v0", Change(parent="u14"))
    assert len(engine.status("v1").path) == 18
    with pytest.raises(InvalidValueError, match="circle"):
        engine.change("u0", Change(parent="v1"))


def test_a_line_of_parents_that_does_not_begin_is_an_unknown_user(store: Store) -> None:
    engine = open_engine(store)
    engine.create("anna")
    with pytest.raises(UnknownUserError) as refused:
        engine.create("bob", parent="ann")
    assert refused.value.hint == "did you mean anna?"
    assert engine.users() == ["anna"]


def test_a_limit_survives_a_changed_amount_and_a_dropped_one_is_gone(store: Store) -> None:
    engine = open_engine(store)
    budget, new = engine.create("ann", LimitTerms(10, MONTHLY))
    assert new
    limit_id = budget.limits[0].id
    assert engine.change("ann", Change(total_nanos=5)).limits[0].id == limit_id
    after = engine.change("ann", Change(add=(LimitTerms(3),), drop=(limit_id,)))
    assert [limit.total_nanos for limit in after.limits] == [3]
    with pytest.raises(InvalidValueError, match="there is no limit"):
        engine.change("ann", Change(drop=(limit_id,)))
    without = engine.change("ann", Change(drop=(after.limits[0].id,)))
    assert [limit.total_nanos for limit in without.limits] == [None], "it still counts what is spent"
    with pytest.raises(InvalidValueError, match="no limit whose period"):
        engine.change("ann", Change(rule=MONTHLY))


def test_a_user_without_limits_still_knows_what_was_spent(store: Store) -> None:
    engine = open_engine(store)
    engine.create("ann")
    engine.charge("ann", Charge(5, "gpt"))
    engine.charge("ann", Charge(2, "claude"))
    engine.charge("ann", Charge(1))
    status = engine.status("ann")
    assert status.left.nanos is None
    assert dict(status.models) == {"gpt": 5, "claude": 2, "": 1}
    engine.change("ann", Change(total_nanos=10))
    assert engine.status("ann").left.nanos == 2


def test_a_budget_can_be_made_again_only_where_that_is_said(store: Store) -> None:
    engine = open_engine(store)
    first, _ = engine.create("ann", LimitTerms(10))
    assert engine.create("ann", LimitTerms(99), if_missing=True) == (first, False)
    assert open_engine(store, project="other").users() == []


def test_a_dry_run_of_what_is_due_writes_nothing(store: Store) -> None:
    clock = FixedClock(START)
    engine = open_engine(store, clock=clock)
    engine.create("ann", LimitTerms(10, MONTHLY))
    engine.create("bob", LimitTerms(10, NEVER))
    assert engine.reset_due() == []
    clock.advance(days=1)
    wanted = engine.reset_due(dry_run=True)
    assert [rolled.user for rolled in wanted] == ["ann"]
    assert engine.reset_due(dry_run=True) == engine.reset_due() == wanted
    assert engine.reset_due() == engine.reset_due(dry_run=True) == []


def test_an_unknown_hold_is_an_error(store: Store) -> None:
    engine = open_engine(store)
    with pytest.raises(UnknownHoldError, match="no hold c1"):
        engine.find_hold("c1")
    engine.create("ann")
    made = engine.hold("ann", 1, hold_id="c1").hold
    assert engine.find_hold("c1") == made


def test_an_id_that_the_engine_has_used_is_a_conflict_and_no_crash(store: Store) -> None:
    engine = open_engine(store)
    engine.create("ann", LimitTerms(10))
    for entry in engine.entries():
        for attempt in (
            lambda taken=entry.id: engine.hold("ann", 1, hold_id=taken),
            lambda taken=entry.id: engine.charge("ann", Charge(0), charge_id=taken),
            lambda taken=entry.id: engine.settle(taken, Charge(0)),
        ):
            with pytest.raises(Exception, match=entry.id) as refused:
                attempt()
            assert getattr(refused.value, "code", None) == "conflict"
    engine.charge("ann", Charge(1), charge_id="x1")
    with pytest.raises(InvalidValueError, match="a correction"):
        engine.correct("x1", 10**30, note="too much")


# What `check` finds


def spoil_spent(txn: Transaction, limit: Limit) -> None:
    totals = txn.current(limit.id)
    assert totals is not None
    txn.put_totals(replace(totals, spent_nanos=totals.spent_nanos + 1))


def spoil_held(txn: Transaction, limit: Limit) -> None:
    totals = txn.current(limit.id)
    assert totals is not None
    txn.put_totals(replace(totals, held_nanos=0))


def spoil_unconfirmed(txn: Transaction, limit: Limit) -> None:
    (hold,) = txn.holds()
    txn.put_hold(replace(hold, unconfirmed=True))


def spoil_models(txn: Transaction, limit: Limit) -> None:
    txn.add_model(limit.id, START.replace(day=1, hour=0), "gpt", 1)


def spoil_lease(txn: Transaction, limit: Limit) -> None:
    for lease in txn.leases():
        txn.remove_lease(lease.id)


def spoil_limit(txn: Transaction, limit: Limit) -> None:
    budget = txn.budget("ann")
    assert budget is not None
    txn.put_budget(replace(budget, limits=(replace(limit, total_nanos=3),)))


def spoil_tree(txn: Transaction, limit: Limit) -> None:
    txn.put_budget(Budget("ann", "bob", (limit,), START))


def spoil_entry(txn: Transaction, limit: Limit) -> None:
    txn.append([Entry("stray", "charge", ("ann", ROOT), START + timedelta(days=99), START, 1)])


def spoil_overlap(txn: Transaction, limit: Limit) -> None:
    totals = txn.current(limit.id)
    assert totals is not None
    txn.open_period(replace(totals, start=START - timedelta(days=90), spent_nanos=0, held_nanos=0))


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (spoil_spent, "spent is"),
        (spoil_held, "held is"),
        (spoil_unconfirmed, "unconfirmed is"),
        (spoil_models, "by model differs"),
        (spoil_lease, "has no lease"),
        (spoil_limit, "above its limit"),
        (spoil_tree, "does not reach the project"),
        (spoil_entry, "no period contains the charge stray"),
        (spoil_overlap, "overlaps"),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)
def test_check_finds_what_is_wrong(
    store: Store, spoil: Callable[[Transaction, Limit], None], what: str
) -> None:
    engine = open_engine(store)
    budget, _ = engine.create("ann", LimitTerms(10, MONTHLY))
    engine.charge("ann", Charge(3, "gpt"))
    engine.hold("ann", 2)
    report = engine.check()
    assert report.faults == ()
    assert (report.budgets, report.periods, report.holds) == (1, 1, 1)
    with store.transaction("default") as txn:
        spoil(txn, budget.limits[0])
    assert what in " ".join(fault.what for fault in engine.check().faults)


def test_check_ends_leases_first(store: Store) -> None:
    engine = open_engine(store)
    engine.create("ann")
    with store.transaction("default") as txn:
        txn.put_lease(Lease("old", Process("elsewhere", 9, ""), START - timedelta(seconds=1)))
    assert engine.check().faults == ()
    with store.reading("default") as view:
        assert view.leases() == []
