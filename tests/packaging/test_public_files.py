"""What every file of the project must be, because strangers read and run it."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

# Put together here, so that this file does not name them either.
REGISTRIES = [
    ".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("registry", "npmjs", "org"))
]
MACHINE_FOLDERS = ("work", "root", "tmp", "home")

_MACHINE_PATH = re.compile(rf"(?<![\w.~}}/-])/(?:{'|'.join(MACHINE_FOLDERS)})/")
_FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?://|mailto:)([^)#\s]+)(?:#[^)\s]*)?\)")
_EXTRA = re.compile(r"(?:llm-budgets|'\.|\"\.)\[([a-z0-9,_-]+)\]")


@pytest.fixture(scope="session")
def texts(root: Path, tree: tuple[str, ...]) -> dict[str, str]:
    """Every file that is text."""
    found = {}
    for name in tree:
        raw = (root / name).read_bytes()
        if b"\0" not in raw:
            found[name] = raw.decode("utf-8")
    return found


@pytest.fixture(scope="session")
def readme_commands(root: Path) -> list[str]:
    return _FENCE.findall((root / "README.md").read_text("utf-8"))


def test_no_file_names_a_registry(texts: dict[str, str]) -> None:
    """People install from the one they trust; their own configuration names it."""
    naming = [name for name, text in texts.items() if any(host in text for host in REGISTRIES)]

    assert not naming


def test_no_file_names_a_folder_of_somebodys_machine(texts: dict[str, str]) -> None:
    naming = {name: _MACHINE_PATH.search(text) for name, text in texts.items()}

    assert not {name: found[0] for name, found in naming.items() if found}


def test_the_patterns_find_what_they_are_for() -> None:
    for folder in MACHINE_FOLDERS:
        assert _MACHINE_PATH.search(f"see '/{folder}/x'")
        assert not _MACHINE_PATH.search(f"https://example.com/{folder}/x")


def test_setting_up_and_running_is_one_command_in_a_block_of_its_own(readme_commands: list[str]) -> None:
    set_ups = [block for block in readme_commands if "venv" in block]

    assert [block.count("\n") for block in set_ups] == [1, 1]
    assert set_ups[0].endswith(".venv/bin/budget demo\n")
    assert set_ups[1].endswith(".venv/bin/pytest\n")


def test_ci_runs_the_readmes_test_command_word_for_word(root: Path, readme_commands: list[str]) -> None:
    (command,) = (block.strip() for block in readme_commands if block.endswith("pytest\n"))
    lines = (root / ".ci" / "run").read_text("utf-8").splitlines()

    assert lines.count(command) == 1
    assert [line for line in lines if "/pytest" in line] == [command]


def test_ci_can_be_run(root: Path) -> None:
    assert os.access(root / ".ci" / "run", os.X_OK)
    subprocess.run(["bash", "-n", root / ".ci" / "run"], check=True)


def test_every_link_between_pages_leads_to_a_file(root: Path, texts: dict[str, str]) -> None:
    broken = [
        f"{name}: {target}"
        for name, text in texts.items()
        if name.endswith(".md")
        for target in _LINK.findall(text)
        if not ((root / name).parent / target).exists()
    ]

    assert not broken


def test_every_extra_that_is_named_exists(root: Path, texts: dict[str, str]) -> None:
    extras = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    named = {extra for text in texts.values() for found in _EXTRA.findall(text) for extra in found.split(",")}

    assert "dev" in named
    assert named <= set(extras)


def test_every_exit_code_is_documented(root: Path) -> None:
    exits = vars(import_module("budgets_cli.exits"))
    known = {str(value) for name, value in exits.items() if name.isupper() and isinstance(value, int)}
    page = (root / "docs" / "reference" / "exit-codes.md").read_text("utf-8")

    assert set(re.findall(r"^\| ([0-9]+) \|", page, re.MULTILINE)) == known
