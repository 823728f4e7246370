"""The promises of `budgets.ports.Store`, verb by verb, for every kind of store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from budgets.errors import ConflictError
from budgets.money import MOST_NANOS
from budgets.periods import NEVER, PeriodRule
from budgets.ports import Reading, Store, Transaction
from budgets.records import ROOT, Budget, Entry, EntryKind, Hold, Lease, Limit, Path, Process, Totals

JAN, FEB, MAR = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3))
# The finest moment that can be kept, and one that a float would lose.
FINE = datetime(2026, 1, 15, 23, 59, 59, 999_999, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def budget(user: str, *limits: Limit, parent: str | None = ROOT, frozen: bool = False) -> Budget:
    return Budget(user, parent, limits, FINE, frozen)


def monthly(limit_id: str = "m", total: int | None = 10) -> Limit:
    return Limit(limit_id, total, PeriodRule(1, "month"))


def entry(
    entry_id: str,
    *,
    kind: EntryKind = "charge",
    path: Path = ("ann", ROOT),
    at: datetime = FINE,
    nanos: int = 1,
    model: str | None = None,
) -> Entry:
    return Entry(entry_id, kind, path, at, at, nanos, model)


def hold(hold_id: str, *, at: datetime = FINE, lease_id: str = "lease", nanos: int = 1) -> Hold:
    return Hold(hold_id, ("ann", ROOT), "some-model", nanos, at, lease_id)


# Budgets


def test_an_empty_project_answers_every_question_with_nothing(store: Store) -> None:
    with store.reading("p") as view:
        assert view.budget("ann") is None
        assert list(view.budgets()) == []
        assert view.current("m") is None
        assert view.totals_at("m", FINE) is None
        assert view.periods("m") == []
        assert view.models("m", JAN) == {}
        assert view.hold("h") is None
        assert view.holds() == []
        assert view.entry("e") is None
        assert list(view.entries()) == []
        assert list(view.entries(user="ann")) == []
        assert view.spent("ann", JAN, None) == {}
        assert view.spenders("ann", JAN, None) == {}
        assert view.spending("ann", JAN, None, count=9) == []
        assert view.written(count=9) == []
        assert view.written(user="ann", newest_first=True, count=9) == []
        assert view.leases() == []
        assert view.due(MAR) == []
    assert store.projects() == []


def test_a_budget_comes_back_as_it_was_put(store: Store) -> None:
    wanted = budget(
        "ann",
        Limit("a", MOST_NANOS, PeriodRule(2, "week", "America/Santiago", datetime(2026, 1, 31, 9, 30))),
        Limit("b", None, NEVER),
        Limit("c", 0, PeriodRule(3, "month"), reset_at=FINE, warn_at=(1, 50, 100)),
        parent="team",
        frozen=True,
    )
    wanted = replace(wanted, archived=True)
    with store.transaction("p") as txn:
        txn.put_budget(budget("team"))
        txn.put_budget(wanted)
        assert txn.budget("ann") == wanted
    with store.reading("p") as view:
        assert view.budget("ann") == wanted
        assert [each for each in view.budgets() if each.user == "ann"] == [wanted]


def test_putting_a_budget_again_replaces_it_with_all_its_limits(store: Store) -> None:
    with store.transaction("p") as txn:
        txn.put_budget(budget("ann", monthly("a"), monthly("b")))
    after = budget("ann", monthly("c", total=3), monthly("a", total=7), frozen=True)
    with store.transaction("p") as txn:
        assert txn.budget("ann") is not None
        txn.put_budget(after)
        assert txn.budget("ann") == after
    with store.reading("p") as view:
        assert view.budget("ann") == after


def test_budgets_come_by_name_and_the_project_first(store: Store) -> None:
    names = ["zoe", "ann", "Ann", "ärger", "日本", "\U0001f600", "a b", ROOT]
    with store.transaction("p") as txn:
        for name in names:
            txn.put_budget(budget(name, parent=None if name == ROOT else ROOT))
    with store.reading("p") as view:
        assert [each.user for each in view.budgets()] == sorted(names)
        assert next(view.budgets()).user == ROOT


def test_projects_share_nothing(store: Store) -> None:
    with store.transaction("one") as txn:
        txn.put_budget(budget("ann", monthly("m1")))
        txn.open_period(Totals("m1", JAN, FEB))
        txn.put_hold(hold("h"))
        txn.append([entry("e", nanos=5)])
        txn.put_lease(Lease("lease", Process("host", 1, "s"), FINE))
    with store.transaction("two") as txn:
        assert txn.budget("ann") is None
        assert (txn.hold("h"), txn.holds(), txn.entry("e"), list(txn.entries())) == (None, [], None, [])
        assert (txn.leases(), txn.due(MAR), txn.spent("ann", JAN, None)) == ([], [], {})
        txn.put_budget(budget("bob"))
        txn.put_hold(hold("h", nanos=2))
        txn.append([entry("e", nanos=7)])
        txn.remove_lease("lease")
    with store.reading("one") as view:
        assert view.hold("h") == hold("h")
        assert view.spent("ann", JAN, None) == {"": 5}
        assert [lease.id for lease in view.leases()] == ["lease"]
    assert store.projects() == ["one", "two"]


# Periods


def test_the_current_period_is_the_one_that_starts_last(store: Store) -> None:
    with store.transaction("p") as txn:
        txn.open_period(Totals("m", FEB, MAR))
        txn.open_period(Totals("m", JAN, FEB, spent_nanos=3))
        assert txn.current("m") == Totals("m", FEB, MAR)
        assert txn.periods("m") == [Totals("m", JAN, FEB, spent_nanos=3), Totals("m", FEB, MAR)]
        txn.open_period(Totals("m", MAR, None))
        assert txn.current("m") == Totals("m", MAR, None)


def test_a_boost_is_kept_with_its_period(store: Store) -> None:
    with store.transaction("p") as txn:
        txn.open_period(Totals("m", JAN, FEB, boost_nanos=MOST_NANOS))
        txn.open_period(Totals("m", FEB, MAR, 3, 2, 1, FINE))
    after = Totals("m", FEB, MAR, 3, 2, 1, FINE, boost_nanos=5)
    with store.transaction("p") as txn:
        txn.put_totals(after)
        assert txn.current("m") == after
    with store.reading("p") as view:
        assert view.periods("m") == [Totals("m", JAN, FEB, boost_nanos=MOST_NANOS), after]


@pytest.mark.parametrize("warm", [False, True], ids=["read fresh", "after the current one was read"])
def test_periods_are_half_open(store: Store, warm: bool) -> None:
    with store.transaction("p") as txn:
        txn.open_period(Totals("m", JAN, FEB))
        txn.open_period(Totals("m", MAR, None))
    with store.reading("p") as view:
        if warm:
            view.current("m")
        assert view.totals_at("m", JAN - TICK) is None
        assert view.totals_at("m", JAN) == Totals("m", JAN, FEB)
        assert view.totals_at("m", FEB - TICK) == Totals("m", JAN, FEB)
        assert view.totals_at("m", FEB) is None
        assert view.totals_at("m", MAR - TICK) is None
        assert view.totals_at("m", MAR) == Totals("m", MAR, None)


def test_sums_come_back_exact_and_moments_to_the_microsecond(store: Store) -> None:
    most = Totals("m", FINE, FINE + TICK, MOST_NANOS * 9, MOST_NANOS - 1, 1, FINE)
    with store.transaction("p") as txn:
        txn.open_period(Totals("m", FINE, None))
        txn.put_totals(most)
        assert txn.current("m") == most
        assert txn.totals_at("m", FINE) == most
        assert txn.periods("m") == [most]
    with store.reading("p") as view:
        found = view.current("m")
        assert found == most
        assert found is not None
        assert found.start.tzinfo is UTC


def test_a_period_that_is_not_the_current_one_can_be_replaced(store: Store) -> None:
    with store.transaction("p") as txn:
        txn.open_period(Totals("m", JAN, FEB))
        txn.open_period(Totals("m", FEB, MAR))
        txn.put_totals(Totals("m", JAN, FINE, spent_nanos=4))
        assert txn.totals_at("m", FINE) is None
        assert txn.totals_at("m", JAN) == Totals("m", JAN, FINE, spent_nanos=4)
    with store.reading("p") as view:
        assert view.periods("m") == [Totals("m", JAN, FINE, spent_nanos=4), Totals("m", FEB, MAR)]


def test_removing_periods_takes_those_from_a_moment_on_and_their_models(store: Store) -> None:
    with store.transaction("p") as txn:
        for start, end in ((JAN, FEB), (FEB, MAR), (MAR, None)):
            txn.open_period(Totals("m", start, end))
            txn.open_period(Totals("other", start, end))
            txn.put_models("m", start, {"gpt": 1})
        txn.put_totals(Totals("m", MAR, None, spent_nanos=9))
        txn.remove_periods("m", FEB)
        assert txn.current("m") == Totals("m", JAN, FEB)
        assert [totals.start for totals in txn.periods("m")] == [JAN]
        assert (txn.models("m", JAN), txn.models("m", FEB), txn.models("m", MAR)) == ({"gpt": 1}, {}, {})
        # The same start may come again, with sums of its own.
        txn.open_period(Totals("m", MAR, None))
        assert txn.current("m") == Totals("m", MAR, None)
    with store.reading("p") as view:
        assert len(view.periods("other")) == 3


def test_spend_by_model_adds_up_and_leaves_zeros_out(store: Store) -> None:
    with store.transaction("p") as txn:
        txn.open_period(Totals("m", JAN, FEB))
        txn.add_model("m", JAN, "gpt", 5)
        txn.add_model("m", JAN, "gpt", -2)
        txn.add_model("m", JAN, "claude", 4)
        txn.add_model("m", JAN, "claude", -4)
        txn.add_model("m", JAN, "", 1)
        assert txn.models("m", JAN) == {"gpt": 3, "": 1}
        txn.put_models("m", JAN, {"mistral": 8})
        assert txn.models("m", JAN) == {"mistral": 8}


# Holds


def test_a_hold_comes_back_as_it_was_put(store: Store) -> None:
    terms = {"usage": {"input": 3}, "limited_by": "budget", "none": None, "list": [1, "ü"]}
    wanted = Hold("h", ("ann", "team", ROOT), "m", MOST_NANOS, FINE, "lease", True, terms)
    with store.transaction("p") as txn:
        txn.put_hold(wanted)
        assert txn.hold("h") == wanted
        terms["later"] = "the caller's own dictionary is not what is kept"
    with store.reading("p") as view:
        found = view.hold("h")
        assert found is not None
        assert dict(found.terms) == {key: value for key, value in terms.items() if key != "later"}


def test_holds_come_oldest_first_and_by_lease(store: Store) -> None:
    with store.transaction("p") as txn:
        for each in (
            hold("b", lease_id="x"),
            hold("a", lease_id="y"),
            hold("c", at=JAN, lease_id="x"),
        ):
            txn.put_hold(each)
        assert [each.id for each in txn.holds()] == ["c", "a", "b"]
        assert [each.id for each in txn.holds(lease_id="x")] == ["c", "b"]
        txn.put_hold(hold("c", at=MAR, lease_id="y", nanos=9))
        assert [each.id for each in txn.holds()] == ["a", "b", "c"]
        txn.remove_hold("a")
        txn.remove_hold("nobody")
        assert txn.hold("a") is None
        assert [each.nanos for each in txn.holds(lease_id="y")] == [9]


# Entries


def test_an_entry_comes_back_as_it_was_written(store: Store) -> None:
    detail = {"usage": {"input": 12, "how": "reported"}, "note": "“quoted” \U0001f600", "end": None}
    wanted = Entry("e", "correction", ("ann", "team", ROOT), FINE, MAR, -MOST_NANOS, "m", detail)
    with store.transaction("p") as txn:
        txn.append([wanted])
        assert txn.entry("e") == wanted
    with store.reading("p") as view:
        assert view.entry("e") == wanted
        assert list(view.entries()) == [wanted]


def test_a_note_that_is_broken_unicode_is_kept(store: Store) -> None:
    """What a terminal passes on as undecodable bytes must not lose a charge."""
    with store.transaction("p") as txn:
        txn.append([Entry("e", "charge", ("ann", ROOT), FINE, FINE, 1, None, {"note": "\udcff"})])
    with store.reading("p") as view:
        found = view.entry("e")
        assert found is not None
        assert found.detail["note"] == "\udcff"


def test_entries_come_in_the_order_of_writing(store: Store) -> None:
    with store.transaction("p") as txn:
        txn.append([entry("c", at=MAR), entry("a", at=JAN, path=("bob", "ann", ROOT))])
        txn.append([entry("b", at=FEB, path=("bob", ROOT))])
    with store.reading("p") as view:
        assert [each.id for each in view.entries()] == ["c", "a", "b"]
        assert [each.id for each in view.entries(user="ann")] == ["c", "a"]
        assert [each.id for each in view.entries(user=ROOT)] == ["c", "a", "b"]
        assert [each.id for each in view.entries(user="nobody")] == []


@pytest.mark.parametrize("together", [True, False], ids=["in one go", "in two transactions"])
def test_an_entry_id_is_taken_once(store: Store, together: bool) -> None:
    if not together:
        with store.transaction("p") as txn:
            txn.append([entry("e", nanos=1)])
    with pytest.raises(ConflictError), store.transaction("p") as txn:
        txn.append([entry("e", nanos=1), entry("e", nanos=2)])
    with store.reading("p") as view:
        assert [each.nanos for each in view.entries()] == ([] if together else [1])


def test_spent_sums_spending_in_a_half_open_window_by_model(store: Store) -> None:
    with store.transaction("p") as txn:
        txn.append(
            [
                entry("1", at=JAN - TICK, nanos=100),
                entry("2", at=JAN, nanos=1, model="gpt"),
                entry("3", at=FEB - TICK, nanos=2, model="gpt"),
                entry("4", at=FEB, nanos=100),
                entry("5", at=FINE, nanos=4, path=("bob", "ann", ROOT)),
                entry("6", at=FINE, nanos=100, path=("bob", ROOT)),
                entry("7", at=FINE, nanos=-1, model="gpt", kind="correction"),
                entry("8", at=FINE, nanos=5, model="free"),
                entry("9", at=FINE, nanos=-5, model="free", kind="correction"),
                *(
                    entry(kind, at=FINE, nanos=100, kind=kind)
                    for kind in ("opened", "limit_changed", "expired", "released", "overrun")
                ),
            ]
        )
        assert txn.spent("ann", JAN, FEB) == {"gpt": 2, "": 4}
        assert txn.spent("ann", JAN, None) == {"gpt": 2, "": 104}
        assert txn.spent(ROOT, JAN, FEB) == {"gpt": 2, "": 104}


def test_spenders_are_those_whose_calls_they_were(store: Store) -> None:
    team = ("team", ROOT)
    with store.transaction("p") as txn:
        txn.append(
            [
                entry("1", path=("ann", *team), at=JAN, nanos=1),
                # Of one user by two paths: it has moved.
                entry("2", path=("ann", "squad", *team), at=FINE, nanos=2),
                entry("3", path=("bob", *team), at=FINE, nanos=4),
                entry("4", path=team, at=FINE, nanos=8),
                entry("5", path=("eve", ROOT), at=FINE, nanos=16),
                entry("6", path=("zed", *team), at=FINE, nanos=5),
                entry("7", path=("zed", *team), at=FINE, nanos=-5, kind="correction"),
                entry("8", path=("bob", *team), at=FEB, nanos=32),
                entry("9", path=("bob", *team), at=FINE, nanos=64, kind="overrun"),
            ]
        )
        assert txn.spenders("team", JAN, FEB) == {"ann": 3, "bob": 4, "team": 8}
        assert txn.spenders("team", JAN + TICK, None) == {"ann": 2, "bob": 36, "team": 8}
        assert txn.spenders(ROOT, JAN, FEB) == {"ann": 3, "bob": 4, "team": 8, "eve": 16}


@pytest.mark.parametrize("paths", [1, 3, 250], ids=lambda paths: f"{paths} paths")
@pytest.mark.parametrize("user", ["team", ROOT], ids=["a team", "the project"])
def test_spending_is_paged_by_moment_and_order_of_writing(store: Store, paths: int, user: str) -> None:
    """Many at one moment, written out of order, of few and of very many members."""
    moments = (FINE, JAN, JAN, FEB - TICK, FINE, FEB, JAN - TICK)
    with store.transaction("p") as txn:
        txn.append(
            entry(
                f"{number}",
                path=(f"user-{number % paths}", "team", ROOT),
                at=moments[number % len(moments)],
                kind="correction" if number % 2 else "charge",
            )
            for number in range(260)
        )
        txn.append([entry("other", path=("eve", "others", ROOT), at=JAN), entry("over", kind="overrun")])
    with store.transaction("elsewhere") as txn:
        txn.append([entry("theirs", path=("user-0", "team", ROOT), at=JAN)])
    with store.reading("p") as view:
        wanted = sorted(
            (each for each in view.entries(user=user) if each.kind != "overrun" and JAN <= each.at < FEB),
            key=lambda each: each.at,
        )
        found: list[Entry] = []
        while page := view.spending(user, JAN, FEB, after=found[-1] if found else None, count=7):
            assert len(page) <= 7
            found += page
        assert found == wanted
        assert view.spending(user, FEB, None, count=1)[0].at == FEB


@pytest.mark.parametrize("newest_first", [False, True], ids=["oldest first", "newest first"])
@pytest.mark.parametrize("user", [None, ROOT, "ann", "rare", "nobody"])
def test_entries_are_paged_in_the_order_of_writing(
    store: Store, user: str | None, newest_first: bool
) -> None:
    with store.transaction("p") as txn:
        for number in range(150):
            name = "rare" if number in (3, 80) else ("ann", "bob", "eve")[number % 3]
            txn.append([entry(f"{number}", path=(name, ROOT), at=FINE - number * TICK, kind="released")])
    with store.transaction("elsewhere") as txn:
        txn.append([entry(f"{number}", path=("ann", ROOT)) for number in range(150)])
    with store.reading("p") as view:
        wanted = list(view.entries(user=user))
        if newest_first:
            wanted.reverse()
        found: list[Entry] = []
        while page := view.written(
            user=user, after=found[-1] if found else None, newest_first=newest_first, count=4
        ):
            assert len(page) <= 4
            found += page
        assert found == wanted
        # The place may be an entry of somebody else.
        middle = view.entry("80")
        later = view.written(user="ann", after=middle, newest_first=newest_first, count=1)
        assert [each.id for each in later] == ["78" if newest_first else "81"]


# Leases


def test_leases_are_put_renewed_and_removed(store: Store) -> None:
    first = Lease("a", Process("host/boot", 7, "123"), JAN)
    second = Lease("b", Process("host/boot", 8, ""), FINE)
    with store.transaction("p") as txn:
        txn.put_lease(second)
        txn.put_lease(first)
        assert txn.leases() == [first, second]
        renewed = Lease("a", first.process, MAR)
        txn.put_lease(renewed)
        txn.remove_lease("b")
        txn.remove_lease("nobody")
        assert txn.leases() == [renewed]
    with store.reading("p") as view:
        assert view.leases() == [renewed]


# What is due


def test_a_user_is_due_at_the_very_end_of_a_current_period(store: Store) -> None:
    with store.transaction("p") as txn:
        txn.put_budget(budget("ann", monthly("a"), monthly("b")))
        txn.put_budget(budget("bob", monthly("c")))
        txn.put_budget(budget(ROOT, monthly("r"), parent=None))
        txn.put_budget(budget("eve", Limit("n", 1, NEVER)))
        txn.open_period(Totals("a", JAN, FEB))
        txn.open_period(Totals("b", JAN, FEB))
        txn.open_period(Totals("c", JAN, MAR))
        txn.open_period(Totals("r", JAN, FEB))
        txn.open_period(Totals("n", JAN, None))
    with store.reading("p") as view:
        assert view.due(FEB - TICK) == []
        assert view.due(FEB) == [ROOT, "ann"]
        assert view.due(MAR) == [ROOT, "ann", "bob"]


def test_nobody_is_due_for_a_period_that_is_over_or_a_limit_that_is_gone(store: Store) -> None:
    with store.transaction("p") as txn:
        txn.put_budget(budget("ann", monthly("a")))
        txn.open_period(Totals("a", JAN, FEB))
        txn.open_period(Totals("a", FEB, MAR))
        assert txn.due(FEB) == []
        # A gap that is filled later is no current period.
        txn.open_period(Totals("a", JAN - timedelta(days=31), JAN))
        assert txn.due(FEB) == []
        # A reset moves the end of a period, a changed rule takes it away.
        txn.put_totals(Totals("a", FEB, FEB + TICK))
        assert txn.due(FEB + TICK) == ["ann"]
        txn.put_totals(Totals("a", FEB, None))
        assert txn.due(MAR) == []
        txn.put_totals(Totals("a", FEB, MAR))
        assert txn.due(MAR) == ["ann"]
        txn.put_budget(budget("ann", monthly("b")))
        assert txn.due(MAR) == []


# Transactions


def write_everything(txn: Transaction, suffix: str = "") -> None:
    txn.put_budget(budget(f"ann{suffix}", monthly(f"m{suffix}")))
    txn.open_period(Totals(f"m{suffix}", JAN, FEB))
    txn.put_totals(Totals(f"m{suffix}", JAN, FEB, spent_nanos=1, touched_at=FINE))
    txn.add_model(f"m{suffix}", JAN, "gpt", 1)
    txn.put_hold(hold(f"h{suffix}"))
    txn.append([entry(f"e{suffix}", path=(f"ann{suffix}", ROOT))])
    txn.put_lease(Lease(f"lease{suffix}", Process("host", 1, "s"), FINE))


def everything(view: Reading, suffix: str = "") -> list[object]:
    """What `write_everything` wrote, as far as it is there."""
    return [
        view.budget(f"ann{suffix}"),
        [each for each in view.budgets() if each.user == f"ann{suffix}"],
        view.current(f"m{suffix}"),
        view.totals_at(f"m{suffix}", FINE),
        view.periods(f"m{suffix}"),
        view.models(f"m{suffix}", JAN),
        view.hold(f"h{suffix}"),
        view.entry(f"e{suffix}"),
        list(view.entries(user=f"ann{suffix}")),
        view.spent(f"ann{suffix}", JAN, FEB),
        view.spenders(f"ann{suffix}", JAN, FEB),
        view.spending(f"ann{suffix}", JAN, FEB, count=9),
        view.written(user=f"ann{suffix}", count=9),
        [each for each in view.leases() if each.id == f"lease{suffix}"],
        [user for user in view.due(MAR) if user == f"ann{suffix}"],
    ]


def test_a_transaction_sees_its_own_writes_and_others_see_them_after_it(store: Store) -> None:
    with store.transaction("p") as txn:
        write_everything(txn)
        seen = everything(txn)
    assert all(seen)
    with store.reading("p") as view:
        assert everything(view) == seen


def test_a_block_that_raises_leaves_nothing(store: Store) -> None:
    with store.transaction("p") as txn:
        write_everything(txn, "1")
        before = everything(txn, "1")
    with pytest.raises(KeyboardInterrupt), store.transaction("p") as txn:  # noqa: PT012 - all of it is undone
        txn.put_budget(budget("ann1", frozen=True))
        txn.put_totals(Totals("m1", JAN, FEB, spent_nanos=77))
        txn.remove_hold("h1")
        write_everything(txn, "2")
        raise KeyboardInterrupt
    with store.transaction("p") as txn:
        assert not any(everything(txn, "2"))
        assert everything(txn, "1") == before


@pytest.mark.parametrize("depth", [1, 2])
def test_a_savepoint_is_undone_alone(store: Store, depth: int) -> None:
    def fail(txn: Transaction, deep: int) -> None:
        with txn.savepoint():
            write_everything(txn, f"-inner{deep}")
            txn.put_totals(Totals("m1", JAN, FEB, spent_nanos=1_000))
            if deep > 1:
                fail(txn, deep - 1)
            raise ZeroDivisionError

    with store.transaction("p") as txn:
        with txn.savepoint():
            write_everything(txn, "1")
            txn.put_totals(Totals("m1", JAN, FEB, spent_nanos=5))
        with pytest.raises(ZeroDivisionError):
            fail(txn, depth)
        assert txn.current("m1") == Totals("m1", JAN, FEB, spent_nanos=5)
        assert not any(everything(txn, "-inner1"))
        with txn.savepoint():
            write_everything(txn, "2")
    with store.reading("p") as view:
        assert view.current("m1") == Totals("m1", JAN, FEB, spent_nanos=5)
        assert all(everything(view, "2"))
        assert not any(everything(view, f"-inner{depth}"))


def test_threads_take_turns(store: Store) -> None:
    """A total that is read, raised and written back by many threads at once loses nothing."""
    with store.transaction("p") as txn:
        txn.open_period(Totals("m", JAN, None))

    def raise_it(times: int) -> None:
        for _ in range(times):
            with store.transaction("p") as txn:
                found = txn.current("m")
                assert found is not None
                txn.put_totals(Totals("m", JAN, None, spent_nanos=found.spent_nanos + 1))

    threads = [threading.Thread(target=raise_it, args=(10,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading("p") as view:
        assert view.current("m") == Totals("m", JAN, None, spent_nanos=40)


# Two handles on one store


def test_what_one_handle_commits_another_sees_at_once(store: Store, another: Callable[[], Store]) -> None:
    other = another()
    with other.transaction("p") as txn:
        assert not any(everything(txn))
    with store.transaction("p") as txn:
        write_everything(txn)
        seen = everything(txn)
    with other.reading("p") as view:
        assert everything(view) == seen


def test_no_handle_keeps_a_budget_that_another_has_changed(
    store: Store, another: Callable[[], Store]
) -> None:
    """Budgets may be remembered between transactions; what was remembered must never be old."""
    handles = [store, another(), another()]
    for turn in range(6):
        wanted = budget("ann", monthly("m", total=turn), frozen=bool(turn % 2))
        for handle in handles:
            with handle.reading("p") as view:
                assert view.budget("nobody") is None
                view.budget("ann")
        with handles[turn % 3].transaction("p") as txn:
            txn.put_budget(wanted)
        for handle in handles:
            with handle.transaction("p") as txn:
                assert txn.budget("ann") == wanted
        undone = handles[(turn + 1) % 3].transaction("p")
        with pytest.raises(ZeroDivisionError), undone as txn:  # noqa: PT012 - all of it is undone
            txn.put_budget(budget("ann", frozen=True))
            txn.budget("ann")
            raise ZeroDivisionError
        for handle in handles:
            with handle.reading("p") as view:
                assert view.budget("ann") == wanted


def test_a_view_does_not_move_while_another_handle_writes(store: Store, another: Callable[[], Store]) -> None:
    with store.transaction("p") as txn:
        write_everything(txn)
    with another().reading("p") as view:
        before = everything(view)
        with store.transaction("p") as txn:
            txn.put_totals(Totals("m", JAN, FEB, spent_nanos=99))
            txn.append([entry("later")])
            txn.remove_hold("h")
        assert everything(view) == before
        assert view.entry("later") is None


def test_a_store_opened_again_has_everything(store: Store, another: Callable[[], Store]) -> None:
    with store.transaction("p") as txn:
        write_everything(txn)
        seen = everything(txn)
    store.close()
    store.close()
    with another().reading("p") as view:
        assert everything(view) == seen
    with store.reading("p") as view:
        assert everything(view) == seen, "a closed handle opens again when it is used"
