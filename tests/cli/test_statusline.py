"""`budget statusline`: one short line, whatever is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Budget


@pytest.mark.parametrize(
    ("create", "charged", "line"),
    [
        pytest.param(
            ("--total", "10", "--every", "month"), "3.21", "ann $3.21/$10 33% resets in 8d", id="monthly"
        ),
        pytest.param(("--total", "10"), "3.211", "ann $3.22/$10 33%", id="never resets, rounded up"),
        pytest.param(("--total", "10"), "0.0000001", "ann $0.01/$10 1%", id="hardly anything"),
        pytest.param(("--total", "1234.567"), None, "ann $0/$1,234.56 0%", id="a limit is rounded down"),
        pytest.param(("--total", "1"), "1", "ann $1/$1 100%", id="used up"),
        pytest.param(
            ("--total", "1", "--every", "day"), "2", "ann $2/$1 100% resets in 15h", id="over the limit"
        ),
        pytest.param((), "1.5", "ann $1.50 no limit", id="no limit"),
    ],
)
def test_a_budget_in_one_line(
    budget: Budget, create: tuple[str, ...], charged: str | None, line: str
) -> None:
    budget.done("create", "--user", "ann", *create)
    if charged is not None:
        budget.done("charge", "--user", "ann", "--amount", charged)
    ended = budget.done("statusline", "--user", "ann")
    assert (ended.out, ended.err) == (f"{line}\n", "")


def test_who_else_sets_what_is_left_is_named(budget: Budget) -> None:
    budget.done("create", "--user", "team-a", "--total", "2")
    budget.done("create", "--user", "ann", "--total", "10", "--parent", "team-a")
    budget.done("create", "--user", "bob", "--parent", "team-a")
    budget.done("charge", "--user", "ann", "--amount", "1")
    assert budget.done("statusline", "--user", "ann").out == "ann $1/$10 50% $1 left by team-a\n"
    assert budget.done("statusline", "--user", "bob").out == "bob $0 0% $1 left by team-a\n"


def test_a_frozen_budget_says_so(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    budget.done("set", "--user", "ann", "--freeze")
    assert budget.done("statusline").out == "ann $0/$10 0% frozen\n"


def test_what_is_held_counts_in_the_percentage(budget: Budget, held: Callable[..., None]) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    held("ann", 4)
    assert budget.done("statusline").out == "ann $0/$10 40%\n"


def test_without_a_store_there_is_none_afterwards(budget: Budget) -> None:
    ended = budget.done("statusline")
    assert (ended.out, ended.err) == ("no budget\n", "")
    assert list(budget.folder.iterdir()) == []


def test_who_is_meant_is_said_or_set_or_the_only_one(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "1")
    assert budget.done("statusline").out.startswith("ann ")
    budget.done("create", "--user", "bob", "--total", "1")
    assert budget.done("statusline").out == "no user named\n"
    assert budget.done("statusline", BUDGET_USER="bob").out.startswith("bob ")
    assert budget.done("statusline", "--user", "zed").out == "zed has no budget\n"


def test_a_project_without_users_has_no_budget(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "1")
    assert budget.done("statusline", "--project", "empty").out == "no budget\n"


def test_a_line_of_ones_own(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10", "--every", "month")
    budget.done("charge", "--amount", "3.211")
    line = "{user}: {left} of {limit} ({percent}), {spent} + {held}, {state}, {resets}; {} {left"
    shown = budget.done("statusline", "--format", line.replace("{} ", "")).out
    assert shown == "ann: $6.78 of $10 (33%), $3.22 + $0, active, 8d; {left\n"
    ended = budget("statusline", "--format", line)
    assert ended.code == 2
    assert "there is no {}" in ended.err


def test_a_user_named_like_a_field_is_only_a_name(budget: Budget) -> None:
    budget.done("create", "--user", "{spent}\x1b[31m", "--total", "10")
    assert budget.done("statusline", "--format", "{user}").out == "{spent}\\x1b[31m\n"


def test_what_stands_on_stdin_is_not_read(budget: Budget) -> None:
    class Untouched:
        closed = False

        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"stdin.{name} was used")

    from dataclasses import replace
    from io import StringIO

    from budgets_cli.app import run
    from budgets_cli.env import Env

    budget.done("create", "--user", "ann", "--total", "10")
    out = StringIO()
    env = Env(("statusline",), StringIO(), out, StringIO(), budget.environ, budget.clock)
    assert run(replace(env, stdin=Untouched())) == 0  # type: ignore[arg-type]
    assert out.getvalue() == "ann $0/$10 0%\n"


def test_a_store_that_is_damaged_is_said(budget: Budget) -> None:
    file = budget.folder / "store" / "budgets.sqlite"
    file.parent.mkdir()
    file.write_bytes(b"no store at all" * 100)
    ended = budget("statusline", "--user", "ann")
    assert ended.code == 1
    assert "no store" in ended.err


def test_the_document_has_the_line_and_the_budget(budget: Budget) -> None:
    assert budget.done("statusline", "--json").document == {
        "schema": 1,
        "command": "statusline",
        "line": "no budget",
        "budget": None,
    }
    budget.done("create", "--user", "ann", "--total", "10")
    document = budget.done("statusline", "--json").document
    assert document["line"] == "ann $0/$10 0%"
    assert document["budget"] == budget.done("status", "--json").document["budgets"][0]
