"""`budget store`, and which kind of store a path is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from budgets.stores.json_codec import BEGINNING
from budgets.stores.json_file import JsonStore
from budgets.stores.sqlite import SqliteStore
from budgets.wiring import open_store, open_store_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Budget


@pytest.fixture
def filled(budget: Budget) -> Budget:
    """A SQLite store with a budget and a charge, named by BUDGET_STORE."""
    budget.environ["BUDGET_STORE"] = "old.sqlite"
    budget.done("create", "--user", "ann", "--total", "10", "--every", "month")
    budget.done("charge", "--user", "ann", "--amount", "1.25")
    return budget


def test_every_command_works_on_a_json_store(budget: Budget) -> None:
    budget.environ["BUDGET_STORE"] = "budgets.json"
    budget.done("create", "--user", "ann", "--total", "10")
    budget.done("charge", "--user", "ann", "--amount", "1.25")
    assert "$8.75" in budget.done("status").out
    assert (budget.folder / "budgets.json").exists()
    assert budget.done("check").out.startswith("all sums add up")
    assert not list(budget.folder.glob("*.sqlite"))


def test_info_says_what_it_is_and_how_much_it_keeps(filled: Budget) -> None:
    filled.done("store", "copy", "old.sqlite", "new.json")
    for name, kind in (("old.sqlite", "SQLite"), ("new.json", "JSON")):
        text = filled.done("store", "info", "--store", name).out
        assert text.startswith(f"{name}: a {kind} store, schema ")
        assert "projects 1, users 1, entries 3, holds 0" in text
        found = filled.done("store", "info", "--store", name, "--json").document
        sizes = [each.stat().st_size for each in filled.folder.glob(f"{name.split('.')[0]}.*")]
        assert found["size_bytes"] == sum(sizes)
        assert (found["users"], found["entries"]) == (1, 3)


def test_info_of_a_store_that_is_not_there_yet(budget: Budget) -> None:
    found = budget.done("store", "info", "--store", "new.json", "--json").document
    assert (found["kind"], found["size_bytes"], found["projects"]) == ("json", 0, 0)


def test_alone_it_shows_its_help(budget: Budget) -> None:
    assert "Usage: budget store" in budget.done("store").out


def test_a_copy_has_the_same_status_and_history(filled: Budget) -> None:
    said = filled.done("store", "copy", "old.sqlite", "new.json")
    assert said.out.startswith(
        "copied project default: budgets 1, periods 1, entries 3, holds 0\nall is the same in"
    )
    assert f"set BUDGET_STORE={filled.folder}/new.json" in said.err
    filled.done("store", "copy", "new.json", "back.sqlite")
    for command in (("status",), ("cost", "--user", "ann"), ("history", "--user", "ann")):
        wanted = filled.done(*command, "--json").out
        for name in ("new.json", "back.sqlite"):
            assert filled.done(*command, "--json", "--store", name).out == wanted


def test_all_projects_or_one(filled: Budget) -> None:
    filled.done("create", "--user", "bob", "--project", "work")
    found = filled.done("store", "copy", "old.sqlite", "all.json", "--all", "--json").document
    assert [each["project"] for each in found["projects"]] == ["default", "work"]
    assert (found["from"], found["to"]) == tuple(
        str(filled.folder / name) for name in ("old.sqlite", "all.json")
    )
    filled.done("store", "copy", "old.sqlite", "one.json", "--project", "work")
    assert filled.done("list-users", "--store", "one.json").out == ""
    assert "bob" in filled.done("list-users", "--store", "one.json", "--project", "work").out


@pytest.mark.parametrize(
    ("argv", "code", "error", "hint"),
    [
        (("old.sqlite", "old.sqlite"), 2, "are the same store", "another file"),
        (("nowhere.json", "new.json"), 1, "there is no store at nowhere.json", "budget store info"),
        (("old.sqlite", "new.json", "--store", "x"), 2, "FROM and TO name the stores", "leave out --store"),
        (("old.sqlite", "new.json", "--all", "--project", "x"), 2, "--all and --project", "one of them"),
        (
            ("old.sqlite", "new.json", "--project", "x"),
            1,
            "there is no project x",
            "its projects are default",
        ),
        (("old.sqlite", "full.json"), 1, "is in the store to copy to already", "new file"),
        (("empty.sqlite", "new.json", "--all"), 1, "there is no project default", "it is empty"),
        (("old.sqlite", "https://example.com/x"), 2, "only files are copied", "on the server's machine"),
    ],
)
def test_a_copy_that_cannot_be_meant_is_refused(
    filled: Budget, argv: tuple[str, ...], code: int, error: str, hint: str
) -> None:
    filled.done("create", "--user", "eve", "--store", "full.json")
    filled.done("status", "--store", "empty.sqlite")
    ended = filled("store", "copy", *argv)
    assert ended.code == code
    assert error in ended.err
    assert hint in ended.err
    assert not (filled.folder / "new.json").exists()


def test_running_calls_refuse_the_copy(filled: Budget, held: Callable[..., None]) -> None:
    held("ann", 2)
    ended = filled("store", "copy", "old.sqlite", "new.json")
    assert ended.code == 75
    assert "error: calls are running in project default: call-1 of ann ($2.00)\n" in ended.err
    assert filled("store", "copy", "old.sqlite", "new.json", "--json").document["error"]["holds"] == [
        "call-1"
    ]
    filled.done("holds", "release", "call-1")
    filled.done("store", "copy", "old.sqlite", "new.json")


# Which kind a path is


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.json", JsonStore),
        ("A.JSON", JsonStore),
        ("a.sqlite", SqliteStore),
        ("json", SqliteStore),
        ("a.json.db", SqliteStore),
    ],
)
def test_the_ending_decides(tmp_path: Path, name: str, kind: type) -> None:
    assert type(open_store_at(tmp_path / name)) is kind
    assert not (tmp_path / name).exists()


def test_a_file_of_the_other_kind_is_refused_and_not_touched(filled: Budget) -> None:
    filled.done("store", "copy", "old.sqlite", "new.json")
    assert (filled.folder / "new.json").read_bytes().startswith(BEGINNING)
    for name, wrong, kind in (("old.sqlite", "x.json", "SQLite"), ("new.json", "y.sqlite", "JSON")):
        path = filled.folder / wrong
        path.write_bytes((filled.folder / name).read_bytes())
        before = path.read_bytes()
        ended = filled("status", "--store", wrong)
        assert ended.code == 1
        assert f"{wrong} is a {kind} store, and its name says it is not" in ended.err
        assert "ending" in ended.err
        assert path.read_bytes() == before


def test_settings_name_the_store(filled: Budget) -> None:
    from budgets.config import load_settings

    settings = load_settings({**filled.environ, "BUDGET_STORE": "some.json"})
    assert isinstance(open_store(settings), JsonStore)
