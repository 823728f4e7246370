"""Whether a process is gone is answered yes only when it is certain."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from budgets import processes
from budgets.processes import SystemProcesses
from budgets.records import Process

WAIT_AND_TELL = "import sys; from budgets.processes import SystemProcesses as S; p = S().own()"
WAIT_AND_TELL += "; print(p.host, p.pid, p.started, sep='|', flush=True); sys.stdin.readline()"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    """A process that waits for a line."""
    with subprocess.Popen(
        [sys.executable, "-c", WAIT_AND_TELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        yield started
        started.kill()


def own_of(child: subprocess.Popen[str]) -> Process:
    assert child.stdout is not None
    host, pid, start = child.stdout.readline().rstrip("\n").split("|")
    return Process(host, int(pid), start)


def test_we_are_running() -> None:
    own = SystemProcesses().own()
    assert own.pid == os.getpid()
    assert not SystemProcesses().ended(own)


def test_another_process_is_running_until_it_is_gone(child: subprocess.Popen[str]) -> None:
    process = own_of(child)
    assert not SystemProcesses().ended(process)
    child.kill()
    child.wait()
    assert SystemProcesses().ended(process)


@pytest.mark.skipif(sys.platform != "linux", reason="only here the start time is known")
def test_a_process_that_nobody_has_waited_for_is_gone(child: subprocess.Popen[str]) -> None:
    process = own_of(child)
    child.kill()
    # Wait for the end and leave the zombie where it is.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert SystemProcesses().ended(process)


@pytest.mark.skipif(sys.platform != "linux", reason="only here the start time is known")
def test_a_process_id_that_is_used_again_is_another_process() -> None:
    own = SystemProcesses().own()
    assert own.started
    assert SystemProcesses().ended(replace(own, started="12345"))


def test_nothing_is_certain_about_another_host() -> None:
    own = SystemProcesses().own()
    assert not SystemProcesses().ended(replace(own, host="elsewhere", started="12345"))


def test_without_start_times_a_used_id_is_taken_for_the_same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    own = SystemProcesses().own()
    assert not SystemProcesses().ended(replace(own, started=""))
    monkeypatch.setattr(processes, "_started", lambda _: "")
    assert not SystemProcesses().ended(replace(own, started="12345"))


def test_another_users_process_is_running() -> None:
    """Process 1 belongs to root and may not be signalled by others; it is there all the same."""
    host = SystemProcesses().own().host
    assert not SystemProcesses().ended(Process(host, 1, ""))


FORK = """
import os
from budgets.processes import SystemProcesses
before = SystemProcesses().own().pid
child = os.fork()
if child == 0:
    os._exit(0 if SystemProcesses().own().pid == os.getpid() != before else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_is_a_process_of_its_own() -> None:
    assert subprocess.run([sys.executable, "-c", FORK], check=False).returncode == 0
