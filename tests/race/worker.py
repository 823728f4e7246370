"""
One of the processes of `test_race.py`.

`worker.py call STORE NUMBER CALLS` makes calls of a dollar each; `worker.py observe STORE` reads all the
time. Both say `ready`, begin when a line comes in, and end with one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from threading import Thread
from typing import TypeVar

from budgets.clock import utc_now
from budgets.engine import Engine
from budgets.errors import BudgetExceededError
from budgets.money import NANOS_PER_USD
from budgets.ports import Reading, Store, Transaction
from budgets.processes import SystemProcesses
from budgets.records import Charge
from budgets.wiring import open_store_at

T = TypeVar("T")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def faults(view: Reading) -> list[str]:
    """Where spent + held + unconfirmed stands above a limit."""
    found = []
    for budget in view.budgets():
        for limit in budget.caps:
            totals = view.current(limit.id)
            if totals is not None and totals.taken_nanos > (limit.total_nanos or 0):
                found.append(f"{budget.user}: {totals}")
    return found


class Witness:
    """Runs each operation alone, looks at what it is about to commit, and times the wait for the turn."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.longest_wait_seconds = 0.0
        self.commits = 0
        self.faults: list[str] = []

    def run(self, operation: Callable[[Transaction, datetime], T], *, durable: bool = True) -> T:
        begun = time.monotonic()
        with self._store.transaction("default", durable=durable) as txn:
            self.longest_wait_seconds = max(self.longest_wait_seconds, time.monotonic() - begun)
            outcome = operation(txn, utc_now())
            self.faults += faults(txn)
            self.commits += 1
        return outcome


def call(path: Path, number: int, calls: int) -> dict[str, object]:
    """Hold a dollar, settle a dollar, again and again."""
    store = open_store_at(path)
    witness = Witness(store)
    engine = Engine(store, clock=utc_now, processes=SystemProcesses(), runner=witness)
    accepted = refused = 0
    say("ready")
    sys.stdin.readline()
    for turn in range(calls):
        call_id = f"p{number}-{turn}"
        try:
            engine.hold("ann", NANOS_PER_USD, hold_id=call_id)
        except BudgetExceededError:
            refused += 1
        else:
            engine.settle(call_id, Charge(NANOS_PER_USD, f"model-{number % 3}"))
            accepted += 1
    store.close()
    return {
        "accepted": accepted,
        "refused": refused,
        "commits": witness.commits,
        "faults": witness.faults,
        "longest_wait_seconds": witness.longest_wait_seconds,
    }


def observe(path: Path) -> dict[str, object]:
    """Read until the input ends; spent never goes down and no limit is ever passed."""
    store = open_store_at(path)
    found: list[str] = []
    views = 0
    spent = 0
    say("ready")
    sys.stdin.readline()
    ended = Thread(target=sys.stdin.read, daemon=True)
    ended.start()
    while ended.is_alive():
        with store.reading("default") as view:
            found += faults(view)
            ann = view.budget("ann")
            assert ann is not None
            totals = view.current(ann.limits[0].id)
            assert totals is not None
            if totals.spent_nanos < spent:
                found.append(f"spent went back from {spent} to {totals.spent_nanos}")
            spent = totals.spent_nanos
        views += 1
    store.close()
    return {"views": views, "faults": found}


if __name__ == "__main__":
    mode, store_path, *rest = sys.argv[1:]
    if mode == "call":
        answer = call(Path(store_path), int(rest[0]), int(rest[1]))
    else:
        answer = observe(Path(store_path))
    say(json.dumps(answer))
