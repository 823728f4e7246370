"""The program as a process: what it loads, and what it does to pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

# Each takes longer to load than all that a plain command does.
HEAVY = {"aiohttp", "asyncio", "httpx", "markdown_it", "pydantic", "pygments", "requests", "rich", "tiktoken"}

_LOADED = """
import sys
from budgets_cli.app import run
from budgets_cli.env import Env
code = run(Env.of_process())
print(*sorted(sys.modules), file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "BUDGET_STORE": str(tmp_path / "budgets.sqlite"),
        "BUDGET_CONFIG": str(tmp_path / "config.toml"),
    }


@pytest.mark.parametrize(
    ("argv", "loads_prices"),
    [
        pytest.param(("--help",), False, id="help"),
        pytest.param(("status",), False, id="status"),
        pytest.param(("status", "--json"), False, id="status as JSON"),
        pytest.param(("list-users",), False, id="list-users"),
        pytest.param(("create", "--user", "ann", "--total", "10", "--every", "month"), False, id="create"),
        pytest.param(("reset-due",), False, id="reset-due"),
        pytest.param(("prices", "show", "gpt-4o-mini"), True, id="prices show"),
    ],
)
def test_a_command_loads_nothing_heavy(
    environ: dict[str, str], argv: tuple[str, ...], loads_prices: bool
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _LOADED, *argv], env=environ, capture_output=True, text=True, check=True
    )
    modules = set(ended.stderr.splitlines()[-1].split())
    assert {name.partition(".")[0] for name in modules} & HEAVY == set()
    assert ("budgets.prices.bundled" in modules) is loads_prices
    assert "budgets.tokens.counter" not in modules


def test_a_reader_that_goes_away_is_no_error(environ: dict[str, str]) -> None:
    budget = f"{sys.executable} -m budgets_cli"
    # Without a buffer every line is a write of its own, so that one of them meets the closed pipe.
    script = f"{budget} --help | head -1; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(
        [
            "bash",
            "-c",
            f"for i in 1 2 3 4 5; do {budget} create --user $i --total 1; done >/dev/null; {script}",
        ],
        env={**environ, "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    first, code = ended.stdout.splitlines()
    assert first.startswith("Usage: budget")
    assert code in ("0", "141")
    assert ended.stderr == ""


def test_a_closed_pipe_ends_quietly_with_141(environ: dict[str, str]) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "budgets_cli", "list-users", "--json"],
            env=environ,
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(write)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_a_full_disk_is_said(environ: dict[str, str]) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        ended = subprocess.run(
            [sys.executable, "-m", "budgets_cli", "status", "--json"],
            env=environ,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: No space left on device")


def test_the_exit_code_reaches_the_shell(environ: dict[str, str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "budgets_cli", "cost", "--user", "ann"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: ann has no budget in this project\nhint: ")


def test_a_stream_that_knows_only_ascii_gets_escapes(environ: dict[str, str]) -> None:
    environ["PYTHONIOENCODING"] = "ascii"
    argv = ("create", "--user", "日本", "--total", "1")
    ended = subprocess.run(
        [sys.executable, "-m", "budgets_cli", *argv], env=environ, capture_output=True, text=True, check=True
    )
    assert ended.stdout.startswith(r"created \u65e5\u672c: $1.00 in all")
