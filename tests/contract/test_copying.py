"""A project that is copied from any kind of store to any other is the same there, or is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from budgets.clock import FixedClock
from budgets.engine import Change, LimitTerms
from budgets.engine.copying import copy_project
from budgets.errors import StoreBusyError, StoreError
from budgets.lessons import Learned, Lesson
from budgets.periods import PeriodRule
from budgets.ports import Reading, Store
from budgets.records import ROOT, Budget, Entry, Mark, Process, Totals
from tests.support.engines import START, FakeProcesses, dollars, open_engine
from tests.support.stores import STORES, Kind


@pytest.fixture(params=STORES.values(), ids=lambda kind: f"to {kind.name}")
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store to copy to."""
    kind: Kind = request.param
    folder = tmp_path / "target"
    folder.mkdir()
    with closing(kind.open(folder)) as opened:
        yield opened


def tell_a_story(store: Store, project: str = "default") -> FixedClock:
    """Budgets of every shape, charges, a correction, a reset, a changed rule, and an unconfirmed hold."""
    clock, ended = FixedClock(START), set[int]()
    engine = open_engine(store, clock=clock, project=project, processes=FakeProcesses(1, ended))
    engine.create("team", LimitTerms(10**12, PeriodRule(1, "month", "Europe/Berlin")))
    engine.create("日本", LimitTerms(3 * 10**9, PeriodRule(1, "day")), parent="team")
    engine.create("ann")
    engine.change(ROOT, Change(total_nanos=10**13, rule=PeriodRule(1, "year")))
    for number in range(5):
        engine.hold("日本", 10**9, hold_id=f"call-{number}", model="gpt")
        engine.settle(f"call-{number}", dollars("0.7", model="gpt"))
        clock.advance(hours=7)
    engine.correct("call-1", -(10**8), note="a “slip” \udcff")
    engine.charge("ann", dollars("9"))
    engine.reset("team")
    engine.change("日本", Change(total_nanos=10**9, rule=PeriodRule(1, "week")))
    engine.create_key("meter", user="日本", note="a “key”")
    with store.transaction(project) as txn:
        txn.put_mark(Mark("client", "ann", clock(), {"periods": [[0, {"gpt": "9.00"}]]}))
    engine.hold("ann", 5, hold_id="lost")
    with store.transaction(project) as txn:
        txn.put_learned(Learned("call-1", (Lesson(("openai/gpt", "text", 3, "by hand"), ((104, 2),), 1),)))
    ended.add(1)
    open_engine(store, clock=clock, project=project, processes=FakeProcesses(2, ended)).expire()
    return clock


def everything(view: Reading) -> list[object]:
    limits = [limit.id for budget in view.budgets() for limit in budget.limits]
    periods = [totals for limit_id in limits for totals in view.periods(limit_id)]
    return [
        list(view.budgets()),
        periods,
        [view.models(totals.limit_id, totals.start) for totals in periods],
        view.holds(),
        view.leases(),
        view.learned(),
        view.keys(),
        view.marks(),
        list(view.entries()),
    ]


def gone(_: Process) -> bool:
    return False


def test_everything_arrives_and_nothing_else_changes(store: Store, target: Store) -> None:
    clock = tell_a_story(store)
    tell_a_story(store, "another")
    with store.reading("default") as view:
        wanted = everything(view)
    copied = copy_project(store, target, "default", now=clock(), ended=gone)
    assert (copied.project, copied.report.faults, copied.report.holds) == ("default", (), 1)
    for each in (store, target):
        with each.reading("default") as view:
            assert everything(view) == wanted
    assert target.projects() == ["default"]
    assert (target.info().users, target.info().entries) == (3, copied.report.entries)
    # What was begun in one store goes on in the other.
    engine = open_engine(target, clock=clock, processes=FakeProcesses(3))
    assert engine.settle("lost", dollars("0.000000002")).held_nanos == 5
    assert engine.charge("日本", dollars("0.7", model="gpt"), charge_id="call-0").repeated
    assert engine.check().faults == ()


def test_projects_are_copied_beside_each_other(store: Store, target: Store) -> None:
    clocks = {project: tell_a_story(store, project) for project in ("one", "two")}
    for project, clock in clocks.items():
        copy_project(store, target, project, now=clock(), ended=gone)
    assert target.projects() == ["one", "two"]
    for project, clock in clocks.items():
        assert open_engine(target, clock=clock, project=project).check().faults == ()


def test_a_project_that_is_there_is_not_overwritten(store: Store, target: Store) -> None:
    clock = tell_a_story(store)
    open_engine(target, clock=clock).create("bob")
    with pytest.raises(StoreError, match="already") as refused:
        copy_project(store, target, "default", now=clock(), ended=gone)
    assert refused.value.hint is not None
    assert open_engine(target).users() == ["bob"]


def test_a_project_that_is_not_there_is_named_with_those_that_are(store: Store, target: Store) -> None:
    clock = tell_a_story(store)
    with pytest.raises(StoreError, match="no project elsewhere") as refused:
        copy_project(store, target, "elsewhere", now=clock(), ended=gone)
    assert refused.value.hint == "its projects are default"
    assert target.projects() == []


def test_running_calls_refuse_the_copy_and_are_named(store: Store, target: Store) -> None:
    """What they settle would be booked in the old store only."""
    clock = tell_a_story(store)
    engine = open_engine(store, clock=clock, processes=FakeProcesses(7))
    for number in range(5):
        engine.hold("ann", 10**9, hold_id=f"run-{number}")
    with pytest.raises(StoreBusyError, match=r"run-0 of ann \(\$1.00\), .* and 2 more") as refused:
        copy_project(store, target, "default", now=clock(), ended=gone)
    assert refused.value.values["holds"] == [f"run-{number}" for number in range(5)]
    assert target.projects() == []


@pytest.mark.parametrize("how", ["its process has ended", "its lease is over"])
def test_the_hold_of_a_process_that_is_gone_is_copied_as_it_is(store: Store, target: Store, how: str) -> None:
    clock = tell_a_story(store)
    open_engine(store, clock=clock, processes=FakeProcesses(7)).hold("ann", 10**9, hold_id="run")
    if how == "its lease is over":
        clock.advance(minutes=3)
    copy_project(
        store,
        target,
        "default",
        now=clock(),
        ended=lambda process: process.pid == 7 and how == "its process has ended",
    )
    engine = open_engine(target, clock=clock, processes=FakeProcesses(8, {7}))
    assert [hold.id for hold in engine.expire()] == ["run"]
    assert engine.check().faults == ()


def test_sums_that_do_not_add_up_are_not_copied(store: Store, target: Store) -> None:
    clock = tell_a_story(store)
    with store.transaction("default") as txn:
        limit = txn.budget("ann").limits[0]
        txn.put_totals(replace(txn.current(limit.id), spent_nanos=1))
    with pytest.raises(StoreError, match="do not add up: ann"):
        copy_project(store, target, "default", now=clock(), ended=gone)
    assert target.projects() == []


def test_a_copy_that_differs_is_found_out(store: Store) -> None:
    """A store that forgets: nothing that it loses goes unnoticed."""
    clock = tell_a_story(store)
    lose: list[tuple[str, Callable[..., object], str]] = [
        ("put_budget", lambda budget: replace(budget, frozen=True), "the budget of the project"),
        ("put_lease", lambda lease: replace(lease, expires_at=clock()), "lease"),
        ("put_hold", lambda hold: replace(hold, terms={"x": 1}), "hold lost"),
        ("open_period", lambda totals: replace(totals, touched_at=None), "a period of limit"),
        ("append", lambda entries: list(entries)[:-1], "entry"),
        (
            "append",
            lambda entries: [replace(entry, recorded_at=entry.at) for entry in entries],
            "entry",
        ),
    ]
    with store.transaction("default") as txn:
        lease = open_engine(store, clock=clock, processes=FakeProcesses(9))
        txn.append([Entry("late", "released", ("ann", ROOT), START, START + timedelta(days=9), 0)])
    lease.hold("ann", 1, hold_id="mine")
    lease.settle("mine", dollars("0"))
    for method, change, what in lose:
        forgetful = STORES["memory"].open(Path())
        original = forgetful.transaction

        def forgetting(
            project: str, original: object = original, method: str = method, change: object = change
        ) -> object:
            return _Forgetting(original(project), method, change)

        forgetful.transaction = forgetting
        with pytest.raises(StoreError, match=f"the copy of project default differs: {what}") as refused:
            copy_project(store, forgetful, "default", now=clock(), ended=gone)
        assert refused.value.hint is not None


class _Forgetting:
    """A transaction one of whose methods writes something else."""

    def __init__(self, inner: object, method: str, change: Callable[..., object]) -> None:
        self._inner, self._method, self._change = inner, method, change

    def __enter__(self) -> object:
        txn = self._inner.__enter__()
        write = getattr(txn, self._method)
        setattr(txn, self._method, lambda record: write(self._change(record)))
        return txn

    def __exit__(self, *error: object) -> None:
        self._inner.__exit__(*error)


def test_the_periods_of_a_limit_that_is_gone_are_copied(store: Store, target: Store) -> None:
    """Its entries say that it was there; what was spent under it stays in its sums."""
    engine = open_engine(store)
    engine.create("ann", LimitTerms(10**9))
    with store.transaction("default") as txn:
        budget = txn.budget("ann")
        (limit,) = budget.limits
        other = replace(limit, id="other")
        txn.put_budget(Budget("ann", ROOT, (other,), budget.created_at))
        txn.open_period(Totals("other", START, None))
        was = txn.periods(limit.id)
    assert was
    copy_project(store, target, "default", now=START, ended=gone)
    with target.reading("default") as view:
        assert view.periods(limit.id) == was
