"""
A process is killed with SIGKILL at any point of its work, again and again on the same store.

Each time: the store opens and adds up, what a command said is there, no limit is passed without a reason, and
the next process ends the lease of the dead one. `BUDGET_FULL=1` kills 200 times.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from budgets.engine import Engine
from budgets.ports import Reading
from budgets.processes import SystemProcesses
from budgets.wiring import open_store_at
from tests.crash.worker import worker_time
from tests.support.engines import FULL

KILLS = 200 if FULL else 8
# A kill comes this long after the work began, at most: long enough for some hundred commands.
LONGEST_LIFE_SECONDS = 0.25

WORKER = Path(__file__).with_name("worker.py")


def lines_of_a_killed_process(path: Path, number: int, life_seconds: float) -> list[list[str]]:
    """What a worker said before it was killed, as words."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", str(WORKER), str(path), str(number)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            killer = threading.Timer(life_seconds, process.kill)
            killer.start()
            written, errors = process.communicate(timeout=60)
            killer.join()
        finally:
            process.kill()
    assert (first, errors, process.returncode) == ("ready\n", "", -signal.SIGKILL)
    # The last line may have been cut.
    return [line.split() for line in written.split("\n")[:-1]]


def facts(view: Reading) -> set[str]:
    """Everything that was written down, by id, and what was changed or opened, in words."""
    found = set()
    for entry in view.entries():
        found.add(entry.id)
        if entry.kind == "limit_changed":
            found.add(
                f"changed {entry.user or 'project'} {entry.detail['after']['limits'][0]['total_nanos']}"
            )
        elif entry.kind == "opened":
            found.add(f"opened {entry.detail['limit_id']} {entry.detail['period_start']}")
    return found


@pytest.mark.parametrize("name", ["budgets.sqlite", "budgets.json"])
def test_killed_at_any_point_it_has_what_it_said_and_adds_up(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    chance = random.Random(11)
    said: set[str] = set()
    commands = 0
    for number in range(KILLS):
        lines = lines_of_a_killed_process(path, number, chance.uniform(0, LONGEST_LIFE_SECONDS))
        commands += len(lines)
        held = set()
        for what, *words in lines:
            if what == "held":
                held.add(words[0])
            elif what in ("changed", "opened"):
                said.add(" ".join((what, *words)))
            elif what != "refused":
                held.discard(words[0])
                said.add(f"{words[0]}.released" if what == "released" else words[0])

        with closing(open_store_at(path)) as store:
            later = Engine(store, clock=partial(worker_time, number), processes=SystemProcesses())
            expired = {hold.id for hold in later.expire()}
            assert later.check().faults == ()
            with store.reading("default") as view:
                assert view.leases() == []
                assert all(hold.unconfirmed for hold in view.holds()), "a hold has outlived its lease"
                written = facts(view)
        assert said <= written
        # The command that was cut short may have been done: it may have settled one hold, or made one.
        assert len(held ^ expired) <= 1
        assert all(not written.isdisjoint({each, f"{each}.released"}) for each in held - expired)
    assert commands > KILLS, "the processes were killed before they did anything"
