"""Work in proportion to the users says how far it has come."""

from __future__ import annotations

from budgets.clock import FixedClock
from budgets.engine import Engine, LimitTerms
from budgets.periods import parse_rule
from budgets.stores.memory import MemoryStore
from tests.support.engines import START, FakeProcesses


def _engine() -> Engine:
    engine = Engine(MemoryStore(), clock=FixedClock(START), processes=FakeProcesses())
    for name in ("ann", "ben", "eve"):
        engine.create(name, LimitTerms(10, parse_rule("day")))
    return engine


def test_rolling_tells_of_every_user_that_was_due() -> None:
    engine, told = _engine(), []
    engine.clock.advance(days=1)
    assert len(engine.reset_due(watch=told.append)) == 3
    assert told == [1, 2, 3]


def test_rolling_what_is_not_due_tells_of_nobody() -> None:
    told: list[int] = []
    assert _engine().reset_due(watch=told.append) == []
    assert told == []


def test_a_look_at_all_budgets_tells_of_each() -> None:
    told: list[int] = []
    assert len(_engine().statuses(watch=told.append)) == 3
    assert told == [1, 2, 3]
