"""`budget status --watch`, paging, and what is said while somebody waits."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from budgets_cli.app import run
from budgets_cli.env import Env
from budgets_cli.progress import Progress

from tests.support.world import Terminal

if TYPE_CHECKING:
    from conftest import Budget


def _watched(
    budget: Budget, *argv: str, wait: Callable[[float], None], **environ: str
) -> tuple[int, str, str]:
    out, err = Terminal(), Terminal()
    env = Env(("status", "--watch", *argv), StringIO(), out, err, {**budget.environ, **environ}, budget.clock)
    return run(replace(env, wait=wait)), out.getvalue(), err.getvalue()


def _once(_seconds: float) -> None:
    raise KeyboardInterrupt


def test_a_watch_looks_again_until_ctrl_c(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            raise KeyboardInterrupt
        budget.done("charge", "--user", "ann", "--amount", "2.50")

    code, out, err = _watched(budget, "--interval", "5", wait=wait)
    assert (code, err, waited) == (0, "", [5, 5])
    _, first, second = out.split("\x1b[H")
    assert "2026-11-22 09:00:00 UTC, every 5 s, Ctrl-C ends" in first
    assert "$10.00" in first
    assert "$2.50" not in first
    assert "$7.50" in second
    assert out.endswith("\n"), "the prompt comes on a line of its own"


def test_a_watch_of_one_user(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    budget.done("create", "--user", "bob", "--total", "20")
    _, out, _ = _watched(budget, "--user", "ann", wait=_once)
    assert "ann: $10.00 left" in out
    assert "bob" not in out


def test_a_watch_shows_what_the_screen_takes(budget: Budget) -> None:
    for number in range(20):
        budget.done("create", "--user", f"user-{number:02}", "--total", "1")
    _, out, _ = _watched(budget, wait=_once, LINES="10")
    frame = out.partition("\x1b[H")[2]
    assert len(frame.rstrip("\n").splitlines()) == 10
    assert "... 13 more lines" in frame
    assert out.startswith("\n" * 10 + "\x1b[H"), "what was on the screen is scrolled away, not lost"


def test_a_watch_without_budgets_says_how_to_begin(budget: Budget) -> None:
    _, out, _ = _watched(budget, wait=_once)
    assert "begin with `budget create" in out


def test_a_name_cannot_move_the_cursor(budget: Budget) -> None:
    budget.done("create", "--user", "[red]\x1b[2J", "--total", "1")
    _, out, _ = _watched(budget, wait=_once)
    assert r"[red]\x1b[2J" in out
    assert "\x1b[2J" not in out


@pytest.mark.parametrize(
    ("argv", "environ", "terminal", "said"),
    [
        pytest.param(("--watch",), {}, False, "--watch draws on a terminal", id="a pipe"),
        pytest.param(
            ("--watch",), {"TERM": "dumb"}, True, "--watch draws on a terminal", id="a dumb terminal"
        ),
        pytest.param(("--watch", "--json"), {}, True, "--watch draws on a terminal", id="JSON"),
        pytest.param(("--interval", "5"), {}, True, "there is no --watch", id="an interval alone"),
        pytest.param(("--watch", "--interval", "0"), {}, True, "--interval is 0", id="no pause at all"),
        pytest.param(("--watch", "--interval", "3601"), {}, True, "--interval is 3601", id="too long"),
        pytest.param(("--user", "ann", "--limit", "1"), {}, False, "--limit is for all", id="a limit of one"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    budget: Budget, argv: tuple[str, ...], environ: dict[str, str], terminal: bool, said: str
) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    ended = budget("status", *argv, terminal=terminal, **environ)
    assert ended.code == 2
    assert said in ended.err + ended.out


def test_only_the_nearest_to_their_limits_are_shown(budget: Budget) -> None:
    for number in range(5):
        budget.done("create", "--user", f"u{number}", "--total", "10")
        budget.done("charge", "--user", f"u{number}", "--amount", str(number))
    ended = budget.done("status", "--limit", "2")
    assert [line.split()[0] for line in ended.out.splitlines()] == ["USER", "u4", "u3"]
    assert ended.err == "and 3 more, further from their limits\n"
    document = budget.done("status", "--limit", "2", "--json").document
    assert ([each["user"] for each in document["budgets"]], document["more"]) == (["u4", "u3"], 3)
    assert budget.done("status", "--limit", "5", "--json").document["more"] == 0
    assert budget.done("status", "--limit", "0").out.splitlines()[1:] == []


def _on_a_terminal(budget: Budget, *argv: str, **environ: str) -> str:
    """What a process writes to a terminal of 24 lines."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "budgets_cli", *argv],
        env={"PATH": os.environ["PATH"], "TERM": "xterm", "LINES": "24", **budget.environ, **environ},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 65_536)
        except OSError:
            # Linux says so when nobody has the other end open any more.
            break
        if not piece:
            break
        seen += piece
    os.close(ours)
    assert process.wait() == 0
    return seen.decode().replace("\r\n", "\n")


@pytest.fixture
def many(budget: Budget) -> Budget:
    for number in range(30):
        budget.done("create", "--user", f"user-{number:02}", "--total", "1")
    return budget


def test_what_is_longer_than_the_screen_is_paged(many: Budget) -> None:
    text = _on_a_terminal(many, "status", PAGER="sed 's/^/paged: /'")
    assert len(text.splitlines()) == 31
    assert all(line.startswith("paged: ") for line in text.splitlines())


@pytest.mark.parametrize(
    ("argv", "pager"),
    [
        pytest.param(("status", "--limit", "5"), "sed 's/^/paged: /'", id="it fits"),
        pytest.param(("status",), "", id="PAGER is empty"),
        pytest.param(("status",), "no-such-program", id="there is no such program"),
    ],
)
def test_the_rest_is_not_paged(many: Budget, argv: tuple[str, ...], pager: str) -> None:
    text = _on_a_terminal(many, *argv, PAGER=pager)
    assert "user-00" in text
    assert "paged" not in text


def test_a_pager_that_stops_reading_is_no_error(many: Budget) -> None:
    assert _on_a_terminal(many, "status", PAGER="head -n 1", NO_COLOR="1").startswith("USER")


def test_a_pipe_is_never_paged(many: Budget) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "budgets_cli", "status"],
        env={**os.environ, **many.environ, "PAGER": "sed 's/^/paged: /'", "LINES": "5"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(ended.stdout.splitlines()) == 31
    assert "paged" not in ended.stdout


def _progress(stream: StringIO, seconds: list[float], **environ: str) -> str:
    ticks = iter(seconds)
    env = Env((), StringIO(), StringIO(), stream, environ)
    with Progress(env, "adding up", ticks=lambda: next(ticks)) as progress:
        for number in range(1, len(seconds)):
            progress.reached(number * 1_000)
    return stream.getvalue()


def test_progress_is_shown_after_one_second_and_wiped_out() -> None:
    shown = _progress(Terminal(), [10.0, 10.5, 11.0, 11.1, 13.5])
    assert shown == "\radding up: 2,000, 1 s\x1b[K\radding up: 4,000, 3 s\x1b[K\r\x1b[K"


def test_what_is_over_sooner_needs_no_comment() -> None:
    assert _progress(Terminal(), [10.0, 10.5, 10.99]) == ""


def test_progress_is_for_terminals_that_can_draw() -> None:
    assert _progress(StringIO(), [10.0, 12.0]) == ""
    assert _progress(Terminal(), [10.0, 12.0], TERM="dumb") == ""


def test_a_check_says_how_far_it_is(budget: Budget, monkeypatch: pytest.MonkeyPatch) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    budget.done("charge", "--user", "ann", "--amount", "1")
    monkeypatch.setattr("budgets.engine.checking._WATCHED", 1)
    monkeypatch.setattr("budgets_cli.progress._QUIET_SECONDS", 0)
    ended = budget.done("check", terminal=True)
    assert ended.err.startswith("\radding up entries: 1, 0 s")
    assert ended.err.endswith("\r\x1b[K")
    assert ended.out.startswith("all sums add up")
    assert budget.done("check").err == ""


def test_a_line_as_wide_as_the_screen_keeps_its_last_cell(budget: Budget) -> None:
    """Behind a full line the cursor stands on its last cell, so nothing may be wiped out from there."""
    budget.done("create", "--user", "ann", "--total", "10")
    _, shown, _ = _watched(budget, wait=_once)
    lines = [line for line in shown.split("\n") if "ann" in line or "Ctrl-C" in line or "LIMIT" in line]
    assert len(lines) == 3
    for line in lines:
        wiped = [match.start() for match in re.finditer(r"\x1b\[[JK]", line)]
        written = next(match.start() for match in re.finditer(r"(?<=[JKm])[A-Za-z0-9]", line))
        assert wiped
        assert max(wiped) < written
