"""Completion: what is offered, and what real shells make of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from budgets_cli.app import COMMANDS
from budgets_cli.completing import complete
from budgets_cli.env import Env

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Budget

# As an interactive bash has it.
BREAKS = " \t\n\"'><=;|&(:"

NAMES = ("ann", "anton", "bob smith", "team:red", "$(touch hacked)", "日本", "[red]x")


def _answer(budget: Budget, *argv: str) -> tuple[int, str]:
    out = StringIO()
    environ = dict(budget.environ)
    code = complete(Env(("__complete", *argv), StringIO(), out, StringIO(), environ, budget.clock))
    return code, out.getvalue()


def _offered(budget: Budget, *words: str) -> list[str]:
    code, out = _answer(budget, "fish", *words)
    assert code == 0
    kind, *lines = out.splitlines()
    assert kind == "words"
    return [line.partition("\t")[0] for line in lines]


def _in_bash(budget: Budget, line: str) -> list[str]:
    code, out = _answer(budget, "bash", BREAKS, line)
    assert code == 0
    return out.splitlines()[1:]


@pytest.fixture
def people(budget: Budget) -> Budget:
    for name in NAMES:
        budget.done("create", "--user", name, "--total", "1")
    return budget


def test_commands_and_subcommands_are_offered(budget: Budget) -> None:
    assert set(_offered(budget, "")) == set(COMMANDS)
    assert _offered(budget, "list-") == ["list-users"]
    assert _offered(budget, "holds", "") == ["release", "settle"]
    assert _offered(budget, "config", "u") == ["unset"]


def test_a_command_that_does_not_exist_offers_nothing(budget: Budget) -> None:
    assert _offered(budget, "stattus", "") == []


def test_options_are_those_of_the_command(budget: Budget) -> None:
    offered = _offered(budget, "reset", "--")
    assert {"--user", "--json", "--store", "--project", "--help"} <= set(offered)
    assert "--prompt" not in offered
    assert _offered(budget, "--") == ["--version", "--help"]


def test_user_names_come_from_the_store(people: Budget) -> None:
    assert _offered(people, "status", "--user", "") == sorted(NAMES)
    assert _offered(people, "status", "--user", "an") == ["ann", "anton"]
    assert _offered(people, "cost", "-u", "b") == ["bob smith"]
    assert _offered(people, "create", "--user", "x", "--parent", "team") == ["team:red"]
    assert _offered(people, "status", "--user=an") == ["--user=ann", "--user=anton"]


def test_the_store_and_project_that_were_typed_are_asked(people: Budget) -> None:
    people.done("create", "--user", "zoe", "--project", "lab")
    assert _offered(people, "status", "--project", "lab", "--user", "") == ["zoe"]
    assert _offered(people, "status", "--project=lab", "--user", "") == ["zoe"]
    assert _offered(people, "status", "--project", "") == ["default", "lab"]
    elsewhere = str(people.folder / "none.sqlite")
    assert _offered(people, "status", "--store", elsewhere, "--user", "") == []


def test_other_values_are_offered_where_they_are_known(budget: Budget, held: Callable[..., None]) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    held("ann", 1, "call-7")
    assert _offered(budget, "holds", "settle", "") == ["call-7"]
    assert _offered(budget, "create", "--every", "mo") == ["month"]
    assert _offered(budget, "config", "set", "us") == ["user"]
    assert _offered(budget, "config", "set", "user", "") == []
    assert _offered(budget, "completion", "") == ["bash", "zsh", "fish"]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("status", "--store", ""), id="a path"),
        pytest.param(("wrap", "--user", "ann", "--", ""), id="another program"),
    ],
)
def test_files_are_left_to_the_shell(budget: Budget, words: tuple[str, ...]) -> None:
    assert _answer(budget, "zsh", *words) == (0, "files\n")


def test_a_name_that_cannot_be_seen_is_not_offered(budget: Budget) -> None:
    for name in ("a\nb", "a\x1b[31m", "a\u202eb", "ab"):
        budget.done("create", "--user", name)
    assert _offered(budget, "status", "--user", "a") == ["ab"]


def test_completion_makes_no_store_and_says_nothing(budget: Budget) -> None:
    assert _offered(budget, "status", "--user", "") == []
    assert list(budget.folder.iterdir()) == []


def test_settings_that_cannot_be_read_end_it_quietly(budget: Budget) -> None:
    (budget.folder / "config.toml").write_text("stoer = 1")
    assert _answer(budget, "zsh", "status", "--user", "") == (1, "")


@pytest.mark.parametrize("argv", [(), ("zsh",), ("bash", "status")], ids=["nothing", "no word", "no line"])
def test_a_question_that_no_script_asks_is_wrong_usage(budget: Budget, argv: tuple[str, ...]) -> None:
    assert _answer(budget, *argv) == (2, "")


def test_bash_gets_the_rest_of_the_word_that_it_replaces(people: Budget) -> None:
    assert _in_bash(people, "budget status --user bo") == [r"bob\ smith"]
    assert _in_bash(people, "budget status --user=bo") == [r"bob\ smith"]
    assert _in_bash(people, "budget status --user team:r") == ["red"]
    assert _in_bash(people, "budget status --user '$") == ["$(touch hacked)"]
    assert _in_bash(people, r"budget status --user \$") == [r"\$\(touch\ hacked\)"]
    assert _in_bash(people, 'budget status --user "bo') == ["bob smith"]
    assert _in_bash(people, 'budget status --user="bo') == ["bob smith"]
    assert _in_bash(people, 'budget status --user "$') == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_says_how_to_install_it(budget: Budget, shell: str) -> None:
    script = budget.done("completion", shell).out
    assert f"budget completion {shell}" in script
    assert budget.done("completion", shell, "--json").document["script"] == script


def test_an_unknown_shell_is_wrong_usage(budget: Budget) -> None:
    ended = budget("completion", "tcsh")
    assert (ended.code, ended.out) == (2, "")
    assert "one of bash, zsh, fish" in ended.err


@pytest.fixture
def in_shell(people: Budget, tmp_path: Path) -> Callable[[str, str], str]:
    """Runs a script in a real shell that finds `budget`, and whose completion is loaded."""

    def run(shell: str, script: str) -> str:
        program = shutil.which(shell)
        if program is None:
            pytest.skip(f"{shell} is not installed here")
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        command = folder / "budget"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m budgets_cli "$@"\n')
        command.chmod(0o755)
        completion = tmp_path / "completion"
        completion.write_text(people.done("completion", shell).out)
        plain = {"bash": ("--norc", "--noprofile"), "zsh": ("-f",), "fish": ("--no-config",)}[shell]
        ended = subprocess.run(
            [program, *plain, "-c", script],
            env={
                **people.environ,
                "PATH": f"{folder}:/usr/local/bin:/usr/bin:/bin",
                "HOME": str(tmp_path),
                "LC_ALL": "C.UTF-8",
                "SCRIPT": str(completion),
                "TERM": "dumb",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        assert ended.stderr == ""
        return ended.stdout

    return run


_BASH = """
source "$SCRIPT"
COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
_budget_complete budget
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        pytest.param("budget list", ["list-users"], id="a command"),
        pytest.param("budget status --user an", ["ann", "anton"], id="names"),
        pytest.param("budget status --user bo", [r"bob\ smith"], id="a name with a blank"),
        pytest.param(r"budget status --user \$", [r"\$\(touch\ hacked\)"], id="a name that looks like code"),
        pytest.param("budget status --user team:", ["red"], id="a name with a colon"),
        pytest.param("budget status --user 日", ["日本"], id="a name beyond ASCII"),
    ],
)
def test_a_real_bash_completes(
    in_shell: Callable[[str, str], str], tmp_path: Path, line: str, offered: list[str]
) -> None:
    script = f"set -- {_single(line)}\n{_BASH}"
    assert in_shell("bash", script).splitlines() == offered
    assert not (tmp_path / "hacked").exists()


# `compadd` only works while a person completes, so it is replaced by one that shows what it was given.
_ZSH = """
compdef() { : }
source $SCRIPT
compadd() { local -a given=("${(@P)@[-1]}"); print -rl -- $given }
_files() { print -r -- "(files)" }
"""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        pytest.param("budget list", ["list-users"], id="a command"),
        pytest.param("budget status --user an", ["ann", "anton"], id="names"),
        pytest.param(r"budget status --user bob\ s", ["bob smith"], id="a name with a blank"),
        pytest.param(r"budget status --user '\$'", ["$(touch hacked)"], id="a name that looks like code"),
        pytest.param("budget status --user ''", sorted(NAMES), id="nothing typed yet"),
        pytest.param("budget status --store ''", ["(files)"], id="a path"),
    ],
)
def test_a_real_zsh_completes(
    in_shell: Callable[[str, str], str], tmp_path: Path, words: str, offered: list[str]
) -> None:
    script = f"{_ZSH}\nwords=({words})\nCURRENT=$#words\n_budget"
    assert in_shell("zsh", script).splitlines() == offered
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        pytest.param("budget list", ["list-users"], id="a command"),
        pytest.param("budget status --user an", ["ann", "anton"], id="names"),
        pytest.param("budget status --user bob", ["bob smith"], id="a name with a blank"),
        pytest.param(r"budget status --user \$", ["$(touch hacked)"], id="a name that looks like code"),
        pytest.param('budget status --user "bo', ["bob smith"], id="an open quote"),
        pytest.param("budget status --user ", sorted(NAMES), id="nothing typed yet"),
    ],
)
def test_a_real_fish_completes(
    in_shell: Callable[[str, str], str], tmp_path: Path, line: str, offered: list[str]
) -> None:
    found = in_shell("fish", f"source $SCRIPT\ncomplete -C {_single(line)}")
    # Fish has an order of its own.
    assert sorted(each.partition("\t")[0] for each in found.splitlines()) == offered
    assert not (tmp_path / "hacked").exists()


def _single(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
