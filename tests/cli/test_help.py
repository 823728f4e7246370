"""Every page of help ends with examples, and they run."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest
from budgets_cli.app import COMMANDS

from tests.support.world import FILES

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Budget

# Those that call a provider have tests of their own.
_METERED = {"wrap", "demo"}
PAGES = [
    (),
    *((name,) for name in COMMANDS),
    *((name, each) for name, under in COMMANDS.items() for each in under),
]


def _page(budget: Budget, page: tuple[str, ...]) -> str:
    return str(budget.done(*page, "--help").out)


def _examples(text: str) -> list[str]:
    _, _, end = text.partition("Examples:\n")
    return [line.strip() for line in end.splitlines() if line.strip()]


@pytest.mark.parametrize("page", [pytest.param(page, id=" ".join(page) or "budget") for page in PAGES])
def test_a_page_begins_with_one_line_and_ends_with_examples(budget: Budget, page: tuple[str, ...]) -> None:
    text = _page(budget, page)
    assert text.startswith(f"Usage: {' '.join(('budget', *page))} ")
    assert text.split("\n")[2].endswith((".", "does"))
    examples = _examples(text)
    assert examples
    wanted = " ".join(("budget", *page))
    assert all(example.startswith("budget ") for example in examples)
    assert any(example.startswith(wanted) for example in examples)


def test_no_first_line_is_cut_in_the_list_of_commands(budget: Budget) -> None:
    assert "..." not in _page(budget, ()).replace("[ARGS]...", "")


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=" ".join(page) or "budget")
        for page in PAGES
        # A server runs until it is told to stop; tests/server runs it.
        if page[:1] not in {(x,) for x in (*_METERED, "serve")}
    ],
)
def test_examples_run(budget: Budget, held: Callable[..., None], page: tuple[str, ...]) -> None:
    messages = [{"role": "user", "content": "Name three rivers"}]
    usage = {"prompt_tokens": 12, "completion_tokens": 5}
    files = {
        "messages.json": messages,
        "request.json": {"model": "gpt-4o-mini", "messages": messages},
        "reply.json": {"id": "r", "model": "gpt-4o-mini", "choices": [], "usage": usage},
        "user_cost.json": FILES["user_cost.json"],
    }
    for name, content in files.items():
        (budget.folder / name).write_text(json.dumps(content))
    budget.done("create", "--user", "ann", "--store", "budgets.sqlite")
    for example in _examples(_page(budget, page)):
        # A store for each, so that the order of examples means nothing.
        store = budget.folder / f"{abs(hash(example))}.sqlite"
        budget.environ |= {"BUDGET_STORE": str(store), "BUDGET_CONFIG": str(store.with_suffix(".toml"))}
        budget.done("create", "--user", "team-a", "--total", "100")
        if "create --user ann --total 10 --every" not in example:
            budget.done("create", "--user", "ann", "--total", "10")
            held("ann", 1, "call-2")
            budget.done("charge", "--user", "ann", "--amount", "0.5", "--id", "call-3")
            budget.done("set", "--user", "ann", "--limit", "9/day")
        if "config unset" in example:
            budget.done("config", "set", "user", "ann")
        if "ci-runner" in example:
            budget.done("key", "create", "--role", "read", "--id", "ci-runner")
        program, *argv = shlex.split(example)
        assert program == "budget"
        budget.done(*argv)


def test_help_is_plain_text(budget: Budget) -> None:
    assert "\x1b" not in budget.done("--help", terminal=True).out
