"""The options that every command has may stand before it, and never go unheard."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("words", [("--store", "b.sqlite"), ("--store=b.sqlite",)])
def test_a_store_may_be_named_before_the_command(budget: Any, words: tuple[str, ...]) -> None:
    file = str(budget.folder / "b.sqlite")
    said = tuple(word.replace("b.sqlite", file) for word in words)
    budget.done(*said, "create", "--user", "ann")
    assert budget.done(*said, "--json", "list-users").document["users"] == ["ann"]
    assert budget.done("list-users", "--json").document["users"] == []
    # Two words make this command.
    budget.done(*said, "key", "create", "--role", "read", "--id", "ops")
    assert "ops" in budget.done("--project", "default", *said, "key", "list").out


def test_an_option_between_two_words_is_heard(budget: Any) -> None:
    other = str(budget.folder / "b.sqlite")
    budget.done("create", "--user", "ann")
    budget.done("key", "create", "--role", "read", "--id", "ops")
    assert "ops" not in budget.done("key", "--store", other, "list").out
    assert budget.done("key", "--json", "list").document["keys"][0]["id"] == "ops"


def test_without_a_command_they_are_what_they_were(budget: Any) -> None:
    assert budget("--store", "b.sqlite").code == 2
