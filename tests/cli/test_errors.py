"""What goes wrong is said in one form: two lines on stderr, or one JSON document, and an exit code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from budgets_cli import exits

from budgets.errors import StoreBusyError

if TYPE_CHECKING:
    from conftest import Budget


@pytest.mark.parametrize(
    ("argv", "code", "error", "hint"),
    [
        pytest.param(
            ("cost", "--user", "amn"),
            1,
            "amn has no budget in this project",
            "did you mean ann?",
            id="a typo",
        ),
        pytest.param(
            ("create", "--user", "x", "--total", "-5"),
            2,
            '--total: "-5" is not an amount in US dollars',
            "amounts are never negative",
            id="a negative amount",
        ),
        pytest.param(
            ("create", "--user", "x", "--total", "nan"),
            2,
            '--total: "nan" is not an amount in US dollars',
            "give a plain number such as 12.50",
            id="nan",
        ),
        pytest.param(
            ("create", "--user", "x", "--total", "1e400"),
            2,
            '--total: "1e400" is not an amount in US dollars',
            "write the number out",
            id="an exponent",
        ),
        pytest.param(
            ("create", "--user", "x", "--total", "0." + "0" * 29 + "1"),
            2,
            "finer than a billionth",
            "nine",
            id="30 decimals",
        ),
        pytest.param(
            ("create", "--user", "x", "--total", "1", "--every", "fortnight"),
            2,
            '"fortnight" is not a period',
            "2 weeks",
            id="an unknown period",
        ),
        pytest.param(
            ("create", "--user", "x", "--total", "1", "--every", "day", "--duration", "day"),
            2,
            "--every and --duration mean the same",
            "one of them",
            id="a period twice",
        ),
        pytest.param(
            ("create", "--user", "x", "--every", "day"),
            2,
            "limits nothing",
            "add --total",
            id="a period of nothing",
        ),
        pytest.param(
            ("create", "--user", "x", "--total", "1", "--every", "day", "--timezone", "Berlin"),
            2,
            '"Berlin" is not a time zone',
            "did you mean Europe/Berlin?",
            id="an unknown zone",
        ),
        pytest.param(
            ("create", "--user", "", "--total", "1"), 2, "cannot be empty", "--user ann", id="an empty name"
        ),
        pytest.param(
            ("create", "--user", "x", "--parent", "ahn"),
            1,
            "ahn has no budget",
            "did you mean ann?",
            id="an unknown parent",
        ),
        pytest.param(("set", "--user", "ann"), 2, "nothing to change", "budget set --help", id="set nothing"),
        pytest.param(
            ("set", "--user", "ann", "--freeze", "--unfreeze"),
            2,
            "opposites",
            "one of them",
            id="freeze and unfreeze",
        ),
        pytest.param(
            ("charge", "--user", "ann", "--model", "gpt-4o-mimi", "--input-tokens", "1"),
            1,
            'no price for "gpt-4o-mimi"',
            "did you mean openai/gpt-4o-mini",
            id="an unknown model",
        ),
        pytest.param(("charge", "--user", "ann"), 2, "in one way", "--amount USD", id="no cost"),
        pytest.param(
            ("charge", "--user", "ann", "--amount", "1", "--reply", "x"),
            2,
            "in one way",
            "--amount",
            id="two costs",
        ),
        pytest.param(
            ("charge", "--user", "ann", "--input-tokens", "5"),
            2,
            "what their model does",
            "--model",
            id="no model",
        ),
        pytest.param(
            ("charge", "--user", "ann", "--model", "gpt-4o-mini", "--input-tokens", "1.5"),
            2,
            '--input-tokens: "1.5" is not a whole number',
            "0 or more",
            id="half a token",
        ),
        pytest.param(
            ("charge", "--user", "ann", "--amount", "1", "--at", "2026-11-23"),
            2,
            "is in the future",
            "past",
            id="the future",
        ),
        pytest.param(
            ("charge", "--user", "ann", "--amount", "1", "--at", "soon"),
            2,
            '"soon" is not a date',
            "2026-01-31",
            id="no time",
        ),
        pytest.param(
            ("charge", "--user", "ann", "--reply", "none.json"),
            2,
            "--reply: cannot read none.json: No such file or directory",
            "- means stdin",
            id="a missing file",
        ),
        pytest.param(
            ("charge", "--user", "ann", "--reply", "error.json"),
            1,
            "is an error",
            "not billed",
            id="an error reply",
        ),
        pytest.param(
            ("charge", "--user", "ann", "--reply", "text.json"), 2, "no reply of a known", "", id="no reply"
        ),
        pytest.param(
            ("charge", "--user", "ann", "--reply", "cut.sse"), 1, "breaks off", "instead", id="half a stream"
        ),
        pytest.param(
            ("charge", "--user", "ann", "--reply", "bare.json"), 1, "has no usage", "instead", id="no usage"
        ),
        pytest.param(
            ("charge", "--user", "ann", "--reply", "bad.json"), 1, "usage", None, id="usage below zero"
        ),
        pytest.param(
            ("projected", "--user", "ann", "--model", "gpt-4o"), 2, "in one way", "--prompt", id="no prompt"
        ),
        pytest.param(
            ("projected", "--user", "ann", "--prompt", "x"),
            2,
            "no model",
            "--model",
            id="a prompt for nobody",
        ),
        pytest.param(
            ("projected", "--user", "ann", "--model", "gpt-4o", "--messages", "text.json"),
            2,
            "not a JSON list of messages",
            "role",
            id="messages that are none",
        ),
        pytest.param(
            ("projected", "--user", "ann", "--model", "my-llama", "--prompt", "x"),
            2,
            "does not say who serves it",
            "--provider",
            id="a model of nobody",
        ),
        pytest.param(
            ("holds", "release", "call-9"), 1, "there is no hold call-9", "budget holds", id="an unknown hold"
        ),
        pytest.param(
            ("holds", "--user", "amn"), 1, "amn has no budget", "did you mean", id="holds of nobody"
        ),
        pytest.param(
            ("reset", "--all", "--user", "ann"), 2, "exclude each other", "one of them", id="all and one"
        ),
        pytest.param(("prices", "set", "m"), 2, "either free or some dollars", "--free", id="no price"),
        pytest.param(
            ("prices", "set", "m", "--input", "1"), 2, "both need a price", "--output 0", id="half a price"
        ),
        pytest.param(
            ("prices", "set", "m", "--input", "-1", "--output", "1"),
            2,
            '--input: "-1" is not a price',
            None,
            id="a bad price",
        ),
    ],
)
def test_an_error_is_two_lines_or_one_document(
    budget: Budget, argv: tuple[str, ...], code: int, error: str, hint: str | None
) -> None:
    files: dict[str, Any] = {
        "error.json": {"error": {"message": "no"}},
        "text.json": "a text",
        "bare.json": {"choices": [], "model": "gpt-4o-mini"},
        "bad.json": {
            "choices": [],
            "model": "gpt-4o-mini",
            "usage": {"prompt_tokens": -1, "completion_tokens": 1},
        },
    }
    for name, content in files.items():
        (budget.folder / name).write_text(json.dumps(content))
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    event = json.dumps({"choices": [], "model": "gpt-4o-mini", "usage": usage})
    (budget.folder / "cut.sse").write_text(f"data: {event}\n\n")
    budget.done("create", "--user", "ann", "--total", "10")
    ended = budget(*argv)
    assert (ended.code, ended.out) == (code, "")
    lines = ended.err.splitlines()
    assert lines[0].startswith("error: ")
    assert error in lines[0]
    assert not lines[0].endswith(".")
    assert len(lines) <= 2
    if hint is not None:
        assert lines[1].startswith("hint: ")
        assert hint in lines[1]
    as_json = budget(*argv, "--json")
    assert (as_json.code, as_json.err) == (code, "")
    document = as_json.document
    assert document["schema"] == 1
    assert {"code", "message", "hint"} <= document["error"].keys()
    assert error in document["error"]["message"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(("crate",), "no such command 'crate'. Did you mean 'create'?", id="an unknown command"),
        pytest.param(
            ("status", "--usr", "x"),
            "no such option: --usr (Possible options: --store, --user)",
            id="an unknown option",
        ),
        pytest.param(
            ("create", "--total"), "option '--total' requires an argument", id="an option without its value"
        ),
        pytest.param(("holds", "settle", "x"), "missing option '--amount'", id="a missing option"),
        pytest.param(("holds", "release"), "missing argument 'ID'", id="a missing argument"),
        pytest.param(("status", "ann"), "got unexpected extra argument(s) (ann)", id="an argument too many"),
    ],
)
def test_a_usage_error_has_the_same_form(budget: Budget, argv: tuple[str, ...], message: str) -> None:
    ended = budget(*argv)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"error: {message}\nhint: `budget")
    document = budget(argv[0], "--json", *argv[1:]).document
    assert document["error"]["code"] == "usage"
    assert document["error"]["message"] == message


def test_the_values_of_an_error_are_in_its_document(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    error = budget("cost", "--user", "amn", "--json").document["error"]
    assert (error["user"], error["nearest"]) == ("amn", ["ann"])


def test_an_unexpected_exception_is_one_line_that_keeps_its_words_to_itself(
    budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: object, **_options: object) -> None:
        raise KeyError("a secret prompt")

    monkeypatch.setattr("budgets_cli.session.Session.user", fail)
    ended = budget("cost")
    assert ended.code == 1
    assert ended.err.startswith("error: KeyError in test_errors.py:")
    assert "(a bug; please report it)" in ended.err
    assert "secret" not in ended.err
    assert "Traceback" not in ended.err
    assert budget("cost", "--json").document["error"]["code"] == "bug"
    assert "Traceback" in budget("cost", BUDGET_DEBUG="1").err


def test_an_interrupt_ends_with_130(budget: Budget, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_given: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("budgets_cli.session.Session.user", interrupt)
    assert budget("cost").code == 130


def test_a_store_that_is_none_is_an_error(budget: Budget) -> None:
    (budget.folder / "notes.txt").write_text("these are notes, and not a store at all\n" * 40)
    ended = budget("status", "--store", "notes.txt", "--json")
    assert (ended.code, ended.document["error"]["code"]) == (1, "store_corrupt")


def test_a_busy_store_ends_with_75() -> None:
    assert exits.exit_code(StoreBusyError("x")) == exits.BUSY


def test_reset_all_reports_what_failed_and_ends_with_4(
    budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    from budgets.engine import Engine

    for user in ("ann", "ben"):
        budget.done("create", "--user", user, "--total", "10")
    reset = Engine.reset

    def fails_for_ann(engine: Engine, user: str) -> object:
        if user == "ann":
            raise StoreBusyError("somebody has it")
        return reset(engine, user)

    monkeypatch.setattr(Engine, "reset", fails_for_ann)
    ended = budget("reset", "--all", "--yes")
    assert ended.code == 4
    assert ended.out.startswith("reset ben")
    assert ended.err == "ann was not reset: somebody has it\n"
    document = budget("reset", "--all", "--yes", "--json").document
    assert [each["user"] for each in document["resets"]] == ["ben"]
    assert document["failed"][0]["error"]["code"] == "store_busy"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        pytest.param("[red]x", "[red]x", id="markup"),
        pytest.param("\x1b[31mred", r"\x1b[31mred", id="an escape"),
        pytest.param("a\u202eb", r"a\u202eb", id="a bidirectional mark"),
        pytest.param("two\nlines", r"two\nlines", id="a line end"),
        pytest.param("🎉日本", "🎉日本", id="emoji"),
    ],
)
@pytest.mark.parametrize("terminal", [pytest.param(True, id="terminal"), pytest.param(False, id="pipe")])
def test_a_name_does_nothing_to_the_terminal(budget: Budget, name: str, shown: str, terminal: bool) -> None:
    environ = {"NO_COLOR": "1", "COLUMNS": "200"}
    texts = [
        budget.done("create", "--user", name, "--total", "1", terminal=terminal, **environ),
        budget.done("status", terminal=terminal, **environ),
        budget.done("status", "--user", name, terminal=terminal, **environ),
        budget.done("list-users", terminal=terminal, **environ),
        budget("create", "--user", name, "--total", "1", terminal=terminal, **environ),
    ]
    for ended in texts:
        text = ended.out + ended.err
        assert shown in text
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert budget.done("list-users").out == shown + "\n"
    assert budget.done("list-users", "--json").document["users"] == [name]
