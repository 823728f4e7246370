"""
The engine against a model of a few lines, whatever is done to it and in whatever order.

The model is two lists of facts: what was charged, and what is held. Each fact has a path, a moment and an
amount, and the figures of a limit are the sums of the facts on whose path its budget stands and whose moment
lies in its period. The engine keeps running totals, periods and overruns; the model keeps none of them.
Beside the facts it knows which limits are raised in which period, and which thresholds were said.
`BUDGET_FULL=1` runs many more and longer stories.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from budgets.clock import FixedClock
from budgets.engine import LEASE_SECONDS, RENEW_SECONDS, Change, LimitTerms
from budgets.errors import (
    BudgetArchivedError,
    BudgetBusyError,
    BudgetExceededError,
    BudgetFrozenError,
    ConflictError,
    InvalidValueError,
    UserExistsError,
)
from budgets.periods import NEVER, PeriodRule
from budgets.records import ROOT, BudgetStatus, Charge, LimitStatus, Receipt
from budgets.records import Path as Names
from tests.support.engines import FULL, FakeProcesses, open_engine
from tests.support.stores import STORES, Kind

USERS = ("ann", "bob", "team", "org")
MICROSECOND = timedelta(microseconds=1)

users = st.sampled_from(USERS)
limited = st.sampled_from((*USERS, ROOT))
# Small, so that limits are met exactly, and now and then zero.
amounts = st.integers(0, 6)
totals = st.integers(0, 20)
rules = st.sampled_from([NEVER, PeriodRule(1, "day"), PeriodRule(1, "month"), PeriodRule(2, "month")])
percents = st.sets(st.sampled_from([1, 34, 50, 100])).map(lambda found: tuple(sorted(found)))
steps = st.sampled_from(
    [MICROSECOND, timedelta(minutes=1), timedelta(hours=5), timedelta(days=1), timedelta(days=40)]
)
models = st.sampled_from(["", "gpt", "claude"])


@dataclass
class Fact:
    """Something that counts: a charge, or a hold as long as it is there."""

    path: Names
    at: datetime
    nanos: int
    model: str = ""
    # For a hold: whose, and how far the clock had been moved when it was made.
    pid: int = 0
    moved: timedelta = timedelta()
    unconfirmed: bool = False


def edges(limit_rule: PeriodRule, moment: datetime) -> tuple[datetime, datetime | None]:
    """The calendar's period around *moment*, in UTC, by hand."""
    if limit_rule.unit == "never":
        return datetime(1970, 1, 1, tzinfo=UTC), None
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if limit_rule.unit == "day":
        return day, day + timedelta(days=1)
    months = (moment.year * 12 + moment.month - 1) // limit_rule.every * limit_rule.every
    start, end = (divmod(each, 12) for each in (months, months + limit_rule.every))
    return day.replace(year=start[0], month=start[1] + 1, day=1), day.replace(
        year=end[0], month=end[1] + 1, day=1
    )


class EngineMachine(RuleBasedStateMachine):
    """Two processes with an engine each on one store, a clock that jumps, and the model."""

    kind = STORES["memory"]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = FixedClock(datetime(2026, 1, 31, 10, tzinfo=UTC))
        # The latest moment that anything may have been written down at.
        self.latest = self.clock.now
        # By how much the clock was moved in all, forward and back.
        self.moved = timedelta()
        self.ended: set[int] = set()
        self.parents: dict[str, str] = {}
        self.frozen: set[str] = set()
        self.archived: set[str] = set()
        # Limit -> the start of the period in which it is raised, and by how much.
        self.boosts: dict[str, tuple[datetime, int]] = {}
        # The thresholds that were said: of which limit, in the period of which start.
        self.said: set[tuple[str, datetime, int]] = set()
        self.charges: dict[str, Fact] = {}
        # Which charge, and by how much.
        self.corrections: list[tuple[str, Fact]] = []
        self.held: dict[str, Fact] = {}
        self.released: dict[str, Fact] = {}
        self.resets: dict[str, datetime] = {}
        self.number = 0
        first = self.kind.open(self.folder)
        self.stores = [first, self.kind.open(self.folder) if self.kind.shared else first]
        self.pids = [1, 2]
        self.engines = [
            open_engine(store, clock=self.clock, processes=FakeProcesses(pid, self.ended))
            for store, pid in zip(self.stores, self.pids, strict=True)
        ]

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        shutil.rmtree(self.folder)

    # The model

    def path(self, user: str) -> Names:
        found = [user]
        while found[-1] != ROOT:
            found.append(self.parents[found[-1]])
        return tuple(found)

    def new_id(self) -> str:
        self.number += 1
        return f"c{self.number}"

    def sums(self, user: str, start: datetime, end: datetime | None) -> tuple[int, int, int]:
        """Spent, held and unconfirmed, from nothing but the facts."""

        def total(facts: list[Fact]) -> int:
            return sum(
                fact.nanos
                for fact in facts
                if user in fact.path and start <= fact.at and (end is None or fact.at < end)
            )

        return (
            total([*self.charges.values(), *(fact for _, fact in self.corrections)]),
            total([fact for fact in self.held.values() if not fact.unconfirmed]),
            total([fact for fact in self.held.values() if fact.unconfirmed]),
        )

    def free(self, status: LimitStatus, user: str) -> int | None:
        if status.limit.total_nanos is None:
            return None
        room = status.limit.total_nanos + self.boost_of(status)
        return room - sum(self.sums(user, status.totals.start, status.totals.end))

    def boost_of(self, status: LimitStatus) -> int:
        start, nanos = self.boosts.get(status.limit.id, (status.totals.start, 0))
        return nanos if start == status.totals.start else 0

    def thresholds_are_said_once(self, receipt: Receipt) -> None:
        """What a charge says was not said before and is true, and nothing that is true stays unsaid."""
        assert not receipt.repeated
        for each in receipt.thresholds:
            key = (each.limit.id, each.totals.start, each.percent)
            assert key not in self.said
            self.said.add(key)
        entry = receipt.entry
        fresh = {(each.limit.id, each.percent) for each in receipt.thresholds}
        for user in entry.path:
            for limit in self.engines[0].status(user).limits:
                start, end = limit.totals.start, limit.totals.end
                moments = (entry.at, entry.recorded_at)
                current = all(start <= at and (end is None or at < end) for at in moments)
                spent, room = self.sums(user, start, end)[0], limit.limit.total_nanos
                if not current or room is None:
                    continue
                for percent in limit.limit.warn_at:
                    reached = spent > 0 and spent * 100 >= percent * (room + self.boost_of(limit))
                    assert reached or (limit.limit.id, percent) not in fresh
                    assert not reached or (limit.limit.id, start, percent) in self.said

    def on_path(self, user: str) -> list[tuple[str, LimitStatus]]:
        """Every limit on the path, in the periods that count now on it."""
        return [(each, limit) for each in self.path(user) for limit in self.engines[0].status(each).limits]

    # What is done

    @initialize(total=totals, limit_rule=rules)
    def first_budgets(self, total: int, limit_rule: PeriodRule) -> None:
        self.create("team", 0, total * 2, NEVER, ROOT)
        self.create("ann", 0, total, limit_rule, "team")

    @rule(
        user=users,
        which=st.integers(0, 1),
        total=st.none() | totals,
        limit_rule=rules,
        parent=limited,
    )
    def create(self, user: str, which: int, total: int | None, limit_rule: PeriodRule, parent: str) -> None:
        if parent != ROOT and parent not in self.parents:
            return
        terms = () if total is None else (LimitTerms(total, limit_rule),)
        if user in self.parents:
            with pytest.raises(UserExistsError):
                self.engines[which].create(user, *terms, parent=parent)
            assert not self.engines[which].create(user, *terms, parent=parent, if_missing=True)[1]
        else:
            self.engines[which].create(user, *terms, parent=parent)
            self.parents[user] = parent

    @rule(user=users, which=st.integers(0, 1), nanos=amounts, model=models)
    def hold(self, user: str, which: int, nanos: int, model: str) -> None:
        if user not in self.parents:
            return
        before = self.engines[which].status(user)
        call_id = self.new_id()
        try:
            made = self.engines[which].hold(user, nanos, model=model, hold_id=call_id)
        except (BudgetFrozenError, BudgetArchivedError) as refusal:
            self.ends_of_processes(None)
            stops = next(each for each in self.path(user) if each in self.frozen | self.archived)
            assert isinstance(refusal, BudgetArchivedError) == (stops in self.archived)
        except BudgetExceededError as refusal:
            self.ends_of_processes(None)
            frees = [(self.free(limit, each), each) for each, limit in self.on_path(user)]
            in_the_way = [(free, each) for free, each in frees if free is not None and free < nanos]
            assert in_the_way
            assert not (self.frozen | self.archived) & set(self.path(user))
            without_holds = [
                (self.free(limit, each) or 0) + self.sums(each, limit.totals.start, limit.totals.end)[1]
                for each, limit in self.on_path(user)
                if limit.limit.total_nanos is not None
            ]
            assert isinstance(refusal, BudgetBusyError) == all(free >= nanos for free in without_holds)
        else:
            assert not (self.frozen | self.archived) & set(self.path(user))
            assert nanos == 0 or before.left.nanos is None or nanos <= before.left.nanos
            assert made.hold.path == self.path(user)
            assert made.hold.at >= self.clock.now
            assert made.left.nanos == self.engines[which].status(user).left.nanos
            self.held[call_id] = Fact(
                made.hold.path, made.hold.at, nanos, model, self.pids[which], self.moved
            )
            self.latest = max(self.latest, made.hold.at)
            assert self.engines[which].hold(user, nanos, model=model, hold_id=call_id).hold == made.hold
            with pytest.raises(ConflictError):
                self.engines[which].hold(user, nanos + 1, model=model, hold_id=call_id)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), which=st.integers(0, 1), nanos=amounts)
    def settle(self, data: st.DataObject, which: int, nanos: int) -> None:
        """Also of a hold that is unconfirmed, and for more than was held."""
        call_id = data.draw(st.sampled_from(sorted(self.held)))
        fact = self.held.pop(call_id)
        cost = Charge(nanos, fact.model or None)
        receipt = self.engines[which].settle(call_id, cost)
        assert (receipt.entry.at, receipt.entry.path) == (fact.at, fact.path)
        assert receipt.overshoot_nanos == max(0, nanos - fact.nanos)
        if fact.path == self.path(fact.path[0]):
            assert receipt.left.nanos == self.engines[which].status(fact.path[0]).left.nanos
        self.charges[call_id] = Fact(fact.path, fact.at, nanos, fact.model)
        self.thresholds_are_said_once(receipt)
        again = self.engines[1 - which].settle(call_id, cost)
        assert again.repeated
        assert again.thresholds == ()
        with pytest.raises(ConflictError):
            self.engines[which].settle(call_id, Charge(nanos + 1, fact.model or None))
        with pytest.raises(ConflictError):
            self.engines[which].release(call_id, reason="late")

    @precondition(lambda self: self.held)
    @rule(data=st.data(), which=st.integers(0, 1))
    def release(self, data: st.DataObject, which: int) -> None:
        call_id = data.draw(st.sampled_from(sorted(self.held)))
        self.released[call_id] = self.held.pop(call_id)
        entry = self.engines[which].release(call_id, reason="failed")
        assert self.engines[1 - which].release(call_id, reason="failed") == entry

    @precondition(lambda self: self.released)
    @rule(data=st.data(), which=st.integers(0, 1), nanos=amounts)
    def settle_what_was_released(self, data: st.DataObject, which: int, nanos: int) -> None:
        """A cost that happened is charged, whatever was thought before."""
        call_id = data.draw(st.sampled_from(sorted(self.released)))
        fact = self.released.pop(call_id)
        receipt = self.engines[which].settle(call_id, Charge(nanos, fact.model or None))
        self.charges[call_id] = Fact(fact.path, fact.at, nanos, fact.model)
        self.thresholds_are_said_once(receipt)

    @rule(user=users, which=st.integers(0, 1), nanos=amounts, model=models, ago=st.none() | steps)
    def charge(self, user: str, which: int, nanos: int, model: str, ago: timedelta | None) -> None:
        """After the fact, now or backdated."""
        if user not in self.parents:
            return
        at = None if ago is None else self.clock.now - ago
        charge_id = self.new_id()
        cost = Charge(nanos, model or None)
        receipt = self.engines[which].charge(user, cost, charge_id=charge_id, at=at)
        assert receipt.entry.at == at or (at is None and receipt.entry.at >= self.clock.now)
        self.charges[charge_id] = Fact(self.path(user), receipt.entry.at, nanos, model)
        self.latest = max(self.latest, receipt.entry.at)
        assert receipt.left.nanos == self.engines[which].status(user).left.nanos
        self.thresholds_are_said_once(receipt)
        assert self.engines[1 - which].charge(user, cost, charge_id=charge_id, at=at).repeated

    @precondition(lambda self: self.charges)
    @rule(data=st.data(), which=st.integers(0, 1), nanos=st.integers(-6, 6))
    def correct(self, data: st.DataObject, which: int, nanos: int) -> None:
        charge_id = data.draw(st.sampled_from(sorted(self.charges)))
        charge = self.charges[charge_id]
        stands_at = charge.nanos + sum(
            fact.nanos for corrected, fact in self.corrections if corrected == charge_id
        )
        if stands_at + nanos < 0:
            with pytest.raises(InvalidValueError):
                self.engines[which].correct(charge_id, nanos, note="too much")
        else:
            receipt = self.engines[which].correct(charge_id, nanos, note="a slip")
            self.corrections.append((charge_id, Fact(charge.path, charge.at, nanos)))
            self.thresholds_are_said_once(receipt)

    @rule(user=limited, which=st.integers(0, 1))
    def reset(self, user: str, which: int) -> None:
        if user not in (*self.parents, ROOT):
            return
        rolled = self.engines[which].reset(user)
        for each in rolled:
            assert each.after.taken_nanos == 0
            self.resets[each.limit.id] = each.after.start
            self.latest = max(self.latest, each.after.start)

    @rule(which=st.integers(0, 1))
    def reset_due(self, which: int) -> None:
        wanted = self.engines[which].reset_due(dry_run=True)
        assert self.engines[which].reset_due() == wanted
        assert self.engines[1 - which].reset_due() == []

    @rule(user=limited, which=st.integers(0, 1), total=totals, limit_rule=st.none() | rules)
    def change(self, user: str, which: int, total: int, limit_rule: PeriodRule | None) -> None:
        if user not in (*self.parents, ROOT):
            return
        before = {each.limit.id: each for each in self.engines[which].status(user).limits}
        self.engines[which].change(user, Change(total_nanos=total, rule=limit_rule))
        primary = self.engines[which].status(user).limits[0]
        was = before.get(primary.limit.id)
        if was is None or was.limit.rule == primary.limit.rule:
            return
        changed_at = primary.totals.touched_at
        assert changed_at is not None
        if was.totals.end is None or changed_at < was.totals.end:
            # A boost goes on in the period that takes the place of its own.
            self.boosts[primary.limit.id] = (primary.totals.start, self.boost_of(was))

    @rule(user=limited, which=st.integers(0, 1), data=st.data(), nanos=st.integers(-6, 6))
    def boost(self, user: str, which: int, data: st.DataObject, nanos: int) -> None:
        if user not in (*self.parents, ROOT):
            return
        limits = [each for each in self.engines[which].status(user).limits if each.left_nanos is not None]
        if not limits:
            with pytest.raises(InvalidValueError):
                self.engines[which].change(user, Change(boost_nanos=1))
            return
        before = limits[data.draw(st.integers(0, len(limits) - 1))]
        wanted = Change(boost_nanos=nanos, limit_id=before.limit.id)
        had = self.boost_of(before)
        try:
            self.engines[which].change(user, wanted)
        except InvalidValueError:
            # The project's ledger may be in a later period than its own limits tell, one without a boost.
            assert nanos < 0
            assert had + nanos < 0 or user == ROOT
            return
        found = {each.limit.id: each for each in self.engines[which].status(user).limits}[before.limit.id]
        if nanos:
            self.boosts[before.limit.id] = (found.totals.start, self.boost_of(found) + nanos)

    @rule(user=limited, which=st.integers(0, 1), data=st.data(), warn_at=percents)
    def warn_at(self, user: str, which: int, data: st.DataObject, warn_at: tuple[int, ...]) -> None:
        if user not in (*self.parents, ROOT):
            return
        caps = self.engines[which].status(user).budget.caps
        if caps:
            limit_id = caps[data.draw(st.integers(0, len(caps) - 1))].id
            self.engines[which].change(user, Change(warn_at=warn_at, limit_id=limit_id))
            after = self.engines[1 - which].status(user).budget.caps
            assert [each.warn_at for each in after if each.id == limit_id] == [warn_at]

    @rule(user=limited, which=st.integers(0, 1), total=totals, limit_rule=rules)
    def add_limit(self, user: str, which: int, total: int, limit_rule: PeriodRule) -> None:
        if user not in (*self.parents, ROOT):
            return
        self.engines[which].change(user, Change(add=(LimitTerms(total, limit_rule),)))

    @rule(user=limited, which=st.integers(0, 1), data=st.data())
    def drop_limit(self, user: str, which: int, data: st.DataObject) -> None:
        if user not in (*self.parents, ROOT):
            return
        caps = self.engines[which].status(user).budget.caps
        if caps:
            limit_id = caps[data.draw(st.integers(0, len(caps) - 1))].id
            self.engines[which].change(user, Change(drop=(limit_id,)))

    @rule(user=limited, which=st.integers(0, 1), frozen=st.booleans())
    def freeze(self, user: str, which: int, frozen: bool) -> None:
        if user not in (*self.parents, ROOT):
            return
        self.engines[which].change(user, Change(frozen=frozen))
        (self.frozen.add if frozen else self.frozen.discard)(user)

    @rule(user=users, which=st.integers(0, 1), archived=st.booleans())
    def archive(self, user: str, which: int, archived: bool) -> None:
        if user not in self.parents:
            return
        engine = self.engines[which]
        (engine.archive if archived else engine.unarchive)(user)
        (self.archived.add if archived else self.archived.discard)(user)
        assert (user in engine.users()) != archived
        assert user in engine.users(archived=True)

    @rule(user=users, which=st.integers(0, 1), parent=limited)
    def move(self, user: str, which: int, parent: str) -> None:
        if user not in self.parents or (parent != ROOT and parent not in self.parents):
            return
        if user in self.path(parent):
            with pytest.raises(InvalidValueError):
                self.engines[which].change(user, Change(parent=parent))
        else:
            self.engines[which].change(user, Change(parent=parent))
            self.parents[user] = parent

    @rule(step=steps)
    def time_passes(self, step: timedelta) -> None:
        self.clock.set(self.clock.now + step)
        self.moved += step

    @rule(step=steps)
    def clock_jumps_back(self, step: timedelta) -> None:
        self.latest = max(self.latest, self.clock.now)
        self.clock.set(self.clock.now - step)
        self.moved += step

    @rule(which=st.integers(0, 1))
    def process_ends(self, which: int) -> None:
        """A process is killed; another takes its place. Nothing is known of it until somebody looks."""
        self.ended.add(self.pids[which])
        self.pids[which] = max(self.pids) + 1
        self.engines[which] = open_engine(
            self.stores[which],
            clock=self.clock,
            processes=FakeProcesses(self.pids[which], self.ended),
        )

    @rule(which=st.integers(0, 1))
    def expire(self, which: int) -> None:
        self.ends_of_processes({hold.id for hold in self.engines[which].expire()})

    # What is true after each of them

    def ends_of_processes(self, said: set[str] | None) -> None:
        """Take over which holds have turned unconfirmed, and see that no living process lost any."""
        found = {hold.id for hold in self.engines[0].holds() if hold.unconfirmed}
        before = {call_id for call_id, fact in self.held.items() if fact.unconfirmed}
        assert before <= found
        assert said is None or said == found - before
        for call_id in found - before:
            fact = self.held[call_id]
            fact.unconfirmed = True
            # Its process has ended, or did not renew its lease, which had 90 seconds left at least.
            left = timedelta(seconds=LEASE_SECONDS - RENEW_SECONDS)
            assert fact.pid in self.ended or self.moved - fact.moved > left
        if said is not None:
            assert all(fact.unconfirmed for fact in self.held.values() if fact.pid in self.ended)

    @invariant()
    def sums_are_the_facts(self) -> None:
        for user in (*self.parents, ROOT):
            for engine in self.engines:
                status = engine.status(user)
                self.figures_are_true(user, status)
            left = [self.free(limit, each) for each, limit in self.path_limits(user)]
            capped = [free for free in left if free is not None]
            assert status.left.nanos == min(capped, default=None)

    def path_limits(self, user: str) -> list[tuple[str, LimitStatus]]:
        """As `on_path`, at the ledger time of this path: a budget above may stand earlier by itself."""
        now = max(
            [self.clock.now]
            + [limit.totals.start for _, limit in self.on_path(user)]
            + [limit.totals.touched_at for _, limit in self.on_path(user) if limit.totals.touched_at]
        )
        found = []
        for each, status in self.on_path(user):
            if status.totals.end is not None and status.totals.end <= now:
                start, end = edges(status.limit.rule, now)
                totals_then = type(status.totals)(status.limit.id, start, end)
                status = LimitStatus(status.limit, totals_then)
            found.append((each, status))
        return found

    def figures_are_true(self, user: str, status: BudgetStatus) -> None:
        for limit_status in status.limits:
            limit, found = limit_status.limit, limit_status.totals
            start, end = edges(limit.rule, found.start)
            reset_at = self.resets.get(limit.id)
            assert found.end == end
            assert found.start == start or found.start == reset_at
            assert reset_at is None or found.start >= reset_at, "nothing but a reset gives money back"
            assert found.start <= max(self.clock.now, self.latest)
            assert found.end is None or found.end > self.clock.now
            figures = (found.spent_nanos, found.held_nanos, found.unconfirmed_nanos)
            assert figures == self.sums(user, found.start, found.end)
            assert found.boost_nanos == self.boost_of(limit_status)
        if status.primary is not None:
            assert sum(status.models.values()) == status.primary.totals.spent_nanos

    @invariant()
    def check_has_no_faults(self) -> None:
        """It also says that whatever stands above a limit is explained by overruns."""
        engine = self.engines[0]
        assert engine.check().faults == ()
        self.ends_of_processes(None)


@pytest.mark.parametrize("kind", STORES.values(), ids=lambda kind: kind.name)
def test_the_engine_and_the_model_agree(kind: Kind) -> None:
    machine = type("Machine", (EngineMachine,), {"kind": kind})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=600 if FULL else 60,
            stateful_step_count=50 if FULL else 30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
