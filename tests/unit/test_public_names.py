"""`import budgets` offers what it says, and loads nothing before it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import budgets


@pytest.mark.parametrize("name", budgets.__all__)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(budgets, name) is not None
    assert name in dir(budgets)


def test_a_name_that_is_not_there_is_said() -> None:
    with pytest.raises(AttributeError, match="'budgets' has no attribute 'bugdet'"):
        budgets.bugdet  # noqa: B018


def test_the_names_are_sorted_as_people_look_for_them() -> None:
    assert len(set(budgets.__all__)) == len(budgets.__all__)
    assert set(budgets._HOMES) | {"open_engine"} == set(budgets.__all__)


def test_importing_loads_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import budgets; print(*(set(sys.modules) - before))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name for name in ended.stdout.split() if name.startswith("budgets.")} == set()
    for heavy in ("rich", "typer", "sqlite3", "tiktoken", "aiohttp", "platformdirs", "dataclasses"):
        assert heavy not in ended.stdout.split()


def test_using_one_room_does_not_open_all() -> None:
    code = "import sys, budgets; budgets.parse_usd('1'); print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "budgets.money" in ended.stdout.split()
    assert "budgets.engine" not in ended.stdout.split()


def test_the_example_in_the_docstring_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDGET_STORE", str(tmp_path / "budgets.sqlite"))
    monkeypatch.setenv("BUDGET_CONFIG", str(tmp_path / "config.toml"))
    lines = [line[4:] for line in (budgets.__doc__ or "").splitlines() if line.startswith("    ")]
    exec("\n".join(lines), {})
    with budgets.open_engine() as engine:
        assert engine.status("ann").left.nanos == budgets.parse_usd("9.88")


def test_an_engine_has_the_settings_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text('project = "website"\n', "utf-8")
    monkeypatch.setenv("BUDGET_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.delenv("BUDGET_PROJECT", raising=False)
    with budgets.open_engine(tmp_path / "a.sqlite") as engine:
        assert engine.project == "website"
    with budgets.open_engine(tmp_path / "a.sqlite", project="other") as engine:
        assert engine.project == "other"


def test_a_closed_engine_may_be_closed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDGET_CONFIG", str(tmp_path / "config.toml"))
    engine = budgets.open_engine(tmp_path / "a.sqlite")
    engine.create("ann")
    engine.close()
    engine.close()
    # The store is opened again by whoever uses it next.
    assert engine.users() == ["ann"]
    engine.close()
