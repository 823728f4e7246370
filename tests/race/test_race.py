"""
Many processes on one hot budget: accepted is exactly what fits, and nobody sees a lock.

`BUDGET_FULL=1` makes it more calls each. How long the longest wait for a turn was is reported, not judged:
a test that fails because the machine is busy says nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from budgets.clock import utc_now
from budgets.engine import LimitTerms
from budgets.money import NANOS_PER_USD
from budgets.records import ROOT
from budgets.wiring import open_store_at
from tests.support.engines import FULL, open_engine

WORKER = Path(__file__).with_name("worker.py")


def start(stack: ExitStack, *arguments: object) -> subprocess.Popen[str]:
    """A worker that is ready to begin; it does not outlive the test."""
    process = stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-W", "error", str(WORKER), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    )
    stack.callback(process.kill)
    return process


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The worker's last line, when it has ended well."""
    written, _ = process.communicate(timeout=600)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(written)
    return found


@pytest.mark.parametrize(
    ("name", "processes", "calls"),
    [
        pytest.param("budgets.sqlite", 8, 500 if FULL else 40, id="sqlite"),
        pytest.param("budgets.json", 4, 250 if FULL else 50, id="json"),
    ],
)
def test_processes_on_one_budget_get_exactly_what_fits(
    tmp_path: Path, record_property: Callable[[str, object], None], name: str, processes: int, calls: int
) -> None:
    path = tmp_path / name
    # Seven calls of eight.
    fits = processes * calls * 7 // 8
    with closing(open_store_at(path)) as store, ExitStack() as stack:
        engine = open_engine(store, clock=utc_now)
        engine.create("team", LimitTerms(processes * calls * NANOS_PER_USD))
        engine.create("ann", LimitTerms(fits * NANOS_PER_USD), parent="team")
        callers = [start(stack, "call", path, number, calls) for number in range(processes)]
        observer = start(stack, "observe", path)
        for process in (*callers, observer):
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        begun = time.monotonic()
        for process in (*callers, observer):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [answer(process) for process in callers]
        seconds = time.monotonic() - begun
        observed = answer(observer)

        assert [found["faults"] for found in (*answers, observed)] == [[]] * (processes + 1)
        assert sum(found["accepted"] for found in answers) == fits
        assert sum(found["refused"] for found in answers) == processes * calls - fits
        assert observed["views"] > 0
        charges = [entry for entry in engine.entries(ROOT) if entry.kind == "charge"]
        assert sum(charge.nanos for charge in charges) == fits * NANOS_PER_USD
        status = engine.status("ann")
        assert (status.left.nanos, status.limits[0].totals.spent_nanos) == (0, fits * NANOS_PER_USD)
        assert sum(status.models.values()) == fits * NANOS_PER_USD
        assert engine.holds() == []
        assert engine.check().faults == ()

    longest = max(found["longest_wait_seconds"] for found in answers)
    report = {
        "pairs_per_second": round(fits / seconds),
        "commits_per_second": round(sum(found["commits"] for found in answers) / seconds),
        "longest_wait_seconds": round(longest, 3),
        "views": observed["views"],
    }
    for name, value in report.items():
        record_property(name, value)
    # Shown with `pytest -s`, or in the report of a failure.
    sys.stdout.write(f"{report}\n")
