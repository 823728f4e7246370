"""
The wheel is the tree, and it runs where the tree is not.

An editable install hides a forgotten package or data file, and `cli` must never land in site-packages
under that name, so the wheel itself is built, read, installed and run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

# All on one worker, so that the wheel is built and installed once.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]


def run(*command: str | Path, cwd: Path, homeless: bool = True) -> subprocess.CompletedProcess[str]:
    """
    Run *command* as a stranger would, without our paths and settings.

    Args:
        homeless: *cwd* takes the place of home and of every folder for data, settings and temporary files.
    """
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BUDGET_"))
    }
    if homeless:
        environ |= dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "TMPDIR"), str(cwd))
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def must(*command: str | Path, cwd: Path, homeless: bool = True) -> str:
    """Standard output of a command that has to succeed."""
    done = run(*command, cwd=cwd, homeless=homeless)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def pip(*arguments: str | Path, cwd: Path) -> None:
    """Pip with its owner's configuration, which says where packages come from."""
    must(sys.executable, "-m", "pip", *arguments, cwd=cwd, homeless=False)


@pytest.fixture(scope="session")
def pyproject(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="session")
def wheel(root: Path, tree: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: setuptools leaves a `build` folder behind, and takes old files out of it."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in tree:
        if not name.startswith(("tests/", "docs/")):
            copy = folder / "source" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, copy)
    pip("wheel", folder / "source", "--no-deps", "-w", folder, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of a fresh environment that has the wheel and what it asks for, nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    must(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    scripts = folder / "venv" / "bin"
    pip("--python", scripts / "python", "install", wheel, cwd=folder)
    return scripts


def test_the_wheel_holds_exactly_what_the_tree_holds(wheel: Path, tree: tuple[str, ...]) -> None:
    expected = {name for name in tree if name.startswith("budgets/")}
    expected |= {"budgets_cli/" + name.removeprefix("cli/") for name in tree if name.startswith("cli/")}

    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert found == expected


def test_the_wheel_carries_every_licence(wheel: Path, tree: tuple[str, ...]) -> None:
    """Data of other projects comes with its own; none may be forgotten."""
    licences = {name for name in tree if PurePosixPath(name).name.startswith("LICENSE")}

    found = {name.partition(".dist-info/licenses/")[2] for name in zipfile.ZipFile(wheel).namelist()} - {""}

    assert found == licences
    assert "LICENSE" in found


def test_every_package_of_the_tree_is_listed(tree: tuple[str, ...], pyproject: dict[str, Any]) -> None:
    modules = [
        PurePosixPath(name) for name in tree if name.startswith(("budgets/", "cli/")) and name.endswith(".py")
    ]
    packages = {".".join(module.parent.parts).replace("cli", "budgets_cli", 1) for module in modules}
    with_init = {module.parent for module in modules if module.name == "__init__.py"}

    assert packages == set(pyproject["tool"]["setuptools"]["packages"])
    assert with_init == {module.parent for module in modules}


def test_the_command_runs_outside_the_checkout(
    installed: Path, tmp_path: Path, pyproject: dict[str, Any]
) -> None:
    assert pyproject["project"]["version"] in must(installed / "budget", "--version", cwd=tmp_path)


def test_the_demo_runs_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    shown = must(installed / "budget", "demo", cwd=tmp_path)

    assert "simulated" in shown
    assert not list(tmp_path.iterdir()), "the demo leaves nothing behind"


def test_the_command_line_is_not_installed_under_a_name_that_others_use(
    installed: Path, tmp_path: Path
) -> None:
    assert must(installed / "python", "-c", "import budgets_cli, budgets", cwd=tmp_path) == ""

    refused = run(installed / "python", "-c", "import cli", cwd=tmp_path)

    assert refused.returncode == 1
    assert "No module named 'cli'" in refused.stderr
