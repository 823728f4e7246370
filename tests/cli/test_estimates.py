"""A provider that counts otherwise than we do: what `reset-due` learns of it, and what follows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from budgets.tokens.counting import count_text
from tests.support.world import World

# Long enough that what a vendor adds to each call weighs little.
PROMPT = "Rivers bend because water on the outside of a curve runs faster than on the inside. " * 30
CALLS = 25


def three_tenths_more(text: str) -> int:
    return count_text(text) * 13 // 10


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.write("prompt.txt", PROMPT)
    made.done("budget create --user ann --total 10")
    return made


def wrapped(world: World) -> int:
    """One call; gives the input tokens that the provider reported."""
    ended = world.done("budget wrap --user ann --model gpt-4o-mini --json < prompt.txt")
    return int(ended.document["usage"]["input"])


def projected(world: World) -> dict[str, Any]:
    """What the next quote says about the prompt's tokens."""
    words = ["budget", "projected", "--user", "ann", "--model", "gpt-4o-mini", "--json", "--prompt", PROMPT]
    document = world.run(words).document
    return {key: document[key] for key in ("input_tokens", "input_tokens_most", "counted")}


def test_the_next_quote_follows_a_provider_that_counts_more(world: World) -> None:
    before = projected(world)
    world.count = three_tenths_more
    reported = {wrapped(world) for _ in range(CALLS)}
    (told,) = reported
    assert told > before["input_tokens_most"] > before["input_tokens"]
    assert projected(world) == before
    world.done("budget reset-due")
    after = projected(world)
    assert abs(after["input_tokens"] - told) <= told // 100
    assert after["input_tokens_most"] >= told
    assert after["counted"].startswith(f"learned:openai/gpt-4o-mini n={CALLS} p50 1.2")
    assert after["counted"].endswith(f" of {before['counted']}")
    assert world.done("budget check").code == 0


def test_estimates_are_shown_by_model_kind_and_size(world: World) -> None:
    world.count = three_tenths_more
    for _ in range(CALLS):
        wrapped(world)
    world.done("budget wrap --user ann --model claude-haiku-4-5 Rivers?")
    world.done("budget reset-due")
    shown = world.done("budget status --estimates")
    header, claude, gpt = shown.out.splitlines()
    assert header.split()[:4] == ["MODEL", "KIND", "TOKENS", "CALLS"]
    assert claude.split()[:6] == ["anthropic/claude-haiku-4-5", "text", "1", "to", "99", "1"]
    assert gpt.split()[:6] == ["openai/gpt-4o-mini", "text", "100", "to", "999", "25"]
    assert "a factor is used from 20 calls on" in shown.err
    one, many = world.done("budget status --estimates --json").document["estimates"]
    assert (one["calls"], one["factor"], one["most_factor"]) == (1, None, None)
    assert (many["calls"], many["covered"], many["tokens_least"], many["tokens_most"]) == (25, 25, 100, 999)
    assert many["median_error_percent"] == many["p95_error_percent"] > 20
    assert float(many["factor"]) > 1.2
    assert many["most_factor"] > many["factor"]


def test_before_anything_was_learned_it_says_how(world: World) -> None:
    shown = world.done("budget status --estimates")
    assert shown.out == ""
    assert "budget reset-due" in shown.err
    assert world.done("budget status --estimates --json").document["estimates"] == []
    world.done("budget reset-due")
    assert "no call was settled yet" in world.done("budget status --estimates").err


@pytest.mark.parametrize("option", ["--user ann", "--limit 3", "--archived", "--watch"])
def test_estimates_are_of_the_whole_project(world: World, option: str) -> None:
    ended = world.type(f"budget status --estimates {option}")
    assert ended.code == 2
    assert "whole project" in ended.err
