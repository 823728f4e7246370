"""`budget wrap -- COMMAND` in a shell at a real terminal: Ctrl-C, Ctrl-Z and `fg`, and the window's size."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no shell with jobs")

_TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
_SIZE = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})
print(os.isatty(0), os.isatty(1), os.tcgetpgrp(0) == os.getpgrp(), *os.get_terminal_size(), flush=True)
signal.sigwait({signal.SIGWINCH})
print("now", *os.get_terminal_size(), flush=True)
"""


class Screen:
    """A terminal with an interactive shell in it."""

    def __init__(self, environ: dict[str, str], folder: Any) -> None:
        self._master, slave = pty.openpty()
        self.resize(30, 100)
        self._shell = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, "bash", "--norc", "--noprofile", "-i"],
            env={**environ, "PS1": "ready$ ", "TERM": "dumb", "HISTFILE": ""},
            cwd=folder,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._shown = ""
        self.until("ready$ ")

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def run(self, line: str, until: str) -> str:
        """What is shown from here on, up to *until*."""
        self.type(f"{line}\n")
        return self.until(until)

    def until(self, text: str) -> str:
        """What is shown up to and with *text*; the next look begins behind it."""
        deadline = time.monotonic() + 30
        while text not in self._shown:
            assert time.monotonic() < deadline, f"no {text!r} in {self._shown!r}"
            if select.select([self._master], [], [], 0.1)[0]:
                self._shown += os.read(self._master, 65536).decode(errors="replace")
        before, text, self._shown = self._shown.partition(text)
        return before + text

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def close(self) -> None:
        self._shell.kill()
        self._shell.wait(10)
        with suppress(OSError):
            os.close(self._master)


@pytest.fixture
def screen(budget: Any) -> Iterator[Screen]:
    budget.done("create", "--user", "ann", "--total", "1")
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME", "PYTHONPATH") if name in os.environ}
    program = budget.folder / "wrapped"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m budgets_cli wrap --user ann --quiet -- "$@"\n')
    program.chmod(0o755)
    with closing(Screen({**kept, **budget.environ}, budget.folder)) as opened:
        yield opened


def test_ctrl_c_is_the_programs(screen: Screen) -> None:
    line = """./wrapped sh -c 'trap "echo caught; exit 5" INT; echo on; while :; do sleep 0.1; done'"""
    screen.run(line, "on\r\n")
    screen.type("\x03")
    screen.until("caught")
    screen.until("ready$ ")
    assert "code 5" in screen.run("echo code $?", "code 5\r\n")


def test_ctrl_c_ends_what_does_not_care(screen: Screen) -> None:
    screen.run("./wrapped sh -c 'echo on; exec sleep 50'", "on\r\n")
    screen.type("\x03")
    screen.until("ready$ ")
    screen.run("echo code $?", "code 130\r\n")


def test_ctrl_z_stops_the_job_and_fg_continues_it(screen: Screen) -> None:
    screen.run("./wrapped sh -c 'echo on; read line; echo got $line'", "on\r\n")
    screen.type("\x1a")
    screen.until("Stopped")
    screen.until("ready$ ")
    screen.run("echo meanwhile", "meanwhile\r\n")
    screen.until("ready$ ")
    screen.run("fg", "wrapped")
    screen.run("hello", "got hello")
    screen.until("ready$ ")
    screen.run("echo code $?", "code 0\r\n")


def test_a_job_in_the_background_gets_the_terminal_when_it_comes_forward(screen: Screen) -> None:
    screen.run("./wrapped sh -c 'read line; echo got $line' &", "ready$ ")
    # It starts, reads, and is stopped for that; meanwhile the shell goes on.
    assert any("Stopped" in screen.run("jobs; sleep 0.1", "ready$ ") for _ in range(200))
    screen.run("fg", "wrapped")
    screen.run("hello", "got hello")


def test_the_program_sees_the_terminal_and_its_size(budget: Any, screen: Screen) -> None:
    (budget.folder / "size.py").write_text(_SIZE)
    screen.run(f"./wrapped {sys.executable} size.py", "True True True 100 30\r\n")
    screen.resize(40, 120)
    screen.until("now 120 40")
    screen.until("ready$ ")


def test_in_a_pipeline_whoever_asks_gets_the_terminal(screen: Screen) -> None:
    shown = screen.run("./wrapped sh -c 'echo asks; read line; echo got $line' | sed s/got/GOT/", "asks")
    screen.run("hello", "GOT hello")
    screen.until("ready$ ")
    assert "Stopped" not in shown


def test_a_program_that_is_killed_leaves_the_terminal_as_it_was(screen: Screen) -> None:
    screen.run("./wrapped sh -c 'stty raw -echo; kill -KILL $$'; echo code $?", "code 137\r\n")
    screen.until("ready$ ")
    screen.run("stty -a | grep -o ' -*icanon'", "\r\n icanon\r\n")
