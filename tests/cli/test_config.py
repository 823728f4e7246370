"""`budget config`: what is set, where it comes from, and edits that leave the rest alone."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from budgets.config import VARIABLES

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Budget

WRITTEN = """\
# Ours.
project = "lab"   # since 2026

patience_seconds = 60
"""


def _file(budget: Budget) -> Path:
    return budget.folder / "config.toml"


def _found(budget: Budget, *argv: str, **environ: str) -> dict[str, dict[str, Any]]:
    document = budget.done("config", *argv, "--json", **environ).document
    return {each["name"]: each for each in document["settings"]}


def test_every_setting_is_shown_with_its_source(budget: Budget) -> None:
    _file(budget).write_text(WRITTEN)
    found = _found(budget, "--store", "/said/s.sqlite", BUDGET_USER="ann")
    assert set(found) == set(VARIABLES)
    assert (found["store"]["value"], found["store"]["from"]) == ("/said/s.sqlite", "the command line")
    assert (found["user"]["value"], found["user"]["from"]) == ("ann", "BUDGET_USER")
    assert (found["project"]["value"], found["project"]["from"]) == ("lab", str(_file(budget)))
    assert (found["patience_seconds"]["value"], found["on_expiry"]["from"]) == (60, "default")
    assert found["on_expiry"]["variable"] == "BUDGET_ON_EXPIRY"


def test_what_an_address_may_keep_secret_is_not_shown(budget: Budget) -> None:
    ended = budget.done("config", "set", "on_threshold", "https://me:word@hooks.example.com/T0/secret")
    assert ended.out.startswith("on_threshold is https://hooks.example.com/..., written to ")
    assert _found(budget)["on_threshold"]["value"] == "https://hooks.example.com/..."


def test_a_program_is_shown_as_it_is_typed(budget: Budget) -> None:
    budget.done("config", "set", "on_threshold", "notify 'over budget'")
    assert _found(budget)["on_threshold"]["value"] == ["notify", "over budget"]
    assert "notify 'over budget'" in budget.done("config").out


def test_the_table_has_a_line_for_each(budget: Budget) -> None:
    lines = budget.done("config").out.splitlines()
    assert lines[0].split() == ["SETTING", "VALUE", "FROM", "VARIABLE"]
    assert [line.split()[0] for line in lines[1:]] == list(VARIABLES)


def test_the_path_is_shown_whether_or_not_it_exists(budget: Budget) -> None:
    ended = budget.done("config", "path")
    assert ended.out == f"{_file(budget)}\n"
    assert "no such file yet" in ended.err
    _file(budget).write_text("")
    assert budget.done("config", "path").err == ""


def test_the_first_setting_makes_the_file(budget: Budget) -> None:
    ended = budget.done("config", "set", "user", "ann")
    assert ended.out == f"user is ann, written to {_file(budget)}\n"
    assert _file(budget).read_text() == 'user = "ann"\n'


@pytest.mark.parametrize(
    ("before", "setting", "after"),
    [
        pytest.param(
            WRITTEN,
            ("project", "desk"),
            WRITTEN.replace('"lab"', '"desk"'),
            id="a comment at the end of the line stays",
        ),
        pytest.param(WRITTEN, ("user", "ann"), f'{WRITTEN}user = "ann"\n', id="a new one comes last"),
        pytest.param("project = 'lab'", ("user", "x"), "project = 'lab'\nuser = \"x\"\n", id="no end"),
        pytest.param(
            WRITTEN.replace("\n", "\r\n"),
            ("patience_seconds", "5"),
            WRITTEN.replace("60", "5").replace("\n", "\r\n"),
            id="line ends stay",
        ),
        pytest.param(
            'project = """\nlab"""\nuser = "a#b" # c # d\n',
            ("project", "desk"),
            'project = "desk"\nuser = "a#b" # c # d\n',
            id="a text in several lines",
        ),
        pytest.param(
            'user = "a#b" # c # d\n', ("user", "e#f"), 'user = "e#f" # c # d\n', id="a mark inside a text"
        ),
        pytest.param('"user" = "ann"\n', ("user", "bob"), 'user = "bob"\n', id="a name in quotes"),
        pytest.param("", ("user", 'a"b\\c'), 'user = "a\\"b\\\\c"\n', id="a value that needs escapes"),
        pytest.param("", ("allow_background", "true"), "allow_background = true\n", id="a switch"),
        pytest.param("", ("user", "日本"), 'user = "日本"\n', id="beyond ASCII"),
    ],
)
def test_a_setting_is_written_and_the_rest_stays(
    budget: Budget, before: str, setting: tuple[str, str], after: str
) -> None:
    _file(budget).write_bytes(before.encode())
    budget.done("config", "set", *setting)
    assert _file(budget).read_bytes().decode() == after
    budget.done("config", "set", *setting)
    assert _file(budget).read_bytes().decode() == after, "twice is the same as once"


def test_a_setting_can_be_taken_out(budget: Budget) -> None:
    _file(budget).write_text(WRITTEN)
    ended = budget.done("config", "unset", "project")
    assert ended.out == f"project was taken out of {_file(budget)}; its default is default\n"
    assert _file(budget).read_text() == "# Ours.\n\npatience_seconds = 60\n"
    again = budget("config", "unset", "project")
    assert again.code == 1
    assert "does not set" in again.err


def test_a_slip_in_the_file_can_be_taken_out(budget: Budget) -> None:
    _file(budget).write_text('stoer = "/s"\nuser = "ann"\n')
    assert budget("config").code == 1
    budget.done("config", "unset", "stoer")
    assert _file(budget).read_text() == 'user = "ann"\n'


def test_a_value_that_cannot_be_used_can_be_replaced(budget: Budget) -> None:
    _file(budget).write_text("patience_seconds = -1\n")
    assert budget("config", "check").code == 1
    budget.done("config", "set", "patience_seconds", "1")
    budget.done("config", "check")


@pytest.mark.parametrize(
    ("setting", "code", "said"),
    [
        pytest.param(("stoer", "/s"), 2, '"stoer" is no setting', id="no such setting"),
        pytest.param(("patience_seconds", "many"), 1, "many", id="no number"),
        pytest.param(("on_expiry", "maybe"), 1, "maybe", id="not one of the choices"),
        pytest.param(("user", ""), 1, "''", id="nothing"),
        pytest.param(("user", "a\x1bb"), 2, "cannot be seen", id="a control character"),
    ],
)
def test_what_cannot_be_used_is_not_written(
    budget: Budget, setting: tuple[str, str], code: int, said: str
) -> None:
    _file(budget).write_text(WRITTEN)
    ended = budget("config", "set", *setting)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert _file(budget).read_text() == WRITTEN


def test_a_file_that_is_no_toml_is_left_alone(budget: Budget) -> None:
    _file(budget).write_text("project = \n")
    ended = budget("config", "set", "user", "ann")
    assert ended.code == 1
    assert "cannot be read" in ended.err
    assert _file(budget).read_text() == "project = \n"


def test_a_variable_that_wins_over_the_file_is_named(budget: Budget) -> None:
    ended = budget.done("config", "set", "user", "ann", BUDGET_USER="bob")
    assert ended.err == "BUDGET_USER is set as well, and wins over the file\n"
    assert tomllib.loads(_file(budget).read_text()) == {"user": "ann"}


def test_a_link_is_followed(budget: Budget) -> None:
    real = budget.folder / "real.toml"
    real.write_text(WRITTEN)
    _file(budget).symlink_to(real)
    budget.done("config", "set", "user", "ann")
    assert _file(budget).is_symlink()
    assert tomllib.loads(real.read_text())["user"] == "ann"


def test_a_folder_that_cannot_be_made_is_said(budget: Budget) -> None:
    (budget.folder / "file").write_text("")
    ended = budget("config", "set", "user", "ann", BUDGET_CONFIG=str(budget.folder / "file" / "config.toml"))
    assert ended.code == 1
    assert "cannot be" in ended.err


def test_check_names_variables_that_nobody_reads(budget: Budget) -> None:
    ended = budget.done("config", "check", BUDGET_STOER="/s")
    assert ended.out.startswith("every setting can be used: no file at ")
    assert ended.err == "BUDGET_STOER is set, and no setting has that variable\n"


UPSTREAMS = """\
[[upstreams]]
name = "openai"

[models.fast]
deployments = [{ upstream = "openai", model = "gpt-4o-mini" }, { upstream = "openai", model = "gpt-none" }]
aliases = ["default"]
"""


def test_check_reads_the_gateways_tables_and_says_what_they_lack(budget: Budget) -> None:
    _file(budget).write_text(WRITTEN + UPSTREAMS)
    document = budget.done("config", "check", "--json").document
    assert (document["upstreams"], document["models"]) == (["openai"], ["fast", "default"])
    assert document["missing"] == [
        "OPENAI_API_KEY is not set here, and the upstream openai needs it",
        "gpt-none at openai has no price, so it is refused; `budget prices set` gives it one",
    ]
    ended = budget.done("config", "check", OPENAI_API_KEY="sk-secret")
    assert ended.out.endswith("upstreams: openai\nmodels: fast, default\n")
    assert "OPENAI_API_KEY" not in ended.err
    assert "sk-secret" not in ended.out + ended.err


def test_check_refuses_a_table_that_cannot_be_used_and_other_commands_go_on(budget: Budget) -> None:
    _file(budget).write_text(WRITTEN + UPSTREAMS.replace("name", "nmae"))
    ended = budget("config", "check")
    assert ended.code == 1
    assert 'upstream 1 has "nmae", which does not exist' in ended.err
    assert _found(budget)["patience_seconds"]["value"] == 60


def test_a_setting_is_written_above_the_tables(budget: Budget) -> None:
    _file(budget).write_text(UPSTREAMS)
    budget.done("config", "set", "user", "ann")
    assert tomllib.loads(_file(budget).read_text())["user"] == "ann"
    assert _file(budget).read_text().endswith(UPSTREAMS)
