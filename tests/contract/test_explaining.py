"""Whatever has an id is explained, from any store: charges, corrections, holds, and what became of them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from budgets.engine import Engine, LimitTerms, holding
from budgets.errors import InvalidValueError, UnknownEntryError
from budgets.ports import Store
from budgets.records import Charge, Entry, Hold
from budgets.usage import Usage
from tests.support.engines import START, dollars, open_engine

PINS = {
    "book": "test",
    "book_day": "2026-01-01",
    "model": "openai/gpt",
    "rows": {"input": "250000/3"},
    "terms": [{"units": ["input"], "from": "2025-06-01", "above": 200_000, "source": "a page"}],
}


@pytest.fixture
def engine(store: Store) -> Engine:
    made = open_engine(store)
    made.create("ann", LimitTerms(10**12))
    return made


def test_a_charge_comes_back_from_the_store_with_all_that_its_sum_needs(engine: Engine) -> None:
    engine.charge("ann", Charge(250, "gpt", Usage.of(input=3), PINS), charge_id="c-1")
    found = engine.explain("c-1")
    assert found.explanation.exact_picos == 250_000
    assert found.explanation.adds_up
    (used,) = found.explanation.sums
    assert used.book_day == "2026-01-01"
    (line,) = used.lines
    assert line.terms is not None
    assert (line.terms.starts, line.terms.above, line.terms.source) == ("2025-06-01", 200_000, "a page")


def test_a_charge_names_its_corrections_and_a_correction_its_charge(engine: Engine) -> None:
    """Others at the same moment, and the corrections of others, are not among them."""
    for each in ("c-1", "c-2"):
        engine.charge("ann", dollars("3"), charge_id=each, at=START - timedelta(days=1))
    for each, of, nanos in (("fix-1", "c-1", -5), ("fix-2", "c-2", 7), ("fix-3", "c-1", 1)):
        engine.correct(of, nanos, note="the invoice", correction_id=each)
    found = engine.explain("c-1")
    assert [each.id for each in found.corrections] == ["fix-1", "fix-3"]
    assert found.stands_nanos == 3 * 10**9 - 4
    of_fix = engine.explain("fix-3")
    assert (of_fix.charge, of_fix.corrections) == (found.charge, found.corrections)
    assert (of_fix.explanation.basis, of_fix.explanation.total_nanos) == ("amount", 1)


def test_a_call_is_explained_by_its_id_from_its_hold_to_its_end(engine: Engine) -> None:
    engine.hold("ann", 500, hold_id="call-1")
    assert isinstance(engine.explain("call-1").record, Hold)
    engine.doubt("call-1", reason="the answer broke off")
    doubted = engine.explain("call-1").record
    assert isinstance(doubted, Hold)
    assert doubted.unconfirmed
    engine.release("call-1", reason="it cost nothing")
    released = engine.explain("call-1").record
    assert isinstance(released, Entry)
    assert (released.kind, released.detail["reason"]) == ("released", "it cost nothing")
    assert engine.explain("call-1").stands_nanos is None
    # Late, and recorded all the same.
    engine.settle("call-1", dollars("0.25"))
    settled = engine.explain("call-1")
    assert (settled.explanation.basis, settled.explanation.total_nanos) == ("amount", 250_000_000)


def test_every_entry_there_is_can_be_explained(engine: Engine) -> None:
    engine.charge("ann", dollars("2000"))
    engine.hold("ann", 0, hold_id="call-1")
    engine.doubt("call-1", reason="the process ended")
    engine.reset("ann")
    kinds = set()
    for entry in engine.entries():
        found = engine.explain(entry.id)
        assert found.record == entry
        assert found.explanation.adds_up
        kinds.add(entry.kind)
    assert {"charge", "opened", "overrun", "expired", "limit_changed"} <= kinds


def test_an_id_that_nobody_has_is_an_error_with_a_next_step(engine: Engine) -> None:
    with pytest.raises(UnknownEntryError, match="call-9") as unknown:
        engine.explain("call-9")
    assert "budget history" in (unknown.value.hint or "")


def test_more_entries_at_one_moment_than_are_read_at_a_time_are_all_looked_at(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "_PAGE", 2)
    engine.charge("ann", dollars("3"), charge_id="c-1")
    for number in range(5):
        engine.correct("c-1", -1, note="a nano less", correction_id=f"fix-{number}")
    assert len(engine.explain("c-1").corrections) == 5
    with pytest.raises(InvalidValueError, match="cannot be lowered"):
        engine.correct("c-1", -(3 * 10**9 - 4), note="too much")
