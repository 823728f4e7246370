"""`budget reprice`: what a person sees, and that nothing changes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from budgets.prices import bundled

if TYPE_CHECKING:
    from conftest import Budget


@pytest.fixture
def spent(budget: Budget) -> Budget:
    """Two users below a team, and charges of every kind."""
    budget.done("create", "--user", "team", "--total", "100")
    for user in ("ann", "ben"):
        budget.done("create", "--user", user, "--parent", "team")
    counts = ("--model", "gpt-4o-mini", "--input-tokens", "1000000")
    budget.done("charge", "--user", "ann", *counts, "--at", "2026-10-31")
    budget.done("charge", "--user", "ann", *counts, "--at", "2026-11-01")
    budget.done("charge", "--user", "ben", *counts, "--at", "2026-11-20")
    budget.done("charge", "--user", "ben", "--amount", "1.50", "--id", "c-1")
    budget.done("correct", "c-1", "--amount", "-0.50", "--note", "less")
    return budget


def _document(budget: Budget, *argv: str) -> dict[str, object]:
    found: dict[str, object] = budget.done("reprice", *argv, "--json").document
    return found


def test_at_the_same_prices_nothing_differs_and_nothing_is_written(spent: Budget) -> None:
    before = spent.done("history", "--json").out
    found = _document(spent)
    assert (found["charged_usd"], found["repriced_usd"], found["difference_usd"]) == ("1.45", "1.45", "0.00")
    assert found["not_repriced_usd"] == "1.00"
    assert spent.done("history", "--json").out == before
    assert spent.done("check", "--json").document["faults"] == []


def test_own_prices_of_now_are_taken(spent: Budget) -> None:
    spent.done("prices", "set", "--discount", "10%", "--from", "2026-11-10")
    assert _document(spent)["difference_usd"] == "-0.015"
    assert _document(spent, "--at", "2026-11-22")["difference_usd"] == "-0.045"
    ended = spent.done("reprice", "--at", "2026-11-22")
    assert "charged $1.45, it would have been $1.405: -$0.045" in ended.out
    assert "not repriced: (no model), 1 for $1.50: an amount, without counts" in ended.out
    assert "not repriced: (no model), 1 for -$0.50: a correction" in ended.out


def test_a_stretch_and_a_user_narrow_it(spent: Budget) -> None:
    assert _document(spent, "--since", "2026-11-01")["charged_usd"] == "1.30"
    assert _document(spent, "--since", "2026-10-31", "--until", "2026-11-01")["charged_usd"] == "0.15"
    assert _document(spent, "--user", "ann")["charged_usd"] == "0.30"
    assert _document(spent, "--user", "team")["charged_usd"] == "1.45"
    assert spent("reprice", "--user", "nobody").code == 1
    empty = spent.done("reprice", "--since", "2026-11-21", "--user", "ann")
    assert "nothing was charged" in empty.err


def test_prices_may_come_from_a_file(spent: Budget) -> None:
    (spent.folder / "what-if.toml").write_text(
        '[[price]]\nmodel = "gpt-4o-mini"\ninput = "1"\noutput = "1"\n'
    )
    assert _document(spent, "--prices", "what-if.toml")["difference_usd"] == "2.55"
    other = {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06}
    (spent.folder / "map.json").write_text(json.dumps({"gpt-new": other}))
    assert _document(spent, "--prices", "map.json")["difference_usd"] == "0.00"
    (spent.folder / "book.jsonl.copy").write_bytes(bundled.PATH.read_bytes())
    spent.done("prices", "set", "--discount", "50%", "--from", "2026-01-01")
    found = _document(spent, "--prices", "book.jsonl.copy")
    assert (found["difference_usd"], found["book"]) == ("0.00", bundled.bundled().version)


@pytest.mark.parametrize("name", ["none.toml", "none.jsonl"])
def test_a_file_that_is_not_there_is_said(spent: Budget, name: str) -> None:
    ended = spent("reprice", "--prices", name)
    assert (ended.code, ended.out) == (1, "")
    assert name in ended.err
