"""`budget prices`: what a person sees of the book, and how another one is taken in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Budget

NEW_MODEL = {
    "litellm_provider": "deepinfra",
    "mode": "chat",
    "input_cost_per_token": 1e-06,
    "output_cost_per_token": 2e-06,
}


@pytest.fixture
def price_map(tmp_path: Path) -> str:
    """A price map with one model."""
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"deepinfra/new-model": NEW_MODEL}))
    return str(path)


def _models(budget: Budget, *argv: str) -> list[str]:
    return [each["model"] for each in budget.done("prices", "list", *argv, "--json").document["models"]]


def test_a_list_has_pages(budget: Budget) -> None:
    first = budget.done("prices", "list", "--json").document
    assert (first["page"], len(first["models"])) == (1, 50)
    assert first["total"] > 5000
    last = budget.done("prices", "list", "--page", str(first["pages"]), "--json").document
    assert last["models"][-1]["model"] > first["models"][0]["model"]
    ended = budget("prices", "list", "--page", str(first["pages"] + 1))
    assert (ended.code, ended.out) == (2, "")
    assert "there is no page" in ended.err


def test_a_list_is_filtered_and_sorted(budget: Budget) -> None:
    assert all(name.startswith("groq/") for name in _models(budget, "--provider", "groq"))
    assert all("sonnet" in name.lower() for name in _models(budget, "--search", "Sonnet"))
    document = budget.done("prices", "list", "--provider", "xai", "--sort", "output", "--json").document
    prices = [float(each["output_usd"]) for each in document["models"]]
    assert prices == sorted(prices)
    assert len(prices) > 5
    assert budget("prices", "list", "--sort", "colour").code == 2


def test_a_list_begins_with_ones_own(budget: Budget) -> None:
    budget.done("prices", "set", "gpt-4o", "--input", "1", "--output", "2")
    budget.done("prices", "set", "llama-here", "--free")
    found = budget.done("prices", "list", "--json").document["models"][:2]
    assert [each["model"] for each in found] == ["openai/gpt-4o", "own/llama-here"]
    assert [each["input_usd"] for each in found] == ["1.00", "0.00"]
    assert _models(budget, "--search", "openai/gpt-4o").count("openai/gpt-4o") == 1


def test_an_empty_list_says_so(budget: Budget) -> None:
    assert budget.done("prices", "list", "--search", "no such").out.startswith("page 1 of 1, 0 models")


def test_show_has_tiers_and_other_times(budget: Budget) -> None:
    found = budget.done("prices", "show", "claude-opus-4-6", "--json").document
    assert {row["tier"] for row in found["prices"]} >= {"standard", "batch"}
    standard = [row for row in found["prices"] if row["tier"] == "standard"]
    assert {row["from"] for row in standard} >= {"2026-03-13"}
    assert "2026-03-13" in {row["to"] for row in found["other_times"]}
    text = budget.done("prices", "show", "claude-opus-4-6").out
    assert "at other times" in text
    assert "tokens cost 1.10 times as much in the region us" in text
    assert budget.done("prices", "show", "deepseek-v4-pro", "--json").document["other_times"]


def test_show_gives_units_that_are_not_tokens(budget: Budget) -> None:
    found = budget.done("prices", "show", "groq/whisper-large-v3", "--json").document["prices"]
    assert [(row["unit"], row["price_usd"], row["per"], row["tier"]) for row in found] == [
        ("input_seconds", "0.111", 3600, "standard"),
        ("input_seconds", "0.0555", 3600, "batch"),
    ]


def test_a_price_map_is_compared_and_taken_in_and_given_back(budget: Budget, price_map: str) -> None:
    compared = budget.done("prices", "diff", price_map, "--json").document
    assert compared["added"] == ["deepinfra/new-model"]
    assert compared["written"] is None
    assert budget("prices", "show", "deepinfra/new-model").code == 1
    taken = budget.done("prices", "import", price_map, "--yes")
    assert f"is in use: {budget.folder / 'book.jsonl'}" in taken.out
    assert budget.done("prices", "show", "deepinfra/new-model", "--json").document["provider"] == "deepinfra"
    back = budget.done("prices", "diff", "--bundled", "--json").document
    assert "deepinfra/new-model" in back["gone"]
    budget.done("prices", "import", "--bundled", "--yes")
    assert not (budget.folder / "book.jsonl").exists()
    assert budget("prices", "show", "deepinfra/new-model").code == 1


def test_taking_a_book_in_asks_first(budget: Budget, price_map: str) -> None:
    ended = budget("prices", "import", price_map)
    assert (ended.code, ended.out) == (2, "")
    assert "--yes" in ended.err
    said_no = budget("prices", "import", price_map, answer="n\n")
    assert said_no.code == 2
    assert "added   deepinfra/new-model" in said_no.err
    assert not (budget.folder / "book.jsonl").exists()
    assert budget("prices", "import", price_map, answer="y\n").code == 0
    assert (budget.folder / "book.jsonl").exists()


def test_a_file_that_is_no_book_changes_nothing(budget: Budget) -> None:
    (budget.folder / "text").write_text("hello")
    ended = budget("prices", "import", "text", "--yes")
    assert (ended.code, ended.out) == (2, "")
    assert "not JSON" in ended.err
    assert not (budget.folder / "book.jsonl").exists()
    assert budget("prices", "import", "--yes").code == 2
    assert budget("prices", "diff", "nowhere").code == 1


def test_check_names_models_in_use_without_a_price(budget: Budget, price_map: str) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    budget.done("prices", "import", price_map, "--yes")
    budget.done("charge", "--model", "deepinfra/new-model", "--input-tokens", "5")
    budget.done("charge", "--model", "gpt-4o-mini", "--input-tokens", "5")
    assert budget.done("prices", "check", "--json").document["models_in_use"] == 2
    budget.done("prices", "import", "--bundled", "--yes")
    ended = budget("prices", "check", "--json")
    assert ended.code == 1
    assert ended.document["unpriced"] == ["deepinfra/new-model"]
    assert "no price: deepinfra/new-model" in budget("prices", "check").out


def test_check_says_when_the_book_is_old(budget: Budget) -> None:
    assert budget.done("prices", "check").err == ""
    budget.clock.advance(days=200)
    assert "days old" in budget.done("prices", "check").err
