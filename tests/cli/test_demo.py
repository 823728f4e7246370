"""`budget demo`: the real commands on a stage of its own."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any


def test_the_demo_tells_the_whole_story(budget: Any) -> None:
    ended = budget.done("demo")
    assert "simulated" in ended.out.splitlines()[0]
    assert ended.err == ""
    assert ended.out.count("This answer is simulated") == 4
    assert "error: ann has $" in ended.out
    assert "add up" in ended.out


def test_every_step_ends_as_it_should_and_four_calls_are_charged(budget: Any) -> None:
    document = budget.done("demo", "--json").document
    codes = [step["exit_code"] for step in document["steps"]]
    assert codes == [0, 0, 0, 0, 0, 3, 0, 0]
    wraps = [step["document"] for step in document["steps"] if " wrap " in step["line"]]
    assert [("cost_usd" in each, "error" in each) for each in wraps] == [(True, False)] * 4 + [(False, True)]
    assert all(each["usage"]["how"] == "reported" for each in wraps[:4])


def test_the_sums_that_it_shows_are_right_when_added_up_by_hand(budget: Any) -> None:
    sums = budget.done("demo", "--json").document["sums"]
    results = []
    for line in sums[:-1]:
        terms, result = line.partition(": ")[2].split(" per million = $")
        by_hand = Fraction(0)
        for term in terms.split(" + "):
            found = re.fullmatch(r"([\d,]+) \w+ x \$([\d.]+)", term)
            assert found is not None, term
            by_hand += int(found[1].replace(",", "")) * Fraction(found[2]) / 1_000_000
        assert by_hand == Fraction(result)
        results.append(by_hand)
    assert sum(results) == Fraction(sums[-1].rpartition("= $")[2])


def test_it_touches_nothing_of_yours(budget: Any) -> None:
    budget.done("create", "--user", "mine", "--total", "5")
    before = sorted(path.name for path in budget.folder.rglob("*"))
    budget.done("demo", OPENAI_BASE_URL="http://127.0.0.1:9", OPENAI_API_KEY="sk-mine")
    assert sorted(path.name for path in budget.folder.rglob("*")) == before
    assert [each["user"] for each in budget.done("status", "--json").document["budgets"]] == ["mine"]
