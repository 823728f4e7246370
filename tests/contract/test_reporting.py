"""Reports follow from the entries, for every kind of store."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from budgets.clock import FixedClock
from budgets.engine import Change, Engine, LimitTerms, reporting
from budgets.errors import InvalidValueError, UnknownEntryError, UnknownUserError
from budgets.money import parse_usd
from budgets.periods import PeriodRule
from budgets.ports import Store
from budgets.records import ROOT
from tests.support.engines import dollars, open_engine

pytestmark = pytest.mark.usefixtures("door")

BERLIN = "Europe/Berlin"
MONTHLY = LimitTerms(parse_usd("10"), PeriodRule(1, "month", BERLIN))
# Noon, so that days have passed on either side of it.
NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture
def engine(store: Store, clock: FixedClock) -> Engine:
    made = open_engine(store, clock=clock)
    made.create("team", MONTHLY)
    made.create("ann", MONTHLY, parent="team")
    made.create("bob", parent="team")
    made.create("eve", LimitTerms(parse_usd("2")))
    return made


def charge(engine: Engine, user: str, usd: str, at: str, model: str | None = "gpt") -> None:
    engine.charge(user, dollars(usd, model=model), at=datetime.fromisoformat(at))


def usd(rows: tuple[tuple[str, int], ...]) -> dict[str, int]:
    return {name: nanos // 10**6 for name, nanos in rows}


def test_days_are_those_of_the_limits_zone(engine: Engine) -> None:
    """In Berlin the 29th begins at 23:00 UTC, lasts 23 hours, and ends at 22:00 UTC."""
    charge(engine, "ann", "0.001", "2026-03-28T22:59:59.999999+00:00")
    charge(engine, "ann", "0.002", "2026-03-28T23:00:00+00:00")
    charge(engine, "bob", "0.004", "2026-03-29T11:00:00+00:00")
    charge(engine, "ann", "0.008", "2026-03-01T05:00:00+00:00")
    found = engine.spending("team", by="day")
    assert usd(found.rows) == {"2026-03-01": 8, "2026-03-28": 1, "2026-03-29": 6}
    assert [day for day, _ in found.rows] == sorted(day for day, _ in found.rows)
    assert found.timezone == BERLIN


def test_a_stretch_cuts_the_days_at_its_ends(engine: Engine) -> None:
    for hour in (7, 8, 9, 10):
        charge(engine, "ann", "0.001", f"2026-03-29T{hour:02}:00:00+00:00")
    since, until = (datetime(2026, 3, 29, hour, tzinfo=UTC) for hour in (8, 10))
    found = engine.spending("ann", by="day", since=since, until=until)
    assert (usd(found.rows), found.of_period) == ({"2026-03-29": 2}, None)
    assert usd(engine.spending("ann", since=since).rows) == {"gpt": 3}
    assert usd(engine.spending("ann", until=since).rows) == {"gpt": 1}


@pytest.mark.parametrize("by", ["model", "day", "user"])
def test_every_way_to_cut_it_adds_up_to_the_same(engine: Engine, by: reporting.By) -> None:
    users, models = ("ann", "bob", "team"), ("gpt", "claude", None)
    for number in range(60):
        at = NOON - timedelta(hours=7 * number)
        charge(engine, users[number % 3], f"0.{number:09d}", at.isoformat(), models[number % 7 % 3])
    engine.correct(engine.entries("team")[-1].id, -1, note="one nano less")
    found = engine.spending("team", by=by)
    status = engine.status("team").primary
    assert status is not None
    assert found.spent_nanos == status.totals.spent_nanos
    assert sum(found.models.values()) == found.spent_nanos
    assert engine.spending("team", by=by, since=found.period.start, until=found.period.end).rows == found.rows
    by_hand: dict[str, int] = defaultdict(int)
    for entry in engine.charges("team", since=found.period.start):
        local = entry.at.astimezone(engine_zone()).date().isoformat()
        by_hand[{"model": entry.model or "", "day": local, "user": entry.user}[by]] += entry.nanos
    assert dict(found.rows) == by_hand


def engine_zone() -> ZoneInfo:
    return ZoneInfo(BERLIN)


def test_the_last_period_is_the_one_before_the_current(engine: Engine, clock: FixedClock) -> None:
    charge(engine, "ann", "1", "2026-03-10T00:00:00+00:00")
    charge(engine, "ann", "2", "2026-02-10T00:00:00+00:00")
    assert usd(engine.spending("ann", which="last").rows) == {"gpt": 2_000}
    clock.set(datetime(2026, 4, 2, tzinfo=UTC))
    found = engine.spending("ann", which="last")
    assert (usd(found.rows), found.of_period) == ({"gpt": 1_000}, "last")
    assert found.period.end == datetime(2026, 3, 31, 22, tzinfo=UTC)
    # Nobody wrote April down.
    clock.set(datetime(2026, 5, 2, tzinfo=UTC))
    found = engine.spending("ann", which="last")
    assert (found.rows, found.period.start) == ((), datetime(2026, 3, 31, 22, tzinfo=UTC))


def test_a_period_ends_where_it_was_reset(engine: Engine, clock: FixedClock) -> None:
    charge(engine, "eve", "1", "2026-03-10T00:00:00+00:00")
    engine.reset("eve")
    clock.advance(hours=1)
    engine.charge("eve", dollars("0.5"))
    assert engine.spending("eve").spent_nanos == parse_usd("0.5")
    assert engine.spending("eve", which="last").spent_nanos == parse_usd("1")


def test_what_has_no_period_before_it_says_so(engine: Engine) -> None:
    with pytest.raises(InvalidValueError, match="no period before"):
        engine.spending("eve", which="last")
    with pytest.raises(InvalidValueError, match="has no periods"):
        engine.spending(ROOT, which="last")
    with pytest.raises(InvalidValueError, match="empty"):
        engine.spending("ann", since=NOON, until=NOON)
    with pytest.raises(UnknownUserError):
        engine.spending("nobody")


def test_the_project_spends_what_all_spend(engine: Engine) -> None:
    for user in ("ann", "bob", "eve"):
        charge(engine, user, "0.001", "2026-03-20T00:00:00+00:00")
    assert usd(engine.spending(by="user").rows) == {"ann": 1, "bob": 1, "eve": 1}
    assert usd(engine.spending("team", by="user").rows) == {"ann": 1, "bob": 1}


def test_what_was_spent_below_a_team_stays_there_when_a_user_moves(engine: Engine) -> None:
    charge(engine, "ann", "0.001", "2026-03-20T00:00:00+00:00")
    engine.change("ann", Change(parent=ROOT))
    engine.charge("ann", dollars("0.002"))
    assert usd(engine.spending("team", by="user").rows) == {"ann": 1}
    assert usd(engine.spending("ann", by="user").rows) == {"ann": 3}


def test_entries_stream_in_pages_without_keeping_a_view(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "PAGE", 3)
    for number in range(10):
        charge(engine, "ann", "0.001", (NOON - timedelta(hours=number)).isoformat())
    everything = engine.entries()
    assert list(engine.stream()) == everything
    assert list(engine.stream("eve")) == engine.entries("eve")
    charges = [entry for entry in everything if entry.kind == "charge"]
    assert list(engine.charges()) == charges[::-1]
    assert list(engine.charges("eve")) == []
    # Between pages others may write, this very thread among them, and what they add is streamed too.
    stream = engine.stream()
    first = list(islice(stream, 4))
    engine.charge("ann", dollars("0.001"), charge_id="later")
    assert [*first, *stream][-1].id == "later"


def test_history_pages_from_the_newest_on(engine: Engine) -> None:
    for number in range(5):
        engine.charge("ann", dollars("0.001"), charge_id=f"call-{number}")
    everything = engine.entries()[::-1]
    first = engine.history(count=4)
    assert first == everything[:4]
    assert engine.history(before=first[-1].id, count=1_000) == everything[4:]
    assert [each.id for each in engine.history("ann", before="call-3", count=2)] == ["call-2", "call-1"]
    with pytest.raises(UnknownEntryError):
        engine.history(before="nothing", count=1)
    with pytest.raises(UnknownUserError):
        engine.history("nobody", count=1)
    with pytest.raises(UnknownUserError):
        list(engine.stream("nobody"))


def test_members_are_those_below_however_deep(engine: Engine) -> None:
    engine.create("cat", parent="bob")
    assert engine.members("team") == ["ann", "bob", "cat"]
    assert engine.members("ann") == []
    engine.archive("bob")
    assert engine.members("team") == ["ann", "cat"]
    with pytest.raises(UnknownUserError):
        engine.members("nobody")


@pytest.mark.parametrize(
    ("spent", "least", "found"),
    [
        pytest.param("1.80", Fraction(9, 10), ["eve"], id="exactly"),
        pytest.param("1.799999999", Fraction(9, 10), [], id="a nano less"),
        pytest.param("3", Fraction(1), ["eve"], id="more than all"),
    ],
)
def test_who_has_used_so_much(engine: Engine, spent: str, least: Fraction, found: list[str]) -> None:
    engine.charge("eve", dollars(spent))
    assert engine.used_most(least) == found


def test_the_tightest_limit_may_be_a_parents_and_held_money_uses_it(engine: Engine) -> None:
    engine.hold("team", parse_usd("9"), model="gpt")
    assert engine.used_most(Fraction(9, 10)) == ["ann", "bob", "team"]
    engine.change("eve", Change(total_nanos=0))
    assert engine.used_most(Fraction(1)) == ["eve"]


def test_a_tree_has_everybody_below_their_parent(engine: Engine) -> None:
    engine.create("cat", parent="bob")
    engine.create("old", parent="team")
    engine.archive("old")
    top = engine.tree()
    assert top is not None
    assert (top.status.budget.user, top.below) == (ROOT, 5)
    assert [each.status.budget.user for each in top.branches] == ["eve", "team"]
    team = top.branches[1]
    assert [(each.status.budget.user, each.below) for each in team.branches] == [("ann", 0), ("bob", 1)]
    cut = engine.tree(depth=1)
    assert cut is not None
    assert (cut.below, [(each.below, each.branches) for each in cut.branches]) == (5, [(0, ()), (3, ())])
    # Whoever stands below an archived budget is not lost with it.
    engine.archive("bob")
    under = engine.tree("team")
    assert under is not None
    assert [each.status.budget.user for each in under.branches] == ["ann", "bob"]
    with pytest.raises(UnknownUserError):
        engine.tree("nobody")


def test_an_empty_project_has_no_tree_and_no_report(store: Store) -> None:
    engine = open_engine(store)
    assert engine.tree() is None
    assert engine.projects() == []
    assert engine.spending(by="user").rows == ()
    assert engine.history(count=1) == []


def test_projects_are_reported_one_by_one(store: Store, clock: FixedClock) -> None:
    for project, amount in (("one", "1"), ("two", "2")):
        engine = open_engine(store, clock=clock, project=project)
        engine.create("ann")
        engine.create("bob")
        clock.advance(hours=1)
        engine.charge("ann", dollars(amount))
    found = engine.projects()
    assert [(each.project, each.users, each.spent_nanos) for each in found] == [
        ("one", 2, parse_usd("1")),
        ("two", 2, parse_usd("2")),
    ]
    assert [each.written_at for each in found] == [NOON + timedelta(hours=hours) for hours in (1, 2)]
