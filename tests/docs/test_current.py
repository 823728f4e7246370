"""What is made from the program says what the program says now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from budgets_cli import exits
from budgets_cli.app import COMMANDS

import budgets
from tests.docs import http_api, pages
from tests.docs.generate import REFERENCE, ROOT, session
from tests.support import gallery, golden
from tests.support.world import new_world

_AGAIN = "python -m tests.docs.generate, and read the difference"


def _is_current(file: Path, text: str) -> None:
    assert file.exists(), f"{file.relative_to(ROOT)} is not there yet: {_AGAIN}"
    assert file.read_text("utf-8") == text, f"{file.relative_to(ROOT)} is not current: {_AGAIN}"


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in golden.cases()])
def test_golden_output(case: golden.Case) -> None:
    _is_current(case.file, golden.golden(case))


def test_every_command_has_golden_output() -> None:
    """A group that only shows its help is a page of its own, and needs none."""
    kept = {case.page for case in golden.cases()}
    assert [page for page in golden.PAGES if page not in kept] == []


def test_no_golden_output_is_left_over() -> None:
    kept = {case.file.name for case in golden.cases()} | {"COMMANDS.txt"}
    assert {file.name for file in golden.FOLDER.iterdir()} == kept


@pytest.mark.parametrize("file", [pytest.param(file, id=file.stem) for file in gallery.files()])
def test_an_error_says_what_the_gallery_shows(file: Path) -> None:
    exhibit = gallery.provoked(file)
    _is_current(file, exhibit.text)
    lines = exhibit.lines.splitlines()
    assert lines[0].startswith("error: ")
    assert not lines[0].endswith(".")
    assert all(line.startswith("hint: ") for line in lines[1:])
    assert len(lines) <= 2
    assert "secret" not in exhibit.text
    assert "Traceback" not in exhibit.text


def test_every_error_is_in_the_gallery() -> None:
    shown = {file.stem for file in gallery.files()}
    assert gallery.classes().keys() - shown == set()
    assert shown - gallery.classes().keys() - gallery.OWN_CODES.keys() == set()


def test_the_command_lines_own_error_codes_are_documented() -> None:
    source = (ROOT / "cli" / "app.py").read_text("utf-8")
    assert set(re.findall(r'_document\(\s*"([a-z_]+)"', source)) == gallery.OWN_CODES.keys()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        pytest.param("commands.md", pages.commands, id="commands"),
        pytest.param("config.md", pages.config, id="config"),
        pytest.param("python-api.md", pages.python_api, id="python-api"),
        pytest.param("http-api.md", http_api.page, id="http-api"),
        pytest.param("errors.md", lambda: pages.errors(_exhibits()), id="errors"),
        pytest.param("json.md", lambda: pages.json_documents(golden.cases(), _exhibits()), id="json"),
    ],
)
def test_a_reference_page(name: str, make: object) -> None:
    assert callable(make)
    _is_current(REFERENCE / name, make())


def _exhibits() -> list[gallery.Exhibit]:
    return [gallery.provoked(file) for file in gallery.files()]


def test_the_picture_of_a_session() -> None:
    _is_current(ROOT / "docs" / "session.svg", session())


def test_every_exit_code_and_its_name_are_documented() -> None:
    page = (REFERENCE / "exit-codes.md").read_text("utf-8")
    known = {value for name, value in vars(exits).items() if name.isupper() and type(value) is int}
    assert {int(code) for code in re.findall(r"^\| ([0-9]+) \|", page, re.MULTILINE)} == known
    ending = {exits.exit_code(kind("x")) for kind in gallery.classes().values()}
    assert ending <= known


def test_every_command_and_option_is_documented() -> None:
    page = (REFERENCE / "commands.md").read_text("utf-8")
    with new_world() as world:
        for name in COMMANDS:
            assert f"## `budget {name}`" in page
            options = re.findall(r"--[a-z][a-z-]+", world.done(f"budget {name} --help").out)
            assert all(option in page for option in options)


def test_every_variable_is_documented() -> None:
    page = (REFERENCE / "config.md").read_text("utf-8")
    sources = [*(ROOT / "budgets").rglob("*.py"), *(ROOT / "cli").rglob("*.py")]
    named = {name for file in sources for name in re.findall(r"\bBUDGET_[A-Z_]+\b", file.read_text("utf-8"))}
    assert {name for name in named if f"`{name}`" not in page} == set()


def test_the_example_of_a_configuration_file_is_one(tmp_path: Path) -> None:
    from budgets.config import VARIABLES, load_settings

    example = pages.settings_example(pages.words("settings")["settings"])
    assert example in (REFERENCE / "config.md").read_text("utf-8")
    (tmp_path / "config.toml").write_text(example + "\n", "utf-8")
    settings = load_settings({"BUDGET_CONFIG": str(tmp_path / "config.toml")})
    assert settings.sources.keys() <= VARIABLES.keys()


def test_every_page_is_linked_from_the_first_one() -> None:
    docs = ROOT / "docs"
    first = (docs / "README.md").read_text("utf-8")
    there = {str(page.relative_to(docs)) for page in docs.rglob("*.md")} - {"README.md"}
    # Decisions have a page of their own that lists them.
    wanted = {page for page in there if not re.match(r"decisions/[0-9]", page)}
    assert {page for page in wanted if f"]({page})" not in first} == set()
    decisions = (docs / "decisions" / "README.md").read_text("utf-8") + first
    assert "decisions/README.md" in decisions


def test_public_names_are_documented() -> None:
    page = (REFERENCE / "python-api.md").read_text("utf-8")
    assert {name for name in budgets.__all__ if f"## `{name}`" not in page} == set()
