"""What the pages tell people to type is typed here, and what they show is what is said."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

import budgets
from tests.support.provider import loopback_provider
from tests.support.world import World, new_world, with_files

ROOT = Path(__file__).parent.parent.parent
# Golden output and generated pages are compared as a whole.
PAGES = [
    ROOT / "README.md",
    *(
        page
        for page in sorted((ROOT / "docs").rglob("*.md"))
        if "<!-- Made by" not in page.read_text("utf-8")
    ),
]
_FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    """The page's blocks in that language."""
    return [dedent(text) for _, name, text in _FENCE.findall(page.read_text("utf-8")) if name == language]


def with_blocks(*languages: str) -> list[object]:
    return [
        pytest.param(page, id=str(page.relative_to(ROOT)))
        for page in PAGES
        if any(blocks(page, language) for language in languages)
    ]


def exchanges(block: str) -> Iterator[tuple[str, list[str]]]:
    """Each line that is typed, and the lines that it says."""
    typed: str | None = None
    said: list[str] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            if typed is not None:
                yield typed, said
            typed, said = line.removeprefix("$ "), []
        else:
            said.append(line)
    if typed is not None:
        yield typed, said


def is_like(shown: list[str], said: list[str]) -> bool:
    """Whether *shown* is what was said; a line `...` stands for any number of lines."""
    if not shown:
        return not said
    if shown[0] == "...":
        return any(is_like(shown[1:], said[start:]) for start in range(len(said) + 1))
    return bool(said) and shown[0] == said[0] and is_like(shown[1:], said[1:])


@pytest.mark.parametrize("page", with_blocks("console"))
def test_a_page_shows_what_is_said(page: Path) -> None:
    code = 0
    with new_world(with_files) as world:
        for block in blocks(page, "console"):
            for typed, shown in exchanges(block):
                if typed == "echo $?":
                    assert shown == [str(code)], f"after {typed}"
                    continue
                ended = world.type(typed)
                code = ended.code
                said = (ended.out + ended.err).splitlines()
                # What is not shown went well.
                assert shown or code == 0, ended
                assert is_like(shown, said), f"$ {typed}\n" + "\n".join(said)


@pytest.mark.parametrize("page", with_blocks("sh"))
def test_what_a_page_tells_a_shell_to_do_works(page: Path, tmp_path: Path) -> None:
    shell = _shell(tmp_path)
    with new_world(with_files) as world:
        if "budget create" not in page.read_text("utf-8"):
            # It is for those who have budgets already.
            world.done("budget create --user ann --total 10 --every month")
        for block in blocks(page, "sh"):
            # The two ways to set it up have tests of their own, in tests/packaging.
            if "venv" in block:
                continue
            lines = [line for line in block.splitlines() if line.strip() and not line.startswith("#")]
            if all(line.startswith("budget ") for line in lines):
                # These may call a provider, which is simulated here.
                for line in lines:
                    _runs(world, line)
            else:
                _bash(block, shell, tmp_path)


def _runs(world: World, line: str) -> None:
    for user in re.findall(r"--user (\S+)", line):
        if " create " not in line:
            world.done(f"budget create --user {user} --total 10 --if-missing")
    assert world.type(line).code == 0, line


def _bash(script: str, environ: dict[str, str], folder: Path) -> None:
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environ,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended
    assert "a bug" not in ended.stderr


def _shell(folder: Path) -> dict[str, str]:
    """The environment of a shell that finds `budget`, knows no key, and reaches no provider."""
    program = folder / "bin" / "budget"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m budgets_cli "$@"\n')
    program.chmod(0o755)
    kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    return {
        **kept,
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "BUDGET_STORE": str(folder / "budgets.sqlite"),
        "BUDGET_CONFIG": str(folder / "config.toml"),
    }


@pytest.mark.parametrize("page", with_blocks("python"))
def test_python_on_a_page_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with new_world(with_files) as world, loopback_provider() as provider:
        world.done("budget create --user ann --total 10")
        monkeypatch.chdir(world.folder)
        for name, value in world.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{provider.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.url)
        for block in blocks(page, "python"):
            if "import litellm" in block:
                # It warns, asks the network for prices, and keeps callbacks for the whole process.
                local = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
                subprocess.run([sys.executable, "-c", block], env=local, check=True, capture_output=True)
            else:
                exec(block, {})
        # What a page set for the process is not the next one's.
        budgets.max_budget = None


def test_the_tutorial_installs_as_the_readme_does() -> None:
    (install,) = (block for block in blocks(PAGES[0], "sh") if block.endswith("budget demo\n"))
    assert install in blocks(ROOT / "docs" / "tutorial" / "first-budget.md", "sh")


@pytest.mark.parametrize("page", with_blocks("cron", "ini"))
def test_lines_for_cron_and_systemd_run(page: Path) -> None:
    lines = [
        re.sub(r"^([\d*/,-]+ +){5}", "", line)
        for block in blocks(page, "cron")
        for line in block.splitlines()
    ]
    lines += re.findall(r"^ExecStart=(.*)$", "\n".join(blocks(page, "ini")), re.MULTILINE)
    assert lines
    with new_world() as world:
        for line in lines:
            program, *rest = line.split()
            assert Path(program).is_absolute()
            assert Path(program).name == "budget"
            # The same line, on a store that may be written here.
            here = re.sub(r"/var/lib/budget/", "", " ".join(["budget", *rest]))
            world.done(here)


def test_a_page_that_shows_something_else_is_seen() -> None:
    assert is_like(["a", "...", "c"], ["a", "b", "c"])
    assert is_like(["...", "c"], ["c"])
    assert not is_like(["a", "..."], ["b"])
    assert not is_like([], ["b"])
    assert not is_like(["a"], ["a", "b"])
